"""The process of vllm-router."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator

import structlog

from services.router.settings import RouterSettings

PACKAGE = "vllm_router"
STOPPING = 5.0
"""How long it may take to end before it is killed, seconds."""
log = structlog.get_logger()


def router_command(settings: RouterSettings) -> list[str]:
    """Return the command line of vllm-router, which begins without engines.

    Raises:
        ValueError: The package is not installed.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise ValueError(
            "vllm-router is not installed: run `make setup`, or `pip install -r requirements/router.txt`"
        )
    options = {
        "host": settings.host,
        "port": settings.router_port,
        "policy": settings.router_policy,
        "prometheus-host": settings.host,
        "prometheus-port": settings.router_metrics_port,
        # A replica that is to be added has answered already.
        "worker-startup-timeout-secs": 30,
        "worker-startup-check-interval": 1,
        # Beside the looks of this part. An engine that computes a long prompt on few cores answers late.
        "health-check-interval-secs": 2,
        "health-check-timeout-secs": 10,
        "health-failure-threshold": 2,
        "health-success-threshold": 1,
        "cb-timeout-duration-secs": 5,
        "max-concurrent-requests": 1024,
        "request-timeout-secs": 600,
        "log-level": "warning",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    if key := settings.model_key.get_secret_value():
        words.append(f"--api-key={key}")
    return [sys.executable, "-m", f"{PACKAGE}.launch_router", *words]


@contextlib.asynccontextmanager
async def running_router(settings: RouterSettings) -> AsyncIterator[None]:
    """Run vllm-router inside the block; where it ends by itself, this process ends too."""
    process = await asyncio.create_subprocess_exec(
        *router_command(settings), env={**os.environ, "RUST_LOG": "warn"}, stdin=asyncio.subprocess.DEVNULL
    )
    watch = asyncio.create_task(_end_with(process))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOPPING)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _end_with(process: asyncio.subprocess.Process) -> None:
    """End this process when another one has ended, so that whoever started it starts both anew."""
    code = await process.wait()
    log.error("vllm-router has ended", code=code)
    os.kill(os.getpid(), signal.SIGTERM)
