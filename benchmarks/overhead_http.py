"""The same loop over HTTP: actor service, scripted engine and twin environment as processes of their own.

    python -m benchmarks.overhead_http [--steps 700]

No target and no peer: it shows what the hops of a distributed set-up cost on this machine's cores.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
from fastapi import FastAPI
from redis.asyncio import Redis

from benchmarks.overhead import PATH_STEPS, TOGETHER, react_in_a_corridor, run_all
from benchmarks.valkey import free_port, running_valkey
from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.wiring import wired
from services.orchestrator.worker.worker import Parts


def create_twin() -> FastAPI:
    """The twin environment's app."""
    return serve(TwinEnvironment(), EnvironmentSettings())


@contextlib.contextmanager
def process(*command: str, port: int, environment: dict[str, str] | None = None) -> Iterator[str]:
    """A server as a process; its URL when it answers."""
    started = subprocess.Popen(
        [sys.executable, "-m", *command], env={**os.environ, **(environment or {})}, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{url}/openapi.json", timeout=2, trust_env=False)
                break
            if time.monotonic() > deadline or started.poll() is not None:
                raise TimeoutError(f"{command} did not start")
            time.sleep(0.1)
        yield url
    finally:
        started.terminate()
        started.wait(15)


async def rate(settings: OrchestratorSettings, steps: int, together: int) -> float:
    """Agent steps per second, so many episodes at once."""
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    await redis.flushall()
    await redis.aclose()
    chosen = settings.model_copy(update={"worker_concurrency": together})
    async with wired(chosen) as wiring:
        records = [react_in_a_corridor("corridors/49")] * max(1, steps // PATH_STEPS)
        parts = Parts(wiring.jobs, wiring.episodes, wiring.roles, wiring.environments)
        return len(records) * PATH_STEPS / await run_all(parts, chosen, records)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=700)
    options = parser.parse_args()
    model, actor, twin = free_port(), free_port(), free_port()
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(running_valkey())
        engine = stack.enter_context(
            process("espalier", "serve", "scripted-model", "--port", str(model), port=model)
        )
        wired_to = {"ESPALIER_MODEL_URL": engine}
        acting = stack.enter_context(
            process("espalier", "serve", "actor", "--port", str(actor), port=actor, environment=wired_to)
        )
        factory = ("uvicorn", "--factory", "benchmarks.overhead_http:create_twin", "--log-level", "error")
        place = stack.enter_context(process(*factory, "--port", str(twin), port=twin))
        settings = OrchestratorSettings(redis_url=url, actor_url=acting, environments={"twin": place})  # pyright: ignore[reportArgumentType]
        found = {
            f"over HTTP, {together} at once": round(asyncio.run(rate(settings, options.steps, together)), 1)
            for together in (1, TOGETHER)
        }
    print(json.dumps({"steps_per_second": found}, indent=2))


if __name__ == "__main__":
    main()
