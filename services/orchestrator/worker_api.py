"""A worker process: its episodes, and health and metrics over HTTP."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from services.kit.app import create_app
from services.orchestrator.queue import BullQueue
from services.orchestrator.roles import HttpRoles
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.worker import EpisodeWorker, Parts, connect, http_environments


def create(settings: OrchestratorSettings | None = None) -> FastAPI:
    """A worker's app; it works as long as it serves."""
    chosen = settings or OrchestratorSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            redis = connect(chosen)
            stack.push_async_callback(redis.aclose)
            roles = HttpRoles(chosen)
            for upstream in roles.upstreams:
                stack.push_async_callback(upstream.close)
            environments = await stack.enter_async_context(http_environments(chosen))
            queue = BullQueue(chosen)
            stack.push_async_callback(queue.close)
            app.state.store = EpisodeStore(redis, chosen)
            parts = Parts(app.state.store, queue, roles, environments)
            worker = EpisodeWorker(parts, chosen, app.state.metrics)
            worker.start()
            stack.push_async_callback(worker.stop)
            yield

    async def state() -> str | None:
        await app.state.store.redis.ping()
        return None

    app = create_app("worker", settings=chosen, lifespan=lifespan, checks={"redis": state})
    return app
