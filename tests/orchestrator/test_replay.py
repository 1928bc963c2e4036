"""Nothing twice, nothing lost: replay, take-over, fences, outages."""

import asyncio
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contracts.action import ActionRequest, Candidate
from services.contracts.episode import State
from services.contracts.event import Event, EventType
from services.kit.failures import OutageError
from services.orchestrator.replay import replay_episode
from services.orchestrator.store.episodes import FencedError, OverError, pack
from tests.orchestrator.conftest import Bench

HEALTH = [HealthCheck.function_scoped_fixture]


class KilledError(Exception):
    """A worker that dies at once."""


def branching(request: ActionRequest) -> list[Candidate]:
    steps = len(request.context.turns)
    action = "north" if request.context.tried or steps % 2 == 0 else "south"
    return [Candidate(action=action, well_formed=True), Candidate(action="look", well_formed=True)]


def script(bench: Bench) -> None:
    bench.roles.act_by = branching
    bench.roles.good_by = lambda context: float(bool(context.tried))
    bench.roles.calls.clear()


def shape(events: list[Event]) -> list[tuple[object, ...]]:
    return [(event.type, event.branch, event.seq, event.digest) for event in events]


@settings(max_examples=25, deadline=None, suppress_health_check=HEALTH)
@given(data=st.data())
async def test_a_worker_killed_anywhere_is_taken_over_as_if_nothing_had_happened(
    bench: Bench, data: st.DataObject
) -> None:
    script(bench)
    bench.environment.lose_sessions()
    bench.environment.steps = 0
    whole = await bench.run("tmbr", max_steps=4)
    calls, steps = len(bench.roles.calls), bench.environment.steps
    expected = shape(await bench.store.events(whole.id))

    script(bench)
    bench.environment.steps = 0
    fatal = data.draw(st.integers(1, calls), label="the call at which the worker dies")
    answered = bench.roles._called

    async def deadly(role: str) -> None:
        await answered(role)
        if len(bench.roles.calls) == fatal:
            raise KilledError

    bench.roles._called = deadly  # pyright: ignore[reportAttributeAccessIssue]
    episode, record = await bench.create("tmbr", max_steps=4)
    with pytest.raises(KilledError):
        await bench.resume(episode, record)
    await asyncio.sleep(0)
    bench.roles._called = answered  # pyright: ignore[reportAttributeAccessIssue]
    if data.draw(st.booleans(), label="the environment restarts too"):
        bench.environment.lose_sessions()
        steps += steps  # rebuilt sessions take their steps again
    told = await bench.resume(episode, record)

    assert told.result == whole.result
    assert len(bench.roles.calls) <= calls + 1, "only the call in flight is made again"
    assert bench.environment.steps <= steps
    assert shape(await bench.store.events(episode)) == expected


async def test_a_replay_is_identical_and_calls_nothing(bench: Bench) -> None:
    script(bench)
    told = await bench.run("tmbr", max_steps=4)
    record = await bench.store.record(told.id)
    assert record is not None
    before = list(bench.roles.calls)
    replay = await replay_episode(told, record, await bench.store.events(told.id))
    assert replay.identical, replay.detail
    assert replay.calls > len(before)
    assert bench.roles.calls == before


async def test_a_changed_log_is_told_as_nondeterministic(bench: Bench) -> None:
    script(bench)
    told = await bench.run("react", max_steps=4)
    record = await bench.store.record(told.id)
    assert record is not None
    events = await bench.store.events(told.id)
    forged = [
        event.model_copy(update={"data": {**event.data, "observation": "You are elsewhere."}})
        if event.type is EventType.SESSION_OPENED
        else event
        for event in events
    ]
    replay = await replay_episode(told, record, forged)
    assert not replay.identical
    assert "was recorded as" in replay.detail


async def test_a_worker_that_was_taken_over_can_write_nothing(bench: Bench) -> None:
    episode, record = await bench.create("react")
    entered, released = asyncio.Event(), asyncio.Event()
    answered = bench.roles._called

    async def slow(role: str) -> None:
        entered.set()
        await released.wait()
        await answered(role)

    bench.roles._called = slow  # pyright: ignore[reportAttributeAccessIssue]
    old = asyncio.create_task(bench.resume(episode, record))
    await entered.wait()
    bench.roles._called = answered  # pyright: ignore[reportAttributeAccessIssue]
    told = await bench.resume(episode, record)
    steps = bench.environment.steps
    released.set()
    with pytest.raises((FencedError, OverError)):
        await old
    assert told.state is State.COMPLETED
    assert bench.environment.steps == steps
    assert len(await bench.events(episode, EventType.EPISODE_COMPLETED)) == 1


async def test_taking_a_branch_fences_the_branches_below_it(bench: Bench) -> None:
    episode, _ = await bench.create("tmbr")
    root = await bench.store.take(episode, "0")
    child = await bench.store.take(episode, "0.0")
    entry = pack(EventType.PATH_ENDED, 0.0, branch="0.0")
    await bench.store.append(episode, [("0.0", child, entry)])
    assert await bench.store.take(episode, "0") == root + 1
    with pytest.raises(FencedError):
        await bench.store.append(episode, [("0.0", child, entry)])


async def test_a_cancelled_episode_takes_no_further_event(bench: Bench) -> None:
    episode, record = await bench.create("react")
    await bench.store.take(episode, "0")
    await bench.store.cancel(episode)
    with pytest.raises(OverError):
        await bench.resume(episode, record)
    with pytest.raises(OverError):
        await bench.store.cancel(episode)
    assert (await bench.events(episode))[-1].type is EventType.EPISODE_CANCELLED


async def test_a_short_outage_pauses_and_a_long_one_fails(bench: Bench) -> None:
    episode, record = await bench.create("react")
    bench.roles.away.add("actor")
    with pytest.raises(OutageError):
        await bench.resume(episode, record)
    bench.roles.away.clear()
    assert (await bench.resume(episode, record, outage_deadline=time.time() + 60)).state is State.COMPLETED

    episode, record = await bench.create("react")
    bench.roles.away.add("actor")
    with pytest.raises(OutageError):
        await bench.resume(episode, record)
    told = await bench.resume(episode, record, outage_deadline=time.time() - 1)
    assert told.state is State.FAILED
    assert told.failure is not None
    assert told.failure.reason == "actor"
    assert told.result is None, "what infrastructure broke has no score"


async def test_a_path_that_broke_does_not_end_the_episode(bench: Bench) -> None:
    refusals = 0

    def act(request: ActionRequest) -> list[Candidate]:
        nonlocal refusals
        if len(request.context.turns) == 2 and refusals < 2:
            refusals += 1
            raise OutageError("actor", "scripted")
        return [Candidate(action="north", well_formed=True)]

    bench.roles.act_by = act
    episode, record = await bench.create("tmbr")
    with pytest.raises(OutageError):
        await bench.resume(episode, record)
    told = await bench.resume(episode, record, outage_deadline=time.time() - 1)
    assert told.state is State.COMPLETED
    assert told.result is not None
    assert told.result.branch == "0.1"


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
    told = await bench.run("tmbr", num_path=1)
    assert told.state is State.COMPLETED
    assert told.result is not None
    assert told.result.branch == "0.1"
    assert len(await bench.events(told.id, EventType.PATH_DIVERGED)) == 1


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
    told = await bench.run("tmbr", num_path=1)
    assert told.state is State.COMPLETED
    assert bench.environment.opened > 1
    assert len(await bench.events(told.id, EventType.PATH_DIVERGED)) == drift


async def test_a_full_log_ends_the_episode(bench: Bench) -> None:
    tight = bench.store.settings.model_copy(update={"max_events": 10})
    bench.store.settings = tight
    bench.roles.act_by = lambda request: [Candidate(action="look", well_formed=True)]
    told = await bench.run("react", max_steps=50)
    assert told.failure is not None
    assert told.failure.reason == "limit"
