"""Limits of tenants, and a small tenant beside one that floods, on a real Valkey."""

import asyncio
import math
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.contracts.episode import State
from services.kit.failures import BusyError
from services.kit.problems import ProblemError
from services.orchestrator.api.admission import Admission
from services.orchestrator.api.creation import EpisodeCreator
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.store.jobs import Job, JobStore
from services.orchestrator.worker.metering import MeteredRoles
from tests.orchestrator.conftest import Bench
from tests.orchestrator.test_creation import REQUEST, Parts

FLOOD, SMALL = 500, 12


def with_limits(bench: Bench, partitions: int = 1, **limits: dict[str, Any]) -> Bench:
    """A bench whose tenants have limits."""
    settings = OrchestratorSettings.model_validate(
        {**bench.jobs.settings.model_dump(), "partitions": partitions, "tenant_limits": limits}
    )
    redis: Redis = bench.store.redis
    return Bench(EpisodeStore(redis, settings), JobStore(redis, settings), bench.roles, bench.environment)


async def create(bench: Bench, tenant: str, **options: Any) -> str:
    episode, _ = await bench.create("react", spec={"tenant": tenant}, **options)
    return episode


def creator(bench: Bench, registry: CollectorRegistry) -> EpisodeCreator:
    parts: Any = Parts()
    admission = Admission(bench.store, bench.store.settings, registry)
    return EpisodeCreator(bench.store, {"twin": parts}, parts, bench.store.settings, admission)


async def count_live(bench: Bench, episodes: list[str]) -> int:
    states = await bench.store.states(episodes)
    return sum(not State(state).over for state in states.values())


async def forget_spending(bench: Bench) -> None:
    """Let a minute pass, as far as tokens are concerned."""
    await bench.jobs.redis.delete(bench.jobs.partitions.all[0].spent)


@pytest.mark.parametrize("partitions", [1, 3])
async def test_a_small_tenant_queues_as_if_the_flood_were_one_tenant(bench: Bench, partitions: int) -> None:
    bench = with_limits(bench, partitions)
    for _ in range(FLOOD):
        await create(bench, "flood")
    small = [await create(bench, "small") for _ in range(SMALL)]
    for partition in bench.jobs.partitions.all:
        mine = [episode for episode in small if bench.jobs.partitions.of(episode) == partition]
        takes: list[int] = []
        for number in range(1, 2 * len(mine) + 1):
            job = await bench.jobs.take(partition, "one")
            assert isinstance(job, Job)
            if job.tenant == "small":
                takes.append(number)
        assert len(takes) == len(mine)
        assert all(take <= 2 * (place + 1) for place, take in enumerate(takes))


async def test_workers_start_a_small_tenant_between_the_episodes_of_a_flood(bench: Bench) -> None:
    bench = with_limits(bench)
    bench.roles.latency = 0.002
    flood = [await create(bench, "flood") for _ in range(120)]
    small = [await create(bench, "small") for _ in range(10)]
    workers = [bench.worker(name, worker_concurrency=2) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    try:
        async with asyncio.timeout(60):
            while await count_live(bench, small):  # noqa: ASYNC110 (the end is in Redis)
                await asyncio.sleep(0.05)
    finally:
        for worker in workers:
            await worker.stop()
    started = [
        (found.started_at, episode)
        for episode in [*flood, *small]
        if (found := await bench.get(episode)).started_at is not None
    ]
    ranks = [place for place, (_, episode) in enumerate(sorted(started), 1) if episode in small]
    p95 = ranks[math.ceil(0.95 * len(ranks)) - 1]
    assert p95 <= 2 * len(small) + 4, "its own, as many of the flood, and what the slots hold"


async def test_weights_divide_what_is_taken(bench: Bench) -> None:
    bench = with_limits(bench, heavy={"weight": 3.0})
    for tenant in ("heavy", "light"):
        for _ in range(20):
            await create(bench, tenant)
    taken = [job.tenant for _ in range(20) if (job := await bench.take())]
    assert 14 <= taken.count("heavy") <= 16


@pytest.mark.parametrize("partitions", [1, 3])
async def test_live_episodes_of_a_tenant_are_limited(bench: Bench, partitions: int) -> None:
    bench = with_limits(bench, partitions, a={"episodes": 3})
    registry = CollectorRegistry()
    door = creator(bench, registry)
    created: list[str] = []
    refused: ProblemError | None = None
    while refused is None and len(created) < 50:
        try:
            created.append((await door.create(REQUEST, None, "a"))[0])
        except ProblemError as error:
            refused = error
    assert refused is not None
    assert refused.kind.status == 429
    assert refused.retry_after
    for part in (f"has {len(created)} episodes", "may have 3", "ESPALIER_TENANT_LIMITS"):
        assert part in refused.detail
    assert len(created) == 3 if partitions == 1 else len(created) <= 3
    labels = {"reason": "tenant_episodes", "tenant": "a"}
    assert registry.get_sample_value("espalier_rejected_total", labels) == 1
    assert (await door.create(REQUEST, None, "b"))[1]
    for episode in created:
        await bench.store.cancel(episode)
    assert await bench.store.count_tenant("a") == 0
    assert (await door.create(REQUEST, None, "a"))[1]


async def test_what_a_worker_of_before_ended_counts_no_more(bench: Bench) -> None:
    bench = with_limits(bench, a={"episodes": 1})
    door = creator(bench, CollectorRegistry())
    episode, _ = await door.create(REQUEST, None, "a")
    await bench.store.redis.hset(bench.store.key(episode), "state", "completed")
    assert (await door.create(REQUEST, None, "a"))[1]


async def test_a_key_that_was_used_is_answered_at_a_limit(bench: Bench) -> None:
    bench = with_limits(bench, a={"episodes": 1, "tokens_per_minute": 10})
    door = creator(bench, CollectorRegistry())
    first, _ = await door.create(REQUEST, "once", "a")
    await bench.jobs.spend("a", 1000)
    assert await door.create(REQUEST, "once", "a") == (first, False)


async def test_tokens_a_minute_hold_creations_back(bench: Bench) -> None:
    bench = with_limits(bench, 1, **{"*": {"tokens_per_minute": 600}})
    registry = CollectorRegistry()
    door = creator(bench, registry)
    await bench.jobs.spend("a", 599)
    assert (await door.create(REQUEST, None, "a"))[1]
    await bench.jobs.spend("a", 61)
    with pytest.raises(ProblemError) as refused:
        await door.create(REQUEST, None, "a")
    assert refused.value.kind.status == 429
    assert 3 < (refused.value.retry_after or 0) <= 6.1, "60 tokens too many at 10 a second"
    assert "600 a minute" in refused.value.detail
    labels = {"reason": "tenant_tokens", "tenant": "other"}
    assert registry.get_sample_value("espalier_rejected_total", labels) == 1
    assert (await door.create(REQUEST, None, "b"))[1]
    await forget_spending(bench)
    assert (await door.create(REQUEST, None, "a"))[1]


@pytest.mark.parametrize("partitions", [1, 3])
async def test_an_episode_waits_for_tokens_and_never_fails(bench: Bench, partitions: int) -> None:
    bench = with_limits(bench, partitions, a={"tokens_per_minute": 200})
    undisturbed = await bench.finish(await create(bench, "b"))
    episode = await create(bench, "a")
    worker = bench.worker()
    assert await bench.work(worker)
    assert (await bench.get(episode)).state is State.RUNNING
    assert worker.metrics.pauses.labels("tenant")._value.get() == 1
    calls = len(bench.roles.calls)
    await bench.hurry()
    assert await bench.take() is None, "it is due and has no tokens"
    other = await create(bench, "b")
    job = await bench.take()
    assert job is not None
    assert job.episode == other
    assert len(bench.roles.calls) == calls
    await forget_spending(bench)
    for _ in range(10):
        if (await bench.get(episode)).state.over:
            break
        await bench.work(worker)
        await bench.hurry()
        await forget_spending(bench)
    found = await bench.get(episode)
    assert (found.state, found.result) == (State.COMPLETED, undisturbed.result)
    assert found.figures is not None
    assert undisturbed.figures is not None
    assert found.figures.usage.calls == undisturbed.figures.usage.calls, "no call was made twice"


async def test_a_call_without_tokens_is_not_made(bench: Bench) -> None:
    bench = with_limits(bench, a={"tokens_per_minute": 10})
    await bench.jobs.spend("a", 20)
    with pytest.raises(BusyError) as refused:
        await MeteredRoles(bench.roles, bench.jobs, "a").query(None, None)  # pyright: ignore[reportArgumentType]
    assert 55 < refused.value.retry_after <= 60.1
    assert not refused.value.answered
    await bench.jobs.spend("unlimited", 1_000_000)
    assert (await bench.jobs.measure_spending("unlimited")).wait == 0


async def test_a_worker_measures_the_queue_by_priority_and_tenant(bench: Bench) -> None:
    bench = with_limits(bench, a={"weight": 2.0})
    for tenant in ("a", "unnamed"):
        await create(bench, tenant, priority="batch")
    worker = bench.worker()
    while await bench.work(worker):
        pass
    counted = {
        (sample.labels["priority"], sample.labels["tenant"]): sample.value
        for family in worker.metrics.waits.collect()
        for sample in family.samples
        if sample.name.endswith("_count") and sample.value
    }
    assert counted == {("batch", "a"): 1, ("batch", "other"): 1}


@pytest.mark.parametrize(
    "limits",
    [
        {"A": {}},
        {"a": {"episodes": 0}},
        {"a": {"weight": 0}},
        {"a": {"speed": 1}},
        {f"t{number}": {} for number in range(51)},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="tenant_limits"):
        OrchestratorSettings.model_validate({"tenant_limits": limits})


def test_an_empty_variable_sets_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_TENANT_LIMITS", "")
    assert OrchestratorSettings().tenant_limits == {}


async def test_a_raised_limit_holds_at_once(bench: Bench) -> None:
    low = with_limits(bench, a={"tokens_per_minute": 100})
    await low.jobs.spend("a", 36_000)
    assert (await low.jobs.measure_spending("a")).wait > 6 * 3600 - 120
    assert await low.jobs.find_overspent()
    high = with_limits(bench, a={"tokens_per_minute": 2_000_000})
    assert (await high.jobs.measure_spending("a")).wait == 0
    assert not await high.jobs.find_overspent()
