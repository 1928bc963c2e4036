"""An orchestrator's insides on a real Valkey, with scripted roles and a scripted environment."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis

from services.contracts.context import Brief
from services.contracts.episode import Episode, EpisodeCreate, State
from services.contracts.event import Event, EventType
from services.kit.metrics import Metrics
from services.orchestrator.search import METHODS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore, Record
from services.orchestrator.store.jobs import Job, JobStore
from services.orchestrator.twins import ScriptedEnvironment, ScriptedRoles
from services.orchestrator.worker.worker import Parts, Worker

SCHEDULING = {EventType.BRANCH_TAKEN, EventType.BRANCH_PARKED}
"""Events that depend on where a branch runs."""


class KilledError(BaseException):
    """A worker process that dies at once: nothing of it is written any more."""


@dataclass
class Bench:
    """Runs episodes in the test's own process."""

    store: EpisodeStore
    jobs: JobStore
    roles: ScriptedRoles = field(default_factory=ScriptedRoles)
    environment: ScriptedEnvironment = field(default_factory=ScriptedEnvironment)

    def worker(self, name: str = "one", **settings: Any) -> Worker:
        """A worker that takes jobs when the test says so."""
        chosen = self.jobs.settings.model_copy(update=settings)
        self.store.settings = self.jobs.settings = chosen
        parts = Parts(self.jobs, self.store, self.roles, {"twin": self.environment})
        return Worker(parts, chosen, Metrics("worker"), name)

    def set(self, **settings: Any) -> None:
        """Change settings."""
        self.store.settings = self.jobs.settings = self.jobs.settings.model_copy(update=settings)

    async def create(
        self, method: str = "react", spec: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, Record]:
        request = EpisodeCreate(environment="twin", task_id="corridor", method=method, **options)
        record = Record(
            request=request,
            instruction="Go north.",
            brief=Brief(name="twin", description="A corridor."),
            max_steps=request.max_steps or 6,
            needs_submit=False,
            version=METHODS[method].version,
            **{"done_means_success": True, **(spec or {})},
        )
        episode, _ = await self.store.create(record, None)
        return episode, record

    async def hurry(self) -> None:
        """Make all that waits due now: pauses and leases have run out."""
        for partition in self.jobs.partitions.all:
            for key in (partition.ready, partition.leases):
                for job in await self.jobs.redis.zrange(key, 0, -1):
                    await self.jobs.redis.zadd(key, {job: 0}, xx=True)

    async def take(self, name: str = "one") -> Job | None:
        """Take the next job, if one is due."""
        for partition in self.jobs.partitions.all:
            found = await self.jobs.take(partition, name)
            if isinstance(found, Job):
                return found
        return None

    async def work(self, worker: Worker | None = None) -> Job | None:
        """Run the next job that is due, and return it."""
        chosen = worker or self.worker()
        job = await self.take(chosen.name)
        if job is not None:
            await chosen.begin(job)
        return job

    async def finish(self, episode: str, *workers: Worker) -> Episode:
        """Run jobs, by the workers in turn, until an episode is over."""
        chosen = workers or (self.worker(),)
        for turn in range(1000):
            found = await self.get(episode)
            if found.state.over:
                return found
            await self.hurry()
            job = await self.work(chosen[turn % len(chosen)])
            assert job is not None, "the episode lives and no job of it is ready"
        raise AssertionError("the episode does not end")

    async def get(self, episode: str) -> Episode:
        found = await self.store.get(episode)
        assert found is not None
        return found

    async def run(self, method: str = "react", **options: Any) -> Episode:
        return await self.finish((await self.create(method, **options))[0])

    async def events(self, episode: str, kind: EventType | None = None) -> list[Event]:
        return [event for event in await self.store.events(episode) if kind in (None, event.type)]

    async def data(self, episode: str, kind: EventType) -> list[Any]:
        """The data of the events of one type."""
        return [event.data for event in await self.events(episode, kind)]

    async def live(self) -> list[str]:
        """Episodes that have not ended."""
        found, _ = await self.store.page(None, 1000)
        return [episode.id for episode in found if not State(episode.state).over]


def shape(events: list[Event]) -> dict[str, list[tuple[object, ...]]]:
    """What each branch's log amounts to, wherever the branch ran."""
    shapes: dict[str, list[tuple[object, ...]]] = {}
    for event in events:
        if event.type not in SCHEDULING:
            shapes.setdefault(event.branch, []).append((event.type, event.seq, event.digest))
    return shapes


@pytest.fixture
def settings(valkey: str) -> OrchestratorSettings:
    return OrchestratorSettings(redis_url=valkey)  # pyright: ignore[reportArgumentType]


@pytest.fixture
async def bench(settings: OrchestratorSettings) -> AsyncIterator[Bench]:
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    await redis.flushall()
    yield Bench(EpisodeStore(redis, settings), JobStore(redis, settings))
    await redis.aclose()
