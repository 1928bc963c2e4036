"""Nothing twice, nothing lost: replay, take-over, fences, outages."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import TriedPath
from services.contracts.episode import Episode, Figures, Result, State
from services.contracts.event import EVENTS, EventType
from services.contracts.event_data import Parking
from services.kit.failures import OutageError
from services.orchestrator import identity
from services.orchestrator.durable.replay import replay_episode
from services.orchestrator.search.path import PathArguments
from services.orchestrator.settings import Branches
from services.orchestrator.store.episodes import Record
from services.orchestrator.store.errors import AheadError, FencedError, OverError
from services.orchestrator.store.jobs import Job, Line
from services.orchestrator.store.log import pack
from tests.orchestrator.conftest import Bench, KilledError, shape

HEALTH = [HealthCheck.function_scoped_fixture]
LOGS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "logs").glob("*.json"))
}
"""Logs that release 0.1 wrote."""


def branching(request: ActionRequest) -> list[Candidate]:
    steps = len(request.context.turns)
    action = "north" if request.context.tried or steps % 2 == 0 else "south"
    return [Candidate(action=action, well_formed=True), Candidate(action="look", well_formed=True)]


def script(bench: Bench) -> None:
    bench.roles.act_by = branching
    bench.roles.good_by = lambda context: float(bool(context.tried))
    bench.roles.calls.clear()


def kill_at(bench: Bench, fatal: int) -> Callable[[], None]:
    """Let the worker die at a call of a role: it writes nothing more. Returns what revives it."""
    answered, append = bench.roles._called, bench.jobs._append
    count = 0

    async def dead(**_: Any) -> None:
        raise KilledError

    async def deadly(role: str) -> None:
        nonlocal count
        count += 1
        if count == fatal:
            bench.jobs._append = dead
            raise KilledError
        await answered(role)

    def revive() -> None:
        bench.roles._called, bench.jobs._append = answered, append  # pyright: ignore[reportAttributeAccessIssue]

    bench.roles._called = deadly  # pyright: ignore[reportAttributeAccessIssue]
    return revive


async def check_killed_anywhere(bench: Bench, method: str, whole: Episode, **options: Any) -> None:
    """Check that a worker's death at any call of an episode changes neither its result nor its log.

    Args:
        bench: It plays the episode again, once for each call.
        method: The episode's.
        whole: The episode as it is without a death; no other call was made on the bench.
        options: Those of the episode.
    """
    calls = len(bench.roles.calls)
    events = await bench.store.events(whole.id)
    for fatal in range(1, calls + 1):
        revive = kill_at(bench, fatal)
        episode, _ = await bench.create(method, **options)
        with pytest.raises(KilledError):
            await bench.finish(episode)
        revive()
        found = await bench.finish(episode)
        assert found.result == whole.result
        assert shape(await bench.store.events(episode)) == shape(events)
    record = await bench.store.record(whole.id)
    assert record is not None
    replay = await replay_episode(whole, record, events)
    assert replay.identical, replay.detail


@settings(max_examples=25, deadline=None, suppress_health_check=HEALTH)
@given(data=st.data())
async def test_a_worker_killed_anywhere_is_taken_over_as_if_nothing_had_happened(
    bench: Bench, data: st.DataObject
) -> None:
    script(bench)
    bench.environment.lose_sessions()
    bench.environment.steps = 0
    whole = await bench.run("tmbr", max_steps=4, params={"margin": 0.0})
    calls, steps = len(bench.roles.calls), bench.environment.steps
    expected = shape(await bench.store.events(whole.id))

    script(bench)
    bench.environment.steps = 0
    revive = kill_at(bench, data.draw(st.integers(1, calls), label="the call at which the worker dies"))
    episode, _ = await bench.create("tmbr", max_steps=4, params={"margin": 0.0})
    with pytest.raises(KilledError):
        await bench.finish(episode)
    revive()
    if data.draw(st.booleans(), label="the environment restarts too"):
        bench.environment.lose_sessions()
        steps += steps  # rebuilt sessions take their steps again
    found = await bench.finish(episode)

    assert found.result == whole.result
    assert len(bench.roles.calls) <= calls + 2, "only the call and the answer in flight are lost"
    assert bench.environment.steps <= steps
    assert shape(await bench.store.events(episode)) == expected


async def test_a_replay_is_identical_and_calls_nothing(bench: Bench) -> None:
    script(bench)
    found = await bench.run("tmbr", max_steps=4, params={"margin": 0.0})
    record = await bench.store.record(found.id)
    assert record is not None
    before = list(bench.roles.calls)
    replay = await replay_episode(found, record, await bench.store.events(found.id))
    assert replay.identical, replay.detail
    assert replay.calls > len(before)
    assert bench.roles.calls == before


async def test_a_changed_log_is_found_to_be_nondeterministic(bench: Bench) -> None:
    script(bench)
    found = await bench.run("react", max_steps=4)
    record = await bench.store.record(found.id)
    assert record is not None
    events = await bench.store.events(found.id)
    forged = [
        event.model_copy(update={"data": event.data.model_copy(update={"observation": "You are elsewhere."})})
        if event.type is EventType.SESSION_OPENED
        else event
        for event in events
    ]
    replay = await replay_episode(found, record, forged)
    assert not replay.identical
    assert "was recorded as" in replay.detail


# Logs of the release before


@pytest.mark.parametrize("name", LOGS)
async def test_a_log_of_the_previous_release_replays(name: str) -> None:
    kept = LOGS[name]
    record = Record.model_validate(kept["record"], extra="ignore")
    events = [EVENTS.validate_python({**raw, "id": entry}, extra="ignore") for entry, raw in kept["log"]]
    episode = Episode.model_validate(
        {
            "id": kept["episode"],
            "state": kept["state"],
            "request": kept["record"]["request"],
            "result": kept["result"],
            "created_at": events[0].at,
        }
    )
    replay = await replay_episode(episode, record, events)
    assert replay.identical, replay.detail
    assert replay.calls == sum(event.seq is not None for event in events)


LOSE_TAIL = """
local log = redis.call('XREVRANGE', KEYS[1], '+', '-')
for place, entry in ipairs(log) do
  local seq = cjson.decode(entry[2][2]).seq
  if place <= tonumber(ARGV[1]) then
    redis.call('XDEL', KEYS[1], entry[1])
  elseif seq then
    return redis.call('HSET', KEYS[2], '0:seq', seq)
  end
end
"""


class Request(BaseModel):
    text: str
    n: int = 1


class LaterRequest(Request):
    depth: int = 3


def test_a_field_that_a_later_release_adds_changes_no_digest() -> None:
    assert identity.digest("ask", Request(text="a")) == identity.digest("ask", LaterRequest(text="a"))
    assert identity.digest("ask", Request(text="a")) == identity.digest("ask", Request(text="a", n=1))
    assert identity.digest("ask", LaterRequest(text="a", depth=4)) != identity.digest(
        "ask", Request(text="a")
    )


def test_a_field_within_a_request_changes_neither_digest() -> None:
    """The digest of release 0.1 covers defaults too, but no field that it did not have, at any depth."""
    arguments = PathArguments(tried=[TriedPath(actions=["look"]), TriedPath(actions=["wait"])])
    known = '{"tried":[{"actions":["look"]},{"actions":["wait"]}],"plan":[]}'
    assert identity.digest_whole("spawn", arguments) == identity.digest_whole("spawn", known)
    lesson = PathArguments(tried=[TriedPath(actions=["look"], lesson="go on"), arguments.tried[1]])
    assert identity.digest("spawn", lesson) != identity.digest("spawn", arguments)


# Fences


def line(branch: str, seq: int | None = None, kind: EventType = EventType.BACKTRACKED) -> Line:
    data = {"path": 1, "from_branch": "0.0"}
    return Line("", branch, seq, pack(kind, 0.0, branch=branch, seq=seq, data=data))


async def test_a_worker_that_was_taken_over_can_write_nothing(bench: Bench) -> None:
    episode, _ = await bench.create("react")
    entered, released = asyncio.Event(), asyncio.Event()
    answered = bench.roles._called

    async def slow(role: str) -> None:
        entered.set()
        await released.wait()
        await answered(role)

    bench.roles._called = slow  # pyright: ignore[reportAttributeAccessIssue]
    old = asyncio.create_task(bench.work(bench.worker("old")))
    await entered.wait()
    bench.roles._called = answered  # pyright: ignore[reportAttributeAccessIssue]
    found = await bench.finish(episode, bench.worker("new"))
    steps = bench.environment.steps
    released.set()
    await old
    assert found.state is State.COMPLETED
    assert bench.environment.steps == steps
    assert len(await bench.events(episode, EventType.EPISODE_COMPLETED)) == 1


async def take(bench: Bench) -> Job:
    await bench.hurry()
    job = await bench.take()
    assert job is not None
    return job


async def test_an_epoch_fences_the_one_before_and_everything_it_ran(bench: Bench) -> None:
    episode, _ = await bench.create("tmbr")
    first = await take(bench)
    opened = pack(EventType.BRANCH_OPENED, 0.0, branch="0", seq=0, data={"opened": "0.0", "body": "path"})
    await bench.jobs.append(first, [Line("open", "0", 0, opened, "0.0"), line("0.0", 0)])
    second = await take(bench)
    assert (second.branch, second.epoch > first.epoch, second.resumed) == ("0", True, True)
    with pytest.raises(FencedError):
        await bench.jobs.append(first, [line("0.0", 1)])
    with pytest.raises(FencedError):
        await bench.jobs.release(first, 0)
    await bench.jobs.append(second, [line("0.0", 1)])
    assert [event.seq for event in await bench.store.events(episode) if event.branch == "0.0"] == [0, 1]


async def test_a_parent_that_is_taken_over_leaves_jobs_below_it_alone(bench: Bench) -> None:
    await bench.create("tmbr")
    first = await take(bench)
    opened = pack(EventType.BRANCH_OPENED, 0.0, branch="0", seq=0, data={"opened": "0.0", "body": "path"})
    await bench.jobs.append(first, [Line("open-job", "0", 0, opened, "0.0")])
    child = await bench.take("other")
    assert child is not None
    assert child.branch == "0.0"
    for partition in bench.jobs.partitions.all:  # the parent's worker is gone, the child's is not
        await bench.jobs.redis.zadd(partition.leases, {first.id: 0}, xx=True)
    second = await bench.take()
    assert second is not None
    assert second.branch == "0"
    await bench.jobs.append(child, [line("0.0", 0)])
    assert await bench.jobs.renew(bench.jobs.partitions.all[0], [child, second, first]) == {
        first.id: "fenced"
    }


async def test_no_branch_and_no_episode_ends_behind_the_tail_of_its_log(bench: Bench) -> None:
    """The tail is lost when only the end was still to be written."""
    await bench.create("tmbr")
    job = await take(bench)
    opened = pack(EventType.BRANCH_OPENED, 0.0, branch="0", seq=0, data={"opened": "0.0", "body": "path"})
    await bench.jobs.append(job, [Line("open", "0", 0, opened, "0.0"), line("0.0", 0), line("0.0", 1)])
    closing = pack(EventType.BRANCH_CLOSED, 0.0, branch="0.0", data={"failure": "x"})
    for last in ("0", "2"):
        with pytest.raises(AheadError):
            await bench.jobs.append(job, [Line("close", "0.0", None, closing, last)])
    with pytest.raises(AheadError):
        await bench.jobs.park(job, Parking(branches=["0.0"]), last=1)
    result = Result(branch="0.0", score=0.0, success=False, ended="done", steps=0)
    with pytest.raises(AheadError):
        await bench.jobs.complete(job, result, Figures(), last=1)
    await bench.jobs.append(job, [line("0.0", 2), Line("close", "0.0", None, closing, "2")])
    await bench.jobs.complete(job, result, Figures(), last=0)


@pytest.mark.parametrize("seq", [1, 0])
async def test_the_log_of_a_branch_has_no_gap_and_no_double(bench: Bench, seq: int) -> None:
    episode, _ = await bench.create("react")
    job = await take(bench)
    if seq == 0:
        await bench.jobs.append(job, [line("0", 0)])
    with pytest.raises(AheadError):
        await bench.jobs.append(job, [line("0", seq)])
    assert len(await bench.events(episode, EventType.BACKTRACKED)) == 1 - seq


async def test_a_worker_that_is_ahead_of_its_log_begins_again_from_the_log(bench: Bench) -> None:
    """Redis loses the tail of a log while worker and environment live on."""
    script(bench)
    whole = await bench.run("react", max_steps=4)
    episode, _ = await bench.create("react", max_steps=4)
    partition = bench.jobs.partitions.of(episode)
    answered = bench.roles._called
    calls = 0

    async def losing(role: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 6:
            keys = [bench.jobs.log_key(episode), partition.episode(episode, "branches")]
            await bench.jobs.redis.eval(LOSE_TAIL, 2, *keys, 3)
        await answered(role)

    bench.roles._called = losing  # pyright: ignore[reportAttributeAccessIssue]
    found = await bench.finish(episode)
    assert (found.state, found.result) == (State.COMPLETED, whole.result)
    seqs = [event.seq for event in await bench.events(episode) if event.seq is not None]
    assert seqs == list(range(len(seqs)))


async def test_a_log_with_a_gap_ends_the_episode_and_loops_not(bench: Bench) -> None:
    script(bench)
    episode, _ = await bench.create("react", max_steps=4)
    revive = kill_at(bench, 6)
    with pytest.raises(KilledError):
        await bench.work()
    revive()
    middle = [event for event in await bench.events(episode) if event.seq == 2]
    await bench.jobs.redis.xdel(bench.jobs.log_key(episode), middle[0].id)
    found = await bench.finish(episode)
    assert found.failure is not None
    assert (found.failure.reason, "gap" in found.failure.detail) == ("error", True)


async def test_a_session_that_is_ahead_of_its_log_is_rebuilt_from_it(bench: Bench) -> None:
    episode, _ = await bench.create("react", max_steps=6)
    timed = await bench.environment.open(
        (await bench.get(episode)).request, f"{episode}/0/s0", 0
    )  # the session of a run whose log is lost
    await bench.environment.step(timed.state.session_id, "look", "0/1", 0)
    found = await bench.finish(episode)
    assert found.state is State.COMPLETED
    assert found.result is not None
    assert (found.result.success, found.result.steps) == (True, 3)
    assert bench.environment.opened == 2


async def test_a_run_that_is_fenced_opens_no_session(bench: Bench) -> None:
    episode, _ = await bench.create("react")
    entered, released = asyncio.Event(), asyncio.Event()
    step = bench.environment.step

    async def slow(*given: Any) -> Any:
        entered.set()
        await released.wait()
        return await step(*given)

    bench.environment.step = slow  # pyright: ignore[reportAttributeAccessIssue]
    old = asyncio.create_task(bench.work(bench.worker("old")))
    await entered.wait()
    bench.environment.step = step  # pyright: ignore[reportAttributeAccessIssue]
    assert (await bench.finish(episode, bench.worker("new"))).state is State.COMPLETED
    opened = bench.environment.opened
    released.set()
    await old
    assert (bench.environment.opened, bench.environment.corridors) == (opened, {})


async def test_a_cancelled_episode_takes_no_further_event(bench: Bench) -> None:
    episode, _ = await bench.create("react")
    job = await take(bench)
    await bench.store.cancel(episode)
    with pytest.raises(OverError):
        await bench.jobs.append(job, [line("0", 0)])
    with pytest.raises(OverError):
        await bench.store.cancel(episode)
    await bench.hurry()
    assert await bench.take() is None
    assert (await bench.events(episode))[-1].type is EventType.EPISODE_CANCELLED


# Outages


async def test_a_short_outage_pauses_and_a_long_one_fails(bench: Bench) -> None:
    episode, _ = await bench.create("react")
    bench.roles.away.add("actor")
    await bench.work()
    assert (await bench.get(episode)).state is State.RUNNING
    assert await bench.jobs.outages(episode) != {}
    bench.roles.away.clear()
    assert (await bench.finish(episode)).state is State.COMPLETED

    episode, _ = await bench.create("react")
    bench.roles.away.add("actor")
    await bench.work()
    bench.set(outage_grace=0.0)
    found = await bench.finish(episode)
    assert found.state is State.FAILED
    assert found.failure is not None
    assert found.failure.reason == "actor"
    assert found.result is None, "what infrastructure broke has no score"


@pytest.mark.parametrize("branches", list(Branches))
async def test_a_path_that_broke_does_not_end_the_episode(bench: Bench, branches: Branches) -> None:
    refusals = 0

    def act(request: ActionRequest) -> list[Candidate]:
        nonlocal refusals
        if len(request.context.turns) == 2 and refusals < 2:
            refusals += 1
            raise OutageError("actor", "scripted")
        return [Candidate(action="north", well_formed=True)]

    bench.roles.act_by = act
    bench.set(branches=branches)
    episode, _ = await bench.create("tmbr")
    while not refusals:
        await bench.work()
    bench.set(outage_grace=0.0)
    found = await bench.finish(episode)
    assert found.state is State.COMPLETED
    assert found.result is not None
    assert found.result.branch == "0.1"


async def test_a_diverged_path_is_opened_again_once(bench: Bench) -> None:
    lost = 0

    def act(request: ActionRequest) -> list[Candidate]:
        nonlocal lost
        if len(request.context.turns) == 1 and lost < 1:
            lost += 1
            bench.environment.lose_sessions()
            bench.environment.drift = True
        return [Candidate(action="north", well_formed=True)]

    bench.roles.act_by = act
    found = await bench.run("tmbr", num_path=1)
    assert found.state is State.COMPLETED
    assert found.result is not None
    assert found.result.branch == "0.1"
    assert len(await bench.events(found.id, EventType.PATH_DIVERGED)) == 1


@pytest.mark.parametrize("drift", [False, True])
async def test_a_rebuilt_session_is_compared_by_its_essence(bench: Bench, drift: bool) -> None:
    bench.environment.numbered = True
    lost = 0

    def act(request: ActionRequest) -> list[Candidate]:
        nonlocal lost
        if len(request.context.turns) == 1 and lost < 1:
            lost += 1
            bench.environment.lose_sessions()
            bench.environment.drift = drift
        return [Candidate(action="north", well_formed=True)]

    bench.roles.act_by = act
    found = await bench.run("tmbr", num_path=1)
    assert found.state is State.COMPLETED
    assert bench.environment.opened > 1
    assert len(await bench.events(found.id, EventType.PATH_DIVERGED)) == drift
