"""The router's own HTTP surface: whether it is ready, and its figures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import Gauge

from services.kit.app import create_app
from services.router.process import router_command, running_router
from services.router.replicas import Replicas
from services.router.settings import RouterSettings


def create(settings: RouterSettings | None = None) -> FastAPI:
    """Return the router's app, which runs vllm-router beside it.

    Raises:
        ValueError: No engines are named, or vllm-router is not installed.
    """
    chosen = settings or RouterSettings()
    local = "127.0.0.1" if chosen.host in ("0.0.0.0", "::") else chosen.host

    async def check_replicas() -> str | None:
        return None if replicas.ready else "no engine answers"

    def list_replicas() -> dict[str, object]:
        return {"replicas": sorted(replicas.ready), "adapters": sorted(replicas.adapters)}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running_router(chosen):
            keeping = asyncio.create_task(replicas.keep())
            try:
                yield
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                await replicas.close()

    app = create_app(
        "router", settings=chosen, lifespan=lifespan, checks={"engines": check_replicas}, facts=list_replicas
    )
    if not chosen.router_engines:
        raise ValueError("ESPALIER_ROUTER_ENGINES names no engine")
    router_command(chosen)
    replicas = Replicas(chosen, f"http://{local}:{chosen.router_port}")
    taking = Gauge(
        "espalier_engine_replicas", "Engine replicas that take requests.", registry=app.state.metrics.registry
    )
    taking.set_function(lambda: len(replicas.ready))
    return app
