"""A lease that ran out is reported to the worker that takes the job next; one that was given back is not."""

import asyncio

from services.orchestrator.store.jobs import Job
from tests.orchestrator.conftest import Bench


async def _take_due(bench: Bench, worker: str) -> Job:
    """Take a job when it is due."""
    partition = bench.jobs.partitions.all[0]
    async with asyncio.timeout(60):
        while not isinstance(found := await bench.jobs.take(partition, worker), Job):
            await bench.jobs.wait(partition, min(found, 1.0))
        return found


async def test_a_job_whose_lease_ran_out_is_expired(bench: Bench) -> None:
    bench.set(lease=1)
    await bench.create("react")
    first = await _take_due(bench, "one")
    assert not first.expired
    await bench.jobs.release(first, 0)
    second = await _take_due(bench, "one")
    assert (second.resumed, second.expired) == (True, False)
    third = await _take_due(bench, "two")
    assert (third.resumed, third.expired) == (True, True)


async def test_a_worker_counts_lost_leases_and_measures_redis(bench: Bench) -> None:
    bench.set(lease=1)
    await bench.create("react")
    await _take_due(bench, "dead")
    worker = bench.worker("two", lease=1)
    await worker.begin(await _take_due(bench, "two"))
    assert worker.metrics.leases_lost._value.get() == 1
    await worker.sweeper.sweep()
    memory = {
        sample.labels["kind"]: sample.value
        for family in worker.metrics.redis.collect()
        for sample in family.samples
    }
    assert 0 < memory["used"] < memory["limit"]
