"""What the API and the workers are wired to: Redis, the roles, the environments."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.kit.app import Check
from services.kit.auth import bearer
from services.kit.upstream import Upstream
from services.orchestrator.connection import connect
from services.orchestrator.environment_servers import HttpEnvironment
from services.orchestrator.roles import HttpRoles
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.adoption import adopt_earlier
from services.orchestrator.store.base import PATIENCE
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.store.jobs import JobStore
from services.roles.registry import ROLES


@dataclass(frozen=True)
class Wiring:
    """Connections that are open."""

    episodes: EpisodeStore
    jobs: JobStore
    roles: HttpRoles
    environments: dict[str, HttpEnvironment]
    upstreams: dict[str, Upstream]
    """Roles by name, for readiness."""

    async def redis_ready(self) -> str | None:
        """For readiness: raises where Redis does not answer."""
        await self.episodes.redis.ping()
        return None


def checks_of(settings: OrchestratorSettings, wiring: Callable[[], Wiring]) -> dict[str, Check]:
    """Readiness checks: Redis, each role, each environment.

    Args:
        settings: Which environments there are.
        wiring: The connections, asked for when a check is made.
    """

    async def redis() -> str | None:
        return await wiring().redis_ready()

    def role(name: str) -> Check:
        async def alive() -> str | None:
            return await wiring().upstreams[name].alive()

        return alive

    def environment(name: str) -> Check:
        async def ready() -> str | None:
            return await wiring().environments[name].ready()

        return ready

    parts = {name: role(name) for name in ROLES}
    return {"redis": redis, **parts, **{name: environment(name) for name in settings.environments}}


@asynccontextmanager
async def wired(settings: OrchestratorSettings, *, patience: float = PATIENCE) -> AsyncIterator[Wiring]:
    """Connections to everything, closed at the end.

    Args:
        settings: Where everything is.
        patience: How long calls are repeated while Redis is away, seconds.
    """
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(settings))
        roles = HttpRoles(settings)
        servers = {
            name: [_server(name, url, settings) for url in settings.servers(name)]
            for name in settings.environments
        }
        for upstream in [*roles.upstreams, *itertools.chain(*servers.values())]:
            stack.push_async_callback(upstream.close)
        environments = {name: HttpEnvironment(*upstreams) for name, upstreams in servers.items()}
        upstreams = {upstream.part: upstream for upstream in roles.upstreams}
        episodes = EpisodeStore(redis, settings, patience)
        await episodes.check_partitions()
        if not settings.redis_cluster:
            await adopt_earlier(redis, settings)
        yield Wiring(episodes, JobStore(redis, settings, patience), roles, environments, upstreams)


def _server(name: str, url: str, settings: OrchestratorSettings) -> Upstream:
    headers = bearer(settings.own_key())
    return Upstream(
        name,
        url,
        headers=headers,
        timeout=settings.call_timeout,
        concurrency=256,
        proxied=settings.use_proxy,
    )
