"""An orchestrator's insides on a real Valkey, with scripted roles and a scripted environment."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis

from services.contracts.context import Brief
from services.contracts.episode import Episode, EpisodeCreate
from services.contracts.event import Event, EventType
from services.orchestrator.runner import EpisodeRunner
from services.orchestrator.search import METHODS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore, NewEpisode
from services.orchestrator.twins import ScriptedEnvironment, ScriptedRoles


@dataclass
class Bench:
    """Runs episodes in the test's own process."""

    store: EpisodeStore
    roles: ScriptedRoles = field(default_factory=ScriptedRoles)
    environment: ScriptedEnvironment = field(default_factory=ScriptedEnvironment)

    async def create(self, method: str = "react", **options: Any) -> tuple[str, NewEpisode]:
        request = EpisodeCreate(environment="twin", task_id="corridor", method=method, **options)
        record = NewEpisode(
            request=request,
            instruction="Go north.",
            brief=Brief(name="twin", description="A corridor."),
            max_steps=request.max_steps or 6,
            needs_submit=False,
            version=METHODS[method].version,
            done_means_success=True,
        )
        episode, _ = await self.store.create(record, None)
        return episode, record

    async def resume(self, episode: str, record: NewEpisode, outage_deadline: float | None = None) -> Episode:
        method = METHODS[record.request.method]
        runner = EpisodeRunner(self.store, self.roles, self.environment, method)
        await runner.run(episode, record, outage_deadline)
        told = await self.store.get(episode)
        assert told is not None
        return told

    async def run(self, method: str = "react", **options: Any) -> Episode:
        return await self.resume(*await self.create(method, **options))

    async def events(self, episode: str, kind: EventType | None = None) -> list[Event]:
        return [event for event in await self.store.events(episode) if kind in (None, event.type)]


@pytest.fixture
def settings(valkey: str) -> OrchestratorSettings:
    return OrchestratorSettings(redis_url=valkey)  # pyright: ignore[reportArgumentType]


@pytest.fixture
async def bench(settings: OrchestratorSettings) -> AsyncIterator[Bench]:
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    await redis.flushall()
    yield Bench(EpisodeStore(redis, settings))
    await redis.aclose()
