"""Workers: jobs released at a stop, ended episodes counted once, sessions that no log has, what it costs."""

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from services.contracts.action import Candidate
from services.contracts.episode import State
from services.orchestrator.settings import Branches, OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.store.errors import SettingsError
from services.orchestrator.store.jobs import Job, JobStore
from services.orchestrator.worker.worker import Worker
from tests.orchestrator.conftest import Bench


def counted(worker: Worker, outcome: str) -> float:
    """How many episodes a worker has counted with an outcome."""
    return sum(
        sample.value
        for metric in worker.metrics.episodes.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["outcome"] == outcome
    )


@pytest.mark.parametrize("branches", [Branches.LOCAL, Branches.SPREAD])
async def test_a_worker_that_stops_releases_its_jobs_at_once(bench: Bench, branches: Branches) -> None:
    bench.set(branches=branches, lease=3600)
    entered = asyncio.Event()
    answered = bench.roles._called

    async def slow(role: str) -> None:
        entered.set()
        await asyncio.sleep(3600)

    bench.roles._called = slow  # pyright: ignore[reportAttributeAccessIssue]
    episode, _ = await bench.create("tmbr", max_steps=3)
    leaving = bench.worker("leaving")
    leaving.start()
    await entered.wait()
    await leaving.stop()
    bench.roles._called = answered  # pyright: ignore[reportAttributeAccessIssue]
    assert leaving._running == {}
    for partition in bench.jobs.partitions.all:
        assert await bench.jobs.redis.zcard(partition.leases) == 0
    job = await bench.take("staying")  # without waiting for any lease
    assert job is not None
    await bench.jobs.release(job, 0)
    assert (await bench.finish(episode, bench.worker("staying"))).state is State.COMPLETED


async def test_a_worker_that_stops_writes_what_it_has(bench: Bench) -> None:
    """An answer that was paid for is not lost at a stop."""
    entered = asyncio.Event()
    answered = bench.roles._called

    async def slow(role: str) -> None:
        if len(bench.roles.calls) == 2:
            entered.set()
            await asyncio.sleep(3600)
        await answered(role)

    bench.roles._called = slow  # pyright: ignore[reportAttributeAccessIssue]
    episode, _ = await bench.create("react")
    leaving = bench.worker("leaving")
    leaving.start()
    await entered.wait()
    await leaving.stop()
    bench.roles._called = answered  # pyright: ignore[reportAttributeAccessIssue]
    await bench.finish(episode)
    assert len(bench.roles.calls) == 3, "no answered call is made again"


@pytest.mark.parametrize("end", ["completed", "cancelled", "crashed"])
async def test_an_episode_that_ended_is_counted_once_by_all_workers(bench: Bench, end: str) -> None:
    workers = [bench.worker("one"), bench.worker("two")]
    episode, _ = await bench.create("react")
    outcome = "cancelled" if end == "cancelled" else "completed"
    if end == "cancelled":
        await bench.store.cancel(episode)
    elif end == "crashed":  # the worker dies after the script that ends the episode
        workers.append(bench.worker("dead"))

        async def die(*_: object) -> None:
            raise asyncio.CancelledError

        workers[-1].sweeper.finish = die  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(asyncio.CancelledError):
            await bench.finish(episode, workers[-1])
    else:
        await bench.finish(episode, workers[0])
    for _ in range(2):
        for worker in workers[:2]:
            await worker.sweeper.sweep()
    assert sum(counted(worker, outcome) for worker in workers) == 1


async def test_a_worker_that_counts_an_end_is_not_interrupted(bench: Bench) -> None:
    """The watcher finds that the episode is over while its worker sees to its end."""
    worker = bench.worker()
    counting, counted_ = asyncio.Event(), asyncio.Event()
    finish = worker.sweeper.finish

    async def slow(*given: Any) -> None:
        counting.set()
        await counted_.wait()
        await finish(*given)

    worker.sweeper.finish = slow  # pyright: ignore[reportAttributeAccessIssue]
    await bench.create("react")
    job = await bench.take()
    assert job is not None
    task = worker.begin(job)
    await counting.wait()
    await worker.renew()
    counted_.set()
    await task
    assert counted(worker, "completed") == 1


async def test_sessions_that_an_ended_episode_left_are_closed(bench: Bench) -> None:
    episode, record = await bench.create("react")
    live, _ = await bench.create("react")
    opened = bench.environment
    await opened.open(record.request, f"{episode}/0/s9", 1)  # opened, and never recorded
    await opened.open(record.request, f"{live}/0/s0", 1)
    await opened.open(record.request, "ep_01m8hc85xw1d2xdctawtfnc11k/0/s0", 1)  # of another Redis
    await opened.open(record.request, "by hand", 1)
    await bench.store.cancel(episode)
    await bench.worker().sweeper.close_left_over()
    left = {corridor.key for corridor in bench.environment.corridors.values()}
    assert left == {f"{live}/0/s0", "ep_01m8hc85xw1d2xdctawtfnc11k/0/s0", "by hand"}


async def test_a_cancelled_episode_stops_and_leaves_no_session(bench: Bench) -> None:
    entered = asyncio.Event()

    async def slow(role: str) -> None:
        entered.set()
        await asyncio.sleep(3600)

    bench.roles._called = slow  # pyright: ignore[reportAttributeAccessIssue]
    bench.set(branches=Branches.SPREAD)
    episode, _ = await bench.create("react")
    worker = bench.worker()
    job = await bench.take()
    assert job is not None
    task = worker.begin(job)
    await entered.wait()
    await bench.store.cancel(episode)
    await worker.renew()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await worker.sweeper.sweep()
    assert bench.environment.corridors == {}


async def commands(bench: Bench, work: Any) -> int:
    """How many commands Redis runs meanwhile, those of scripts included."""

    async def count() -> int:
        stats = await bench.jobs.redis.info("commandstats")
        return sum(entry["calls"] for name, entry in stats.items() if "info" not in name)

    before = await count()
    await work()
    return await count() - before


@pytest.mark.parametrize("branches", [Branches.LOCAL, Branches.SPREAD])
async def test_what_a_worker_costs_does_not_grow_with_what_lives(bench: Bench, branches: Branches) -> None:
    bench.set(branches=branches)

    worker = bench.worker()

    async def one() -> None:
        await bench.create("react", max_steps=3)
        await bench.work(worker)

    await one()
    few = [await commands(bench, one), await commands(bench, worker.sweeper.sweep)]
    for _ in range(300):  # live, and laid aside for an hour
        await bench.create("react")
        job = await bench.take()
        assert job is not None
        await bench.jobs.release(job, 3600)
    many = [await commands(bench, one), await commands(bench, worker.sweeper.sweep)]
    assert all(cost <= before + 5 for cost, before in zip(many, few, strict=True)), (few, many)


async def test_live_episodes_are_counted_by_adapter(bench: Bench) -> None:
    _, record = await bench.create("react")
    pinned = record.model_copy(update={"adapter": "agent@1"})
    first, _ = await bench.store.create(pinned, None)
    await bench.store.create(pinned, None)
    assert await bench.store.count_live() == (3, {"agent@1": 2})
    await bench.store.cancel(first)
    assert await bench.store.count_live() == (2, {"agent@1": 1})


async def test_another_number_of_partitions_is_refused(bench: Bench, settings: OrchestratorSettings) -> None:
    await bench.store.check_partitions()
    await bench.store.check_partitions()
    other = EpisodeStore(bench.store.redis, settings.model_copy(update={"partitions": 3}))
    with pytest.raises(SettingsError, match=r"ESPALIER_PARTITIONS is 3, and .* written with 1; set it to 1"):
        await other.check_partitions()


async def test_partitions_share_the_work(bench: Bench, settings: OrchestratorSettings) -> None:
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    parted = settings.model_copy(update={"partitions": 4, "branches": Branches.SPREAD})
    spread = Bench(EpisodeStore(redis, parted), JobStore(redis, parted), bench.roles, bench.environment)
    episodes = [(await spread.create("tmbr", max_steps=3))[0] for _ in range(8)]
    assert len({spread.jobs.partitions.of(episode) for episode in episodes}) > 1
    worker = spread.worker()
    worker.start()
    deadline = time.monotonic() + 60
    while await spread.live() and time.monotonic() < deadline:  # noqa: ASYNC110 (the end is in Redis)
        await asyncio.sleep(0.02)
    await worker.stop()
    assert await spread.live() == []
    listed, following = await spread.store.page(None, 5)
    rest, _ = await spread.store.page(following, 5)
    assert [episode.id for episode in [*listed, *rest]] == sorted(episodes, reverse=True)
    again, _ = await spread.store.create((await _record(spread, episodes[0])), "key")
    assert await spread.store.create((await _record(spread, episodes[0])), "key") == (again, False)
    await redis.aclose()


async def _record(bench: Bench, episode: str) -> Any:
    return await bench.store.record(episode)


async def test_a_job_waits_for_a_worker_and_not_the_other_way_round(bench: Bench) -> None:
    """A worker that blocks gets a job as soon as it is there."""
    partition = bench.jobs.partitions.all[0]
    waiting = asyncio.ensure_future(bench.jobs.wait(partition, 30))
    await asyncio.sleep(0)
    await bench.create("react")
    await asyncio.wait_for(waiting, 15)
    assert isinstance(await bench.jobs.take(partition, "one"), Job)


async def test_a_worker_runs_as_many_jobs_as_it_has_slots(bench: Bench) -> None:
    together, most = 0, 0

    async def counting(request: Any) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.01)
        together -= 1

    bench.roles._called = counting  # pyright: ignore[reportAttributeAccessIssue]
    bench.roles.act_by = lambda request: [Candidate(action="north", well_formed=True)]
    for _ in range(9):
        await bench.create("react")
    worker = bench.worker(worker_concurrency=3)
    worker.start()
    while await bench.live():  # noqa: ASYNC110 (the end is in Redis)
        await asyncio.sleep(0.01)
    await worker.stop()
    assert most == 3
