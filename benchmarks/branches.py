"""What branches as durable records cost, and how they scale out.

    python -m benchmarks.branches [--branches 64] [--steps 20]

*Spread*: branches of tmbr with `parallel`, spread over 1, 2 and 4 worker processes. Each has a scripted
engine that takes 100 ms a call and 8 calls at once. The bound is the time of the calls, divided by the places
of the engines.
*Redis*: round trips and bytes a step, in one process. *Live*: the same with 10 and with 5,000 live episodes,
and what a worker that has nothing to do costs beside them.
"""

import argparse
import asyncio
import json
import multiprocessing
import time
from typing import Any

from redis.asyncio import Redis

from benchmarks.overhead import PATH_STEPS, look, react_in_a_corridor, run_all
from benchmarks.valkey import running_valkey
from services.contracts.context import Brief
from services.contracts.episode import EpisodeCreate
from services.kit.metrics import Metrics
from services.orchestrator.search import METHODS
from services.orchestrator.settings import Branches, OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore, Record
from services.orchestrator.store.jobs import Job, JobStore
from services.orchestrator.twins import ScriptedEnvironment, ScriptedRoles
from services.orchestrator.worker.worker import Parts, Worker

LATENCY = 0.1
"""A scripted engine's answer, seconds."""
PLACES = 8
"""Calls that it answers at once; a worker's slots."""
PATHS = 16
"""Branches of an episode."""
IDLE = 10.0
"""How long a worker that has nothing to do is watched, seconds."""


def paths_in_a_corridor(steps: int) -> Record:
    """Return an episode that opens all its paths at once and never finds one good enough."""
    request = EpisodeCreate(
        environment="twin",
        task_id="t",
        method="tmbr",
        num_path=PATHS,
        num_branch=1,
        num_subtasks=0,
        max_steps=steps,
        params={"parallel": True, "repeats": "allow"},
    )
    return Record(
        request=request,
        instruction="Go north.",
        brief=Brief(name="twin", description="A corridor."),
        max_steps=steps,
        needs_submit=False,
        version=METHODS["tmbr"].version,
        done_means_success=True,
    )


def make_parts(redis: Any, settings: OrchestratorSettings, latency: float = 0.0) -> Parts:
    """Return scripted parts on a real Valkey."""
    roles = ScriptedRoles(act_by=look, good_by=lambda context: 0.0, latency=latency)
    environment = ScriptedEnvironment(length=10**9)
    return Parts(JobStore(redis, settings), EpisodeStore(redis, settings), roles, {"twin": environment})


def work(url: str, stop: Any) -> None:
    """Be a worker process until an event is set."""

    async def run() -> None:
        settings = OrchestratorSettings(redis_url=url, worker_concurrency=PLACES, branches=Branches.SPREAD)  # pyright: ignore[reportArgumentType]
        redis = Redis.from_url(url)
        worker = Worker(make_parts(redis, settings, LATENCY), settings, Metrics("worker"))
        worker.start()
        await asyncio.to_thread(stop.wait)
        await worker.stop()
        await redis.aclose()

    asyncio.run(run())


async def measure_spread(url: str, branches: int, steps: int, workers: int) -> dict[str, float]:
    """Return the wall time of so many branches on so many worker processes, and the bound."""
    settings = OrchestratorSettings(redis_url=url)  # pyright: ignore[reportArgumentType]
    redis = Redis.from_url(url)
    await redis.flushall()
    store = EpisodeStore(redis, settings)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    processes = [context.Process(target=work, args=(url, stop)) for _ in range(workers)]
    for process in processes:
        process.start()
    while len(await redis.client_list(_type="normal")) < 1 + 2 * workers:  # noqa: ASYNC110 (each blocks for a job)
        await asyncio.sleep(0.05)
    began = time.perf_counter()
    episodes = branches // PATHS
    for _ in range(episodes):
        await store.create(paths_in_a_corridor(steps), None)
    while (await store.count_live())[0]:  # noqa: ASYNC110 (the end is in Redis)
        await asyncio.sleep(0.02)
    wall = time.perf_counter() - began
    stop.set()
    for process in processes:
        await asyncio.to_thread(process.join, 20)
    await redis.aclose()
    bound = (branches * (steps + 1)) * LATENCY / (PLACES * workers) + episodes * LATENCY / (PLACES * workers)
    return {"wall": round(wall, 2), "bound": round(bound, 2), "ratio": round(wall / bound, 2)}


async def measure_redis(url: str, steps: int) -> dict[str, float]:
    """Return round trips and bytes a step of react, at a model that takes a moment."""
    settings = OrchestratorSettings(redis_url=url, worker_concurrency=1)  # pyright: ignore[reportArgumentType]
    redis = Redis.from_url(url)
    await redis.flushall()
    trips, send = 0, redis.execute_command

    async def counted(*command: Any, **options: Any) -> Any:
        nonlocal trips
        trips += command[0] != "BLPOP"
        return await send(*command, **options)

    redis.execute_command = counted  # pyright: ignore[reportAttributeAccessIssue]
    parts = make_parts(redis, settings, latency=0.005)
    records = [react_in_a_corridor("t")] * max(1, steps // PATH_STEPS)
    before = (await redis.info("stats"))["total_net_input_bytes"]
    await run_all(parts, settings, records, look=1.0)
    sent = (await redis.info("stats"))["total_net_input_bytes"] - before
    texts = 2 * len("You are in cell 0.") + len("nothing better") + len("look")
    await redis.aclose()
    taken = len(records) * PATH_STEPS
    return {
        "round trips a step": round(trips / taken, 2),
        "bytes to Redis a step, beyond the texts": round(sent / taken - texts),
    }


async def fill(parts: Parts, count: int) -> None:
    """Have so many live episodes that are laid aside for an hour."""
    for _ in range(count):
        await parts.episodes.create(react_in_a_corridor("t"), None)
        job = await parts.jobs.take(parts.jobs.partitions.all[0], "nobody")
        assert isinstance(job, Job)
        await parts.jobs.release(job, 3600)


async def measure_live(url: str, live: int, steps: int) -> dict[str, float]:
    """Return what steps, creations and an idle worker cost beside so many live episodes."""
    settings = OrchestratorSettings(redis_url=url, worker_concurrency=12, max_live_episodes=10**6)  # pyright: ignore[reportArgumentType]
    redis = Redis.from_url(url)
    await redis.flushall()
    parts = make_parts(redis, settings)
    await fill(parts, live)

    async def used() -> float:
        stats = await redis.info("cpu")
        return time.process_time() + stats["used_cpu_user"] + stats["used_cpu_sys"]

    records = [react_in_a_corridor("t")] * max(1, steps // PATH_STEPS)
    before = await used()
    await run_all(parts, settings, records, beside=live)
    stepping = (await used() - before) / (len(records) * PATH_STEPS)
    before = await used()
    for _ in range(200):
        await parts.episodes.create(records[0], None)
    creating = (await used() - before) / 200
    for _ in range(200):
        job = await parts.jobs.take(parts.jobs.partitions.all[0], "nobody")
        assert isinstance(job, Job)
        await parts.jobs.release(job, 3600)
    worker = Worker(parts, settings, Metrics("worker"))
    worker.start()
    before = await used()
    await asyncio.sleep(IDLE)
    idle = (await used() - before) / IDLE
    await worker.stop()
    await redis.aclose()
    return {
        "CPU ms a step": round(stepping * 1000, 3),
        "CPU ms a creation": round(creating * 1000, 3),
        "share of a core, idle": round(idle, 4),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--branches", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    with running_valkey() as url:
        spread = {
            f"{workers} workers": asyncio.run(measure_spread(url, options.branches, options.steps, workers))
            for workers in (1, 2, 4)
        }
        redis = asyncio.run(measure_redis(url, 700))
        live = {f"{count} live": asyncio.run(measure_live(url, count, 2100)) for count in (10, 5000)}
    print(json.dumps({"spread": spread, "redis": redis, "live": live}, indent=2))


if __name__ == "__main__":
    main()
