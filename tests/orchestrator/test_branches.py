"""Branches: the same log wherever they run, forks, shares of the budget, and what happens when they break."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import Context
from services.contracts.episode import Budget, Episode, State
from services.contracts.event import EventType
from services.orchestrator.durable.replay import replay_episode
from services.orchestrator.ports import ACT, Committed, Spec, World
from services.orchestrator.search import METHODS
from services.orchestrator.search.method import Method
from services.orchestrator.settings import Branches
from tests.orchestrator.conftest import Bench, KilledError, shape
from tests.orchestrator.test_replay import kill_at, script

WAYS = [Branches.LOCAL, Branches.SPREAD]


class Node(BaseModel):
    depth: int
    action: str = "north"


class Found(BaseModel):
    branch: str
    cell: str
    below: int = 0


async def _query(world: World, spec: Spec) -> None:
    await world.query(ACT, ActionRequest(context=Context(environment=spec.brief, task=spec.instruction)))


async def grow(world: World, spec: Spec) -> Committed:
    """A small tree: forks of one session, handed to branches that fork again."""
    opened = await world.open()
    await world.step(opened.session, "north")
    numbers = await world.draw(2)
    branches: list[str] = []
    for place in range(2):
        forked = await world.fork(opened.session, at_step=place)
        branches.append(await world.spawn("node", Node(depth=1), session=forked.session, parts=2 - place))
    outcomes = [Found.model_validate(outcome.result) for outcome in await world.gather(branches)]
    best = max(outcomes, key=lambda found: (found.cell, found.branch))
    assert numbers == sorted(numbers, key=numbers.index)
    await world.close(opened.session)
    await world.note(EventType.PATH_COMMITTED, branch=best.branch)
    return Committed(branch=best.branch, ended="done", steps=1)


async def node(world: World, spec: Spec, arguments: dict[str, Any]) -> Found:
    """Take a step in the session that was handed down, and grow one level further."""
    given = Node.model_validate(arguments)
    session = world.inherited
    assert session is not None
    await _query(world, spec)
    seen = await world.step(session.session, given.action)
    below = 0
    if given.depth < 2:
        forked = await world.fork(session.session)
        child = await world.spawn("node", Node(depth=given.depth + 1), session=forked.session)
        [outcome] = await world.gather([child])
        below = 1 + Found.model_validate(outcome.result).below
    await world.close(session.session)
    return Found(branch=world.branch, cell=seen.observation, below=below)


async def race(world: World, spec: Spec) -> Committed:
    """Two branches, of which the first to close wins and the other is ended."""
    branches = [await world.spawn("run", Node(depth=depth), parts=3 - depth) for depth in (1, 2)]
    won = await world.first(branches)
    await world.cancel([branch for branch in branches if branch != won.branch])
    await world.note(EventType.PATH_COMMITTED, branch=won.branch)
    return Committed(branch=won.branch, ended="done", steps=1)


async def run(world: World, spec: Spec, arguments: dict[str, Any]) -> Found:
    """Take as many steps as the depth."""
    opened = await world.open()
    for _ in range(Node.model_validate(arguments).depth):
        await _query(world, spec)
        await world.step(opened.session, "north")
    await world.close(opened.session)
    return Found(branch=world.branch, cell="")


async def flood(world: World, spec: Spec) -> Committed:
    """Open branches without a bound."""
    while True:
        await world.spawn("run", Node(depth=0))


async def broken(world: World, spec: Spec) -> Committed:
    """Open a branch whose body raises."""
    await world.gather([await world.spawn("bug", Node(depth=0))])
    raise AssertionError("it is not reached")


async def bug(world: World, spec: Spec, arguments: dict[str, Any]) -> Found:
    """Raise."""
    raise ZeroDivisionError("in a body")


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: Any = {"node": node, "run": run, "bug": bug}
    for method in (grow, race, flood, broken):
        made = Method(name=method.__name__, version="1", run=method, bodies=bodies)
        monkeypatch.setitem(METHODS, made.name, made)


OPTIONS: dict[str, dict[str, Any]] = {
    "react": {},
    "tmbr": {"max_steps": 4},
    "tmbr parallel": {"max_steps": 4, "num_path": 3, "params": {"parallel": True}},
    "grow": {},
}


async def play(bench: Bench, name: str, fatal: int | None = None) -> tuple[Episode, Any]:
    """Play an episode by two workers in turn; one dies at a call. Its end, and each branch's log."""
    script(bench)
    if name == "tmbr parallel":
        bench.roles.good_by = lambda context: 0.0  # so that no path is ended early
    revive = None if fatal is None else kill_at(bench, fatal)
    episode, _ = await bench.create(name.split(maxsplit=1)[0], **OPTIONS[name])
    workers = [bench.worker("one"), bench.worker("two")]
    if revive is not None:
        with pytest.raises(KilledError):
            await bench.finish(episode, *workers)
        revive()
    found = await bench.finish(episode, *workers)
    return found, shape(await bench.store.events(episode))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OPTIONS)
async def test_a_method_writes_the_same_log_wherever_it_runs_and_whenever_a_worker_dies(
    bench: Bench, name: str, way: Branches
) -> None:
    bench.set(branches=Branches.LOCAL)
    whole, expected = await play(bench, name)
    assert whole.state is State.COMPLETED
    calls = len(bench.roles.calls)
    bench.set(branches=way)
    for fatal in (None, *range(1, calls + 1)):
        found, log = await play(bench, name, fatal)
        assert found.result == whole.result, f"killed at call {fatal}"
        assert log == expected, f"killed at call {fatal}"
    assert bench.environment.corridors == {}, "every session is closed"


@pytest.mark.parametrize("way", WAYS)
async def test_a_tree_of_forks_is_rebuilt_where_its_sessions_are_lost(bench: Bench, way: Branches) -> None:
    bench.set(branches=Branches.LOCAL)
    whole, expected = await play(bench, "grow")
    bench.set(branches=way)
    act, count = bench.roles.act_by, 0

    def losing(request: ActionRequest) -> list[Candidate]:
        nonlocal count
        count += 1
        bench.environment.lose_sessions()
        return act(request)

    bench.roles.act_by = losing
    episode, _ = await bench.create("grow")
    found = await bench.finish(episode)
    assert count >= 4
    assert found.result == whole.result
    assert shape(await bench.store.events(episode)) == expected


async def test_a_tree_that_was_spread_replays(bench: Bench) -> None:
    bench.set(branches=Branches.SPREAD)
    found, log = await play(bench, "grow")
    record = await bench.store.record(found.id)
    assert record is not None
    events = await bench.store.events(found.id)
    replay = await replay_episode(found, record, events)
    assert replay.identical, replay.detail
    assert replay.calls == sum(event.seq is not None for event in events)
    assert set(log) >= {"0", "0.0", "0.1", "0.0.0", "0.1.0"}
    taken = {event.branch for event in events if event.type is EventType.BRANCH_TAKEN}
    assert taken == {"0", "0.0", "0.1", "0.0.0", "0.1.0"}
    assert found.figures is not None
    assert found.figures.forks == 4


@pytest.mark.parametrize("way", WAYS)
async def test_the_first_branch_wins_and_the_other_is_ended_and_refunded(bench: Bench, way: Branches) -> None:
    bench.set(branches=way)
    episode, record = await bench.create("race", budget=Budget(model_calls=10))
    found = await bench.finish(episode)
    assert found.state is State.COMPLETED
    [first] = await bench.data(episode, EventType.BRANCH_FIRST)
    [cancelled] = await bench.data(episode, EventType.BRANCH_CANCELLED)
    assert {first.first, *cancelled.branches} == {"0.0", "0.1"}
    assert found.result is not None
    assert found.result.branch == first.first
    events = await bench.store.events(episode)
    ends = {event.branch: event.data for event in events if event.type is EventType.BRANCH_CLOSED}
    assert {ends[branch].failure for branch in cancelled.branches} <= {"cancelled", ""}
    replay = await replay_episode(found, record, events)
    assert replay.identical, replay.detail
    for partition in bench.jobs.partitions.all:
        assert await bench.jobs.redis.zcard(partition.ready) == 0
        assert await bench.jobs.redis.zcard(partition.leases) == 0


async def test_local_branches_run_beside_one_another(bench: Bench) -> None:
    bench.set(branches=Branches.LOCAL)
    together, most = 0, 0
    answered = bench.roles._called

    async def counted(role: str) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.01)
        await answered(role)
        together -= 1

    bench.roles._called = counted  # pyright: ignore[reportAttributeAccessIssue]
    bench.roles.good_by = lambda context: 0.0
    await bench.run("tmbr", num_path=4, params={"parallel": True})
    assert most == 4


async def test_a_parent_that_waits_for_jobs_holds_no_slot(bench: Bench) -> None:
    bench.set(branches=Branches.SPREAD)
    episode, _ = await bench.create("tmbr", num_path=2, params={"parallel": True})
    worker = bench.worker()
    assert (await bench.work(worker) or pytest.fail("no job")).branch == "0"
    assert worker.slots._busy == 0
    branches = bench.jobs.partitions.of(episode).episode(episode, "branches")
    assert await bench.jobs.redis.hget(branches, "0:state") == b"waiting"
    jobs = [await bench.take(), await bench.take(), await bench.take()]
    assert [job and job.branch for job in jobs] == ["0.0", "0.1", None]


async def test_auto_spreads_what_finds_no_slot(bench: Bench) -> None:
    bench.set(branches=Branches.AUTO)
    episode, _ = await bench.create("tmbr", num_path=3, params={"parallel": True})
    bench.roles.good_by = lambda context: 0.0
    await bench.finish(episode, bench.worker("one", worker_concurrency=2))
    places = [data.place.value for data in await bench.data(episode, EventType.BRANCH_OPENED)]
    assert set(places) == {"local", "job"}


# Budgets


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", [{}, {"params": {"parallel": True}}])
@pytest.mark.parametrize("calls", range(1, 14))
async def test_a_budget_of_calls_is_never_exceeded(
    bench: Bench, way: Branches, options: dict[str, Any], calls: int
) -> None:
    bench.set(branches=way)
    script(bench)
    episode = await bench.run("tmbr", max_steps=4, num_path=3, budget=Budget(model_calls=calls), **options)
    assert len(bench.roles.calls) <= calls
    assert episode.figures is not None
    assert episode.figures.usage.calls == len(bench.roles.calls)


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_branch_leaves_of_its_share_returns(bench: Bench, way: Branches) -> None:
    bench.set(branches=way)
    script(bench)
    whole = await bench.run("tmbr", max_steps=4)
    calls = len(bench.roles.calls)
    script(bench)
    bench.set(branches=way)
    again = await bench.run("tmbr", max_steps=4, budget=Budget(model_calls=calls))
    assert again.result == whole.result, "the budget is just enough"


async def test_a_full_log_ends_the_episode_by_budget(bench: Bench) -> None:
    bench.set(max_events=12)
    bench.roles.act_by = lambda request: [Candidate(action="look", well_formed=True)]
    found = await bench.run("react", max_steps=50)
    assert found.result is not None
    assert found.result.ended == "budget"
    [exhausted] = await bench.data(found.id, EventType.BUDGET_EXHAUSTED)
    assert exhausted.limit == "log"


@pytest.mark.parametrize("way", WAYS)
async def test_branches_without_bound_meet_a_limit(bench: Bench, way: Branches) -> None:
    bench.set(branches=way, max_branches=5)
    episode, _ = await bench.create("flood")
    found = await bench.finish(episode)
    assert found.failure is not None
    assert found.failure.reason == "budget"
    [exhausted] = await bench.data(episode, EventType.BUDGET_EXHAUSTED)
    assert exhausted.limit == "branches"
    assert len(await bench.events(episode, EventType.BRANCH_OPENED)) == 4


# What breaks


@pytest.mark.parametrize("way", list(Branches))
async def test_a_body_that_raises_ends_its_branch_and_the_episode(bench: Bench, way: Branches) -> None:
    bench.set(branches=way)
    episode, _ = await bench.create("broken")
    found = await bench.finish(episode)
    assert found.state is State.FAILED
    assert found.failure is not None
    assert (found.failure.reason, found.failure.detail) == ("error", "ZeroDivisionError: in a body")
    [closed] = await bench.data(episode, EventType.BRANCH_CLOSED)
    assert (closed.failure, closed.detail) == ("error", "ZeroDivisionError: in a body")


@pytest.mark.parametrize("way", WAYS)
async def test_a_judge_that_is_away_at_the_end_undoes_no_path(bench: Bench, way: Branches) -> None:
    bench.set(branches=way, outage_grace=0.0)
    script(bench)
    answered = bench.roles._called
    calls: list[str] = []

    async def failing(role: str) -> None:
        calls.append(role)
        if role == "judge" and len(bench.environment.corridors) == 0:  # every path has ended
            bench.roles.away.add("judge")
        await answered(role)

    bench.roles._called = failing  # pyright: ignore[reportAttributeAccessIssue]
    episode, _ = await bench.create("tmbr", num_subtasks=0, num_path=2, num_branch=1, max_steps=3)
    found = await bench.finish(episode)
    assert found.state is State.COMPLETED
    assert found.result is not None
    assert (found.result.good_enough, found.result.steps) == (False, 3)
