"""Faults that a review of branches, leases and budgets found."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import BaseModel

from services.contracts.action import ActionRequest, Candidate
from services.contracts.episode import Budget, State
from services.contracts.event import EventType
from services.kit.failures import BusyError, OutageError
from services.orchestrator.durable.replay import replay_episode
from services.orchestrator.environments import SessionLostError
from services.orchestrator.ports import Committed, Spec, World
from services.orchestrator.search import METHODS
from services.orchestrator.search.method import Method
from services.orchestrator.settings import Branches
from services.orchestrator.store.errors import UnreadableError
from tests.orchestrator.conftest import Bench
from tests.orchestrator.test_branches import Found, Node, _query, bug, run

WAYS = [Branches.LOCAL, Branches.SPREAD]


class Nothing(BaseModel):
    pass


async def twice(world: World, spec: Spec) -> Committed:
    """Gather one branch twice."""
    branch = await world.spawn("run", Node(depth=1))
    outcomes = await world.gather([branch, branch])
    assert outcomes[0] == outcomes[1]
    return Committed(branch=branch, ended="done", steps=1)


async def strange(world: World, spec: Spec) -> Committed:
    """Gather a branch that is another one's."""
    await world.gather(["0.7.7"])
    raise AssertionError("it is not reached")


async def careless(world: World, spec: Spec) -> Committed:
    """Open a branch that opens another one and does not wait for it; then spend what is left."""
    await world.gather([await world.spawn("leaves", Nothing())])
    for _ in range(10):
        await _query(world, spec)
    return Committed(branch="0", ended="done", steps=0)


async def leaves(world: World, spec: Spec, arguments: dict[str, Any]) -> Found:
    """Open a branch and close before it has come far."""
    await world.spawn("run", Node(depth=4))
    await asyncio.sleep(0.05)
    return Found(branch=world.branch, cell="")


async def forks(world: World, spec: Spec) -> Committed:
    """Fork a session."""
    opened = await world.open()
    await world.step(opened.session, "north")
    forked = await world.fork(opened.session)
    await world.step(forked.session, "north")
    await world.close(forked.session)
    await world.note(EventType.PATH_COMMITTED, branch=world.branch)
    return Committed(branch=world.branch, ended="done", steps=2)


async def broken(world: World, spec: Spec) -> Committed:
    """Open a branch whose body raises."""
    await world.gather([await world.spawn("bug", Node(depth=0))])
    return Committed(branch="0", ended="done", steps=0)


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: Any = {"run": run, "leaves": leaves, "bug": bug}
    for method in (twice, strange, careless, forks, broken):
        made = Method(name=method.__name__, version="1", run=method, bodies=bodies)
        monkeypatch.setitem(METHODS, made.name, made)


async def test_a_job_that_a_worker_got_twice_keeps_its_lease(bench: Bench) -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def slow(role: str) -> None:
        entered.set()
        await released.wait()

    bench.roles._called = slow  # pyright: ignore[reportAttributeAccessIssue]
    await bench.create("react")
    worker = bench.worker()
    first = await bench.take()
    assert first is not None
    before = worker.begin(first)
    await entered.wait()
    await bench.hurry()
    again = await bench.take()
    assert again is not None
    task = worker.begin(again)
    await asyncio.gather(before, return_exceptions=True)
    assert worker._held == {again.id: again}
    await worker.renew()
    released.set()
    await task
    assert (await bench.get(again.episode)).state is State.COMPLETED


async def test_a_part_that_answers_429_or_refuses_is_not_away(bench: Bench) -> None:
    bench.set(outage_grace=3600)
    episode, _ = await bench.create("react")
    key = bench.jobs.partitions.of(episode).episode(episode, "branches")
    bench.roles.away = {"actor"}
    await bench.work()
    assert set(await bench.jobs.outages(episode)) == {"0"}
    bench.roles.away, bench.roles.busy = set(), {"actor"}
    await bench.hurry()
    await bench.work()
    assert await bench.jobs.outages(episode) == {}
    await bench.jobs.redis.hset(key, "0:outage", time.time())
    answered = bench.roles._called

    async def full(role: str) -> None:
        raise BusyError(role, "its queue here is full", 1.0, answered=False)

    bench.roles._called = full  # pyright: ignore[reportAttributeAccessIssue]
    await bench.hurry()
    await bench.work()
    assert set(await bench.jobs.outages(episode)) == {"0"}, "the part has answered nothing"
    bench.roles._called, bench.roles.busy = answered, set()  # pyright: ignore[reportAttributeAccessIssue]
    assert (await bench.finish(episode)).state is State.COMPLETED


@pytest.mark.parametrize("error", [BusyError, OutageError])
async def test_a_branch_waits_for_a_part_while_its_siblings_run(bench: Bench, error: type) -> None:
    """One path meets a part that cannot answer now; it goes on before the other one has ended."""
    bench.set(branches=Branches.LOCAL, outage_pause=0.05)
    refused, order = 0, list[int]()

    async def act(role: str) -> None:
        await asyncio.sleep(0.02)

    def refusing(request: ActionRequest) -> list[Candidate]:
        nonlocal refused
        first = request.seed is not None and request.seed < 1000
        if first and not refused and request.context.turns:
            refused += 1
            raise error("actor", "now", 0.05) if error is BusyError else error("actor", "now")
        order.append(0 if first else 1)
        return [Candidate(action="look", well_formed=True)]

    bench.roles._called, bench.roles.act_by = act, refusing  # pyright: ignore[reportAttributeAccessIssue]
    bench.roles.good_by = lambda context: 0.0
    options: dict[str, Any] = {"num_path": 2, "num_branch": 1, "num_subtasks": 0, "max_steps": 60}
    await bench.create("tmbr", params={"parallel": True}, **options)
    job = await bench.work()
    assert job is not None
    assert (await bench.get(job.episode)).state is State.COMPLETED, "in one run"
    last_of_other = len(order) - 1 - order[::-1].index(1)
    assert order[:last_of_other].count(0) > 2, "the first path went on beside the other"


async def test_a_diverged_path_leaves_its_siblings_their_budget(bench: Bench) -> None:
    bench.set(branches=Branches.LOCAL)
    lost = 0

    def act(request: ActionRequest) -> list[Candidate]:
        nonlocal lost
        first = request.seed is not None and request.seed < 1000
        if first and len(request.context.turns) == 1 and not lost:
            lost += 1
            bench.environment.lose = 100
        elif not first:
            bench.environment.lose = 0
        return [Candidate(action="north", well_formed=True)]

    bench.roles.act_by = act
    options: dict[str, Any] = {"num_path": 2, "num_branch": 1, "num_subtasks": 0}
    found = await bench.run("tmbr", params={"parallel": True}, budget=Budget(model_calls=8), **options)
    assert found.state is State.COMPLETED, found.failure


@pytest.mark.parametrize("way", WAYS)
async def test_a_branch_can_be_gathered_twice_and_another_ones_not_at_all(
    bench: Bench, way: Branches
) -> None:
    bench.set(branches=way)
    assert (await bench.run("twice")).state is State.COMPLETED
    found = await bench.run("strange")
    assert found.failure is not None
    assert found.failure.detail == "ValueError: branch 0 has not opened 0.7.7"


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_branch_that_nobody_waits_for_spent_is_not_refunded(bench: Bench, way: Branches) -> None:
    bench.set(branches=way)
    bench.roles.latency = 0.001
    episode, _ = await bench.create("careless", budget=Budget(model_calls=5))
    await bench.finish(episode)
    assert len(bench.roles.calls) <= 5 + (way is Branches.LOCAL)  # a call in flight when it was ended


async def test_a_session_that_is_lost_while_a_fork_is_rebuilt_is_rebuilt_again(bench: Bench) -> None:
    fork, step, lost = bench.environment.fork, bench.environment.step, 0

    async def losing(*given: Any) -> Any:
        raise SessionLostError

    async def once(*given: Any) -> Any:
        nonlocal lost
        if bench.environment.opened == 2 and not lost:
            lost += 1
            raise SessionLostError
        return await step(*given)

    bench.environment.fork, bench.environment.step = losing, once  # pyright: ignore[reportAttributeAccessIssue]
    found = await bench.run("forks")
    assert fork is not None
    assert (found.state, lost) == (State.COMPLETED, 1), found.failure


async def test_a_body_that_broke_before_a_crash_still_ends_the_episode_as_a_bug(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set(branches=Branches.LOCAL)
    episode, record = await bench.create("broken")

    async def crash(**_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(bench.jobs, "_finish", crash)
        with pytest.raises(asyncio.CancelledError):
            await bench.work()
    found = await bench.finish(episode)
    assert found.failure is not None
    assert found.failure.reason == "error"
    assert "ZeroDivisionError: in a body" in found.failure.detail
    replay = await replay_episode(found, record, await bench.store.events(episode))
    assert "ZeroDivisionError" in replay.detail


async def test_a_branch_whose_opening_cannot_be_read_ends_and_poisons_no_queue(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set(branches=Branches.SPREAD)
    episode, _ = await bench.create("tmbr", max_steps=3)
    await bench.work()

    def unreadable(*_: Any) -> None:
        raise UnreadableError("of a newer release")

    with monkeypatch.context() as patch:
        patch.setattr("services.orchestrator.store.jobs.parse_event", unreadable)
        assert await bench.work() is not None
    assert (await bench.get(episode)).state is State.FAILED


async def test_a_worker_that_has_nothing_to_write_leaves_no_trace(bench: Bench) -> None:
    episode, _ = await bench.create("react")
    bench.environment.busy = True
    for number in range(20):
        await bench.hurry()
        await bench.work(bench.worker(f"worker {number}"))
    assert await bench.events(episode, EventType.BRANCH_TAKEN) == []
    bench.environment.busy = False
    await bench.finish(episode, bench.worker("last"))
    assert [data.worker for data in await bench.data(episode, EventType.BRANCH_TAKEN)] == ["last"]


async def test_partitions_share_the_slots_of_a_worker(bench: Bench) -> None:
    bench.set(worker_concurrency=2)
    together = most = 0

    async def counting(role: str) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.02)
        together -= 1

    bench.roles._called = counting  # pyright: ignore[reportAttributeAccessIssue]
    redis = bench.jobs.redis
    settings = bench.jobs.settings.model_copy(update={"partitions": 16})
    spread = Bench(type(bench.store)(redis, settings), type(bench.jobs)(redis, settings), bench.roles)
    for _ in range(12):
        await spread.create("react")
    worker = spread.worker()
    worker.start()
    while await spread.live():  # noqa: ASYNC110 (the end is in Redis)
        await asyncio.sleep(0.02)
    await worker.stop()

    assert most == 2
