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

from benchmarks.overhead import PATH_STEPS, TOGETHER, react_in_a_corridor
from benchmarks.valkey import free_port, running_valkey
from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from services.orchestrator.runner import EpisodeRunner
from services.orchestrator.search import METHODS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.wiring import wired


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
    method = METHODS["react"]
    left = max(1, steps // PATH_STEPS)
    played = left * PATH_STEPS
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    await redis.flushall()
    await redis.aclose()
    async with wired(settings) as wiring:

        async def play() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                record = react_in_a_corridor("corridors/49")
                episode, _ = await wiring.store.create(record, None)
                runner = EpisodeRunner(wiring.store, wiring.roles, wiring.environments["twin"], method)
                await runner.run(episode, record, None)

        began = time.perf_counter()
        await asyncio.gather(*(play() for _ in range(together)))
        return played / (time.perf_counter() - began)


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
        told = {"ESPALIER_MODEL_URL": engine}
        acting = stack.enter_context(
            process("espalier", "serve", "actor", "--port", str(actor), port=actor, environment=told)
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
