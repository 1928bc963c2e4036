"""Takes episodes off the queue and runs them.

A worker that dies leaves its jobs to others (their locks run out); one that lost a job without
noticing is fenced by the branch's epoch. What another worker took over is run again from the log.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from services.contracts.episode import Failure, State
from services.kit.failures import BusyError, OutageError, RefusedError
from services.kit.metrics import Metrics
from services.orchestrator.environments import Environment
from services.orchestrator.failures import Fate, classify
from services.orchestrator.metrics import EpisodeMetrics
from services.orchestrator.queue import JobQueue
from services.orchestrator.roles import Roles
from services.orchestrator.runner import EpisodeRunner, give_up
from services.orchestrator.search import METHODS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore, NewEpisode
from services.orchestrator.store.errors import FencedError, UnreadableError
from services.orchestrator.store.fold import fold_open_sessions

OTHER_VERSION_PAUSE = 5.0
"""Seconds until a job that another version must do is offered again."""
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Between these an episode waits for a part that is at its limit, seconds."""
CLEAN_AFTER = 15.0
"""Sessions of an episode that ended so long ago are closed by the sweeper, if its worker has not."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    """What a worker works with."""

    store: EpisodeStore
    queue: JobQueue
    roles: Roles
    environments: Mapping[str, Environment]


class EpisodeWorker:
    """One worker process's episodes."""

    def __init__(self, parts: Parts, settings: OrchestratorSettings, metrics: Metrics) -> None:
        self.parts = parts
        self.settings = settings
        self.metrics = EpisodeMetrics(metrics.registry)
        self._running: dict[str, asyncio.Task[float | None]] = {}
        self._background: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work."""
        self._background = [asyncio.create_task(self._watch()), asyncio.create_task(self._sweep())]
        self.parts.queue.work(self.handle, self.settings.worker_concurrency)

    async def stop(self) -> None:
        """Leave everything to others, at once: what is recorded is enough to go on."""
        for task in [*self._background, *self._running.values()]:
            task.cancel()
        await asyncio.gather(*self._background, *self._running.values(), return_exceptions=True)
        await self.parts.queue.stop()

    async def handle(self, episode: str) -> float | None:
        """Work on one episode; seconds to lay it aside for, or None when it is done with."""
        before = self._running.get(episode)
        if before is not None:  # the job was lost and came back: the run of before is fenced, or soon will be
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        task = asyncio.create_task(self._work(episode))
        self._running[episode] = task
        self.metrics.running.inc()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # the watcher saw the episode end
                return None
            task.cancel()
            raise
        finally:
            if self._running.get(episode) is task:
                del self._running[episode]
            self.metrics.running.dec()

    async def _work(self, episode: str) -> float | None:
        with structlog.contextvars.bound_contextvars(episode=episode):
            try:
                return await self._run(episode)
            except Exception as error:
                return await self._settle(episode, error)

    async def _run(self, episode: str) -> float | None:
        """Run an episode to its end; seconds to lay it aside for where this worker cannot run it."""
        record = await self.parts.store.record(episode)
        if record is None:
            return None
        method = METHODS.get(record.request.method)
        if method is None or method.version != record.version:
            return OTHER_VERSION_PAUSE
        environment = self.parts.environments.get(record.request.environment)
        if environment is None:
            return OTHER_VERSION_PAUSE
        runner = EpisodeRunner(self.parts.store, self.parts.roles, environment, method)
        waited = await self.parts.store.outage_began(episode)
        deadline = None if waited is None else waited + self.settings.outage_grace
        try:
            outcome = await runner.run(episode, record, deadline)
        finally:
            if runner.epoch > 1 and waited is None:
                self.metrics.takeovers.inc()
        await self._account(episode, record, isinstance(outcome, Failure))
        await self.clean(episode, environment)
        return None

    async def _settle(self, episode: str, error: Exception) -> float | None:
        """Do what a run that broke off asks for; seconds to lay the episode aside for, or None."""
        match classify(error):
            case Fate.TAKEN:
                log.info("episode was taken over by another worker or has ended")
                return None
            case Fate.REDIS:
                log.warning("Redis is away; the episode waits", error=str(error))
                self.metrics.pauses.labels("redis").inc()
                return self.settings.outage_pause
            case Fate.BUSY:
                assert isinstance(error, BusyError)
                self.metrics.pauses.labels(error.part).inc()
                log.info("a part is at its limit; the episode waits", error=str(error))
                return min(max(error.retry_after, SHORTEST_WAIT), LONGEST_WAIT)
            case Fate.OUTAGE:
                assert isinstance(error, OutageError)
                return await self._pause(episode, error)
            case Fate.BUG:
                return await self._give_up(episode, error)

    async def _pause(self, episode: str, error: OutageError) -> float:
        try:
            await self.parts.store.outage(episode)
        except RedisError as lost:
            log.warning("an outage could not be noted", error=str(lost))
        self.metrics.pauses.labels(error.part).inc()
        log.warning("a part is away; the branch waits", error=str(error))
        return self.settings.outage_pause

    async def _give_up(self, episode: str, error: Exception) -> float | None:
        """End an episode that a bug broke: it must not vanish with the job."""
        log.error("episode broke", exc_info=error)
        try:
            await give_up(self.parts.store, episode, f"{type(error).__name__}: {error}")
            record = await self.parts.store.record(episode)
            if record is not None:
                await self._account(episode, record, failed=True)
        except UnreadableError:
            log.warning("the record of an episode that broke cannot be read")
        except Exception as lost:
            if classify(lost) is Fate.BUG:
                raise
            return None if classify(lost) is Fate.TAKEN else self.settings.outage_pause
        return None

    async def _account(self, episode: str, record: NewEpisode, failed: bool) -> None:
        told = await self.parts.store.get(episode)
        if told is None or told.ended_at is None:
            return
        where = (record.request.environment, record.request.method)
        outcome = State.FAILED.value if failed else State.COMPLETED.value
        self.metrics.episodes.labels(*where, outcome).inc()
        self.metrics.seconds.labels(*where).observe(told.ended_at - told.created_at)
        if told.figures is not None:
            wall = told.figures.wall
            for place in ("model", "environment", "orchestration", "queueing"):
                self.metrics.wall.labels(place).inc(getattr(wall, place))
        self.metrics.count(await self.parts.store.events(episode), *where)

    async def clean(self, episode: str, environment: Environment) -> None:
        """Close whatever sessions an ended episode left open."""
        try:
            events = await self.parts.store.events(episode)
        except UnreadableError:
            events = []
        for session in fold_open_sessions(events):
            with contextlib.suppress(OutageError, BusyError, RefusedError, FencedError):
                await environment.close(session, None)
        await self.parts.store.cleaned(episode)

    async def _watch(self) -> None:
        """Stop work on episodes that were cancelled."""
        while True:
            await asyncio.sleep(self.settings.watch)
            with _survived("watch"):
                states = await self.parts.store.states(list(self._running))
                for episode, state in states.items():
                    task = self._running.get(episode)
                    if state == State.CANCELLED and task is not None:
                        task.cancel()

    async def _sweep(self) -> None:
        """Queue what lives without a job; close what ended episodes left open."""
        while True:
            with _survived("sweep"):
                live = await self.parts.store.live()
                self.metrics.live.set(len(live))
                self.metrics.depth.set(await self.parts.queue.depth())
                for episode in live:
                    if episode not in self._running:
                        await self.parts.queue.put(episode)
                await self._clean_up()
            await asyncio.sleep(self.settings.sweep)

    async def _clean_up(self) -> None:
        for episode in await self.parts.store.to_clean():
            try:
                told = await self.parts.store.get(episode)
            except UnreadableError:
                told = None
            environment = self.parts.environments.get(told.request.environment) if told else None
            if told is None or environment is None:
                await self.parts.store.cleaned(episode)
            elif told.state is State.CANCELLED or (told.ended_at or 0) < time.time() - CLEAN_AFTER:
                if told.state is State.CANCELLED:
                    where = (told.request.environment, told.request.method)
                    self.metrics.episodes.labels(*where, told.state.value).inc()
                await self.clean(episode, environment)


@contextlib.contextmanager
def _survived(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Redis may be away for a while; the loop goes on
        log.warning(f"{what} failed", error=str(error))
