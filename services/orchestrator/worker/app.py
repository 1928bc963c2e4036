"""A worker process: its branches, and health and metrics over HTTP."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.kit.app import create_app
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.wiring import checks_of, wired
from services.orchestrator.worker.worker import Parts, Worker


def create(settings: OrchestratorSettings | None = None) -> FastAPI:
    """A worker's app; it works as long as it serves."""
    chosen = settings or OrchestratorSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with wired(chosen, patience=chosen.outage_grace) as wiring:
            app.state.wiring = wiring
            parts = Parts(wiring.jobs, wiring.episodes, wiring.roles, wiring.environments)
            worker = Worker(parts, chosen, app.state.metrics, tracing=app.state.tracing)
            worker.start()
            try:
                yield
            finally:
                await worker.stop()

    checks = checks_of(chosen, lambda: app.state.wiring)
    app = create_app("worker", settings=chosen, lifespan=lifespan, checks=checks)
    return app
