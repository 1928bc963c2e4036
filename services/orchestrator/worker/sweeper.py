"""Looks after episodes that have ended: counts them once and closes the sessions that they left open."""

import contextlib
import time
from collections.abc import Mapping

import structlog
from redis.exceptions import ResponseError

from services.contracts.episode import State
from services.kit.failures import BusyError, OutageError, RefusedError
from services.orchestrator.environments import EnvironmentPort
from services.orchestrator.identity import ID
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.store.errors import FencedError, UnreadableError
from services.orchestrator.store.fold import Fold
from services.orchestrator.store.jobs import JobStore
from services.orchestrator.worker.metrics import EpisodeMetrics

LEFT_OVER_EVERY = 60.0
"""Between two looks at all sessions of all environments, seconds; one worker of all does it."""
log = structlog.get_logger()


class Sweeper:
    """What a worker does now and then. Its cost grows with what has ended, not with what lives."""

    def __init__(
        self,
        episodes: EpisodeStore,
        jobs: JobStore,
        environments: Mapping[str, EnvironmentPort],
        metrics: EpisodeMetrics,
    ) -> None:
        self._episodes = episodes
        self._jobs = jobs
        self._environments = environments
        self._metrics = metrics
        self._looked = time.monotonic()

    async def finish(self, episode: str, fold: Fold | None = None) -> None:
        """Count an episode that has just ended and close its sessions.

        Args:
            episode: The episode.
            fold: Its log, where it is read already.
        """
        for name in await self._episodes.claim_ended(episode):
            await self._count(name, fold)
        await self._clean(episode, fold)

    async def sweep(self) -> None:
        """Do what is due."""
        live, adapters = await self._episodes.count_live()
        self._metrics.live.set(live)
        self._metrics.show_adapters(live, adapters)
        self._metrics.depth.set(await self._jobs.depth())
        for episode in await self._episodes.claim_ended():
            await self._count(episode)
        for episode in await self._episodes.list_unclean():
            await self._clean(episode)
        if time.monotonic() - self._looked > LEFT_OVER_EVERY:
            self._looked = time.monotonic()
            if await self._episodes.claim_chore("sessions", LEFT_OVER_EVERY / 2):
                await self.close_left_over()
                await self._episodes.trim_index()
        with contextlib.suppress(ResponseError):  # a hosted Redis may refuse INFO
            self._metrics.show_memory(*await self._episodes.measure_memory())

    async def close_left_over(self) -> None:
        """Close sessions of ended episodes that no log has: opened, and lost before they were recorded."""
        for name, environment in self._environments.items():
            with contextlib.suppress(OutageError, BusyError, RefusedError):
                sessions = [
                    (entry.session_id, (entry.session_key or entry.fork_key or "").split("/")[0])
                    async for entry in environment.sessions()
                ]
                ours = list({episode for _, episode in sessions if ID.fullmatch(episode)})
                states = await self._episodes.states(ours)
                for session, episode in sessions:
                    if (state := states.get(episode)) and State(state).over:
                        log.info("closing a session that an ended episode left", session=session)
                        self._metrics.left_over.labels(name).inc()
                        await self._close(environment, session)

    async def _count(self, name: str, fold: Fold | None = None) -> None:
        with contextlib.suppress(UnreadableError):
            episode = await self._episodes.get(name)
            if episode is None or episode.ended_at is None:
                return
            self._metrics.count(episode, fold or Fold(await self._episodes.events(name)))

    async def _clean(self, name: str, fold: Fold | None = None) -> None:
        """Close whatever sessions an ended episode left open."""
        with contextlib.suppress(UnreadableError):
            sessions = (fold or Fold(await self._episodes.events(name))).sessions
            record = await self._episodes.record(name) if sessions else None
            environment = self._environments.get(record.request.environment) if record else None
            if environment is not None:
                for session in sessions.values():
                    await self._close(environment, session)
        await self._episodes.mark_clean(name)

    @staticmethod
    async def _close(environment: EnvironmentPort, session: str) -> None:
        with contextlib.suppress(OutageError, BusyError, RefusedError, FencedError):
            await environment.close(session, None)
