"""The same loop over HTTP: actor service, scripted engine and twin environment as processes of their own.

    python -m benchmarks.overhead_http [--steps 700]

It shows what the hops of a distributed set-up cost: steps a second, and the CPU time of each process a step,
which depends less on what else runs on the machine.
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
from typing import Any

import httpx
import psutil
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

PROCESSES = {"worker": psutil.Process()}
"""What is measured."""


def create_twin() -> FastAPI:
    """The twin environment's app."""
    return serve(TwinEnvironment(), EnvironmentSettings())


@contextlib.contextmanager
def process(name: str, *command: str, port: int, environment: dict[str, str] | None = None) -> Iterator[str]:
    """Start a server as a process and return its URL when it answers."""
    started = subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,  # what is measured stands there alone
        stderr=subprocess.DEVNULL,
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
        PROCESSES[name] = psutil.Process(started.pid)
        yield url
    finally:
        started.terminate()
        started.wait(15)


def read_cpu() -> dict[str, float]:
    """Return the CPU seconds that each process has used."""
    times = {name: process.cpu_times() for name, process in PROCESSES.items()}
    return {name: used.user + used.system for name, used in times.items()}


async def measure(settings: OrchestratorSettings, steps: int, together: int) -> dict[str, Any]:
    """Return steps a second with so many episodes at once, and the CPU milliseconds a step."""
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    await redis.flushall()
    await redis.aclose()
    chosen = settings.model_copy(update={"worker_concurrency": together})
    async with wired(chosen) as wiring:
        records = [react_in_a_corridor("corridors/49")] * max(1, steps // PATH_STEPS)
        parts = Parts(wiring.jobs, wiring.episodes, wiring.roles, wiring.environments)
        taken, before = len(records) * PATH_STEPS, read_cpu()
        rate = taken / await run_all(parts, chosen, records)
        after = read_cpu()
    cpu = {name: round((after[name] - before[name]) / taken * 1000, 2) for name in PROCESSES}
    return {"steps a second": round(rate, 1), "CPU ms a step": {**cpu, "sum": round(sum(cpu.values()), 2)}}


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
            process("engine", "espalier", "serve", "scripted-model", "--port", str(model), port=model)
        )
        wired_to = {"ESPALIER_MODEL_URL": engine}
        acting = stack.enter_context(
            process(
                "actor", "espalier", "serve", "actor", "--port", str(actor), port=actor, environment=wired_to
            )
        )
        factory = ("uvicorn", "--factory", "benchmarks.overhead_http:create_twin", "--log-level", "error")
        place = stack.enter_context(process("environment", *factory, "--port", str(twin), port=twin))
        settings = OrchestratorSettings(redis_url=url, actor_url=acting, environments={"twin": place})  # pyright: ignore[reportArgumentType]
        found = {
            f"over HTTP, {together} at once": asyncio.run(measure(settings, options.steps, together))
            for together in (1, TOGETHER)
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
