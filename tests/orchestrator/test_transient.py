"""Errors that pass: Redis cut off, parts at their limits, outages that end, sessions that are lost again."""

import asyncio
import builtins
import json
import time
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    InvalidResponse,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)

from espalier.client.calls import get_episode
from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import MAX_TEXT
from services.contracts.episode import Budget, EpisodeCreate, State
from services.contracts.event import EventType
from services.contracts.event_data import Share
from services.kit.failures import BusyError, OutageError
from services.orchestrator.durable.budget import Ledger
from services.orchestrator.durable.ground import Ground
from services.orchestrator.durable.run import Answers, Branching
from services.orchestrator.durable.slots import Slots
from services.orchestrator.durable.world import RecordedWorld
from services.orchestrator.durable.writer import LogWriter
from services.orchestrator.failures import Fate, classify
from services.orchestrator.search import METHODS
from services.orchestrator.settings import Branches, OrchestratorSettings
from services.orchestrator.store.errors import FencedError, OverError, UnreadableError
from tests.orchestrator.conftest import Bench, KilledError, shape
from tests.orchestrator.test_replay import line


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (ConnectionError("reset"), Fate.REDIS),
        (TimeoutError(), Fate.REDIS),
        (BusyLoadingError("LOADING"), Fate.REDIS),
        (InvalidResponse('Protocol error, got "H" as reply type byte'), Fate.REDIS),
        (ReadOnlyError(), Fate.REDIS),
        (OutOfMemoryError(), Fate.REDIS),
        (ResponseError("MISCONF Redis is configured to save"), Fate.REDIS),
        (
            ResponseError("Error running script (call to f_1): @user_script:1: -READONLY You can't"),
            Fate.REDIS,
        ),
        (ResponseError("Error running script: -OOM command not allowed"), Fate.REDIS),
        (ResponseError("ERR unknown command: BUSYBODY"), Fate.BUG),
        (ConnectionResetError("reset"), Fate.REDIS),
        (PermissionError("no"), Fate.BUG),
        (FileNotFoundError("no"), Fate.BUG),
        (builtins.TimeoutError("inner"), Fate.BUG),
        (ResponseError("CLUSTERDOWN the cluster is down"), Fate.REDIS),
        (ResponseError("WRONGTYPE Operation against a key"), Fate.BUG),
        (AuthenticationError("WRONGPASS"), Fate.BUG),
        (OutageError("actor", "away"), Fate.OUTAGE),
        (BusyError("actor", "full", 1), Fate.BUSY),
        (FencedError(), Fate.TAKEN),
        (OverError(), Fate.TAKEN),
        (ValueError("bug"), Fate.BUG),
    ],
)
def test_every_error_has_one_fate(error: Exception, fate: Fate) -> None:
    assert classify(error) is fate


async def test_a_connection_that_the_client_closed_under_a_call_is_no_bug() -> None:
    connection = Connection()
    with pytest.raises(AttributeError) as closed:
        await connection._send_packed_command([b"PING"])  # as a client of a cluster may
    assert classify(closed.value) is Fate.REDIS
    with pytest.raises(AttributeError) as ours:
        _ = cast(Any, None).writelines
    assert classify(ours.value) is Fate.BUG


async def test_connections_that_are_cut_lose_no_episode_and_write_nothing_twice(
    bench: Bench, settings: OrchestratorSettings
) -> None:
    whole = await bench.run("tmbr", max_steps=4)
    killer = Redis.from_url(settings.redis_url.get_secret_value())
    answered = bench.roles._called

    async def cutting(role: str) -> None:
        await answered(role)
        await killer.client_kill_filter(_type="normal", skipme=True)

    bench.roles._called = cutting  # pyright: ignore[reportAttributeAccessIssue]
    found = await bench.run("tmbr", max_steps=4)
    await killer.aclose()
    assert (found.state, found.result) == (State.COMPLETED, whole.result)
    assert shape(await bench.events(found.id)) == shape(await bench.events(whole.id))


async def test_a_batch_whose_answer_was_lost_is_written_once(bench: Bench) -> None:
    episode, _ = await bench.create()
    job = await bench.take()
    assert job is not None
    append = bench.jobs._append
    lost = 0

    async def losing(**given: Any) -> Any:
        nonlocal lost
        answer = await append(**given)
        lost += 1
        if lost < 3:
            raise ConnectionError("the answer was lost")
        return answer

    bench.jobs._append = losing
    await bench.jobs.append(job, [line("0", 0)])
    assert lost == 3
    await bench.jobs.append(job, [line("0", 1)])
    assert [event.seq for event in await bench.events(episode, EventType.BACKTRACKED)] == [0, 1]


async def test_calls_whose_answers_are_lost_are_repeated_as_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every script runs, then its answer is lost once."""
    whole = shape(await bench.events((await bench.run("tmbr", max_steps=4)).id))
    for store, name in (
        (bench.store, "_create"),
        (bench.jobs, "_take"),
        (bench.jobs, "_append"),
        (bench.jobs, "_park"),
        (bench.jobs, "_finish"),
    ):
        bench.set(branches=Branches.SPREAD)
        script = getattr(store, name)
        lost = False

        async def losing(script: Any = script, **given: Any) -> Any:
            nonlocal lost
            answer = await script(**given)
            if not lost:
                lost = True
                raise ConnectionError("the answer was lost")
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(store, name, losing)
            if name == "_take":
                episode, _ = await bench.create("tmbr", max_steps=4)
                assert await bench.work() is None, "the job is leased to nobody, until its lease runs out"
                found = await bench.finish(episode)
            else:
                found = await bench.run("tmbr", max_steps=4)
        assert lost, name
        assert found.state is State.COMPLETED
        assert shape(await bench.events(found.id)) == whole, name


async def test_an_episode_waits_while_redis_is_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    episode, _ = await bench.create()

    async def away(*_args: Any, **_given: Any) -> None:
        raise ConnectionError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(bench.jobs, "_append", away)
        patch.setattr(bench.jobs, "patience", 0.0)
        await bench.work()
    assert (await bench.get(episode)).state is State.RUNNING
    assert (await bench.finish(episode)).state is State.COMPLETED


async def test_an_outage_ends_with_the_next_live_answer(bench: Bench) -> None:
    bench.set(outage_grace=60)
    episode, _ = await bench.create()
    bench.roles.away = {"actor"}
    await bench.work()
    assert set(await bench.jobs.outages(episode)) == {"0"}
    key = bench.jobs.partitions.of(episode).episode(episode, "branches")
    await bench.store.redis.hset(key, "0:outage", time.time() - 50)
    bench.roles.away = set()
    act = bench.roles.act_by

    def dying(request: ActionRequest) -> list[Candidate]:
        if len(request.context.turns) == 2:
            raise KilledError  # in the middle of the run that recovered
        return act(request)

    bench.roles.act_by = dying
    await bench.hurry()
    with pytest.raises(KilledError):
        await bench.work()
    assert await bench.jobs.outages(episode) == {}
    bench.roles.act_by, bench.roles.away = act, {"actor"}
    await bench.hurry()
    await bench.work()
    assert (await bench.jobs.outages(episode))["0"] > time.time() - 40
    bench.roles.away = set()
    assert (await bench.finish(episode)).state is State.COMPLETED


async def test_an_outage_belongs_to_the_branch_that_meets_it(bench: Bench) -> None:
    bench.set(branches=Branches.LOCAL)
    bench.roles.act_by = lambda request: [Candidate(action="north", well_formed=True)]
    bench.roles.away = {"judge"}
    episode, _ = await bench.create("tmbr", num_path=2, num_branch=1, params={"parallel": True})
    await bench.work()
    assert set(await bench.jobs.outages(episode)) == {"0.0", "0.1"}
    bench.roles.away = set()
    found = await bench.finish(episode)
    assert found.state is State.COMPLETED
    assert await bench.jobs.outages(episode) == {}


@pytest.mark.parametrize("lose", [1, 2, 3])
async def test_a_session_that_is_lost_while_it_is_rebuilt_is_rebuilt_again(bench: Bench, lose: int) -> None:
    act = bench.roles.act_by

    def losing(request: ActionRequest) -> list[Candidate]:
        if len(request.context.turns) == 2 and not bench.environment.lose and bench.environment.opened == 1:
            bench.environment.lose = lose
        return act(request)

    bench.roles.act_by = losing
    found = await bench.run()
    assert (found.state, bench.environment.opened) == (State.COMPLETED, 1 + lose)
    assert found.result is not None
    assert found.result.success


async def test_a_session_that_is_always_lost_fails_and_is_no_bug(bench: Bench) -> None:
    bench.environment.lose = 1000
    found = await bench.run()
    assert found.failure is not None
    assert found.failure.reason == "diverged"


@pytest.mark.parametrize("part", ["actor", "environment"])
async def test_a_part_at_its_limit_is_waited_for_and_is_no_outage(bench: Bench, part: str) -> None:
    episode, _ = await bench.create()
    bench.set(outage_grace=0)
    bench.roles.busy = {part}
    bench.environment.busy = part == "environment"
    for _ in range(5):
        await bench.hurry()
        assert await bench.work() is not None
        assert await bench.take() is None, "it is laid aside"
        assert await bench.jobs.outages(episode) == {}
    bench.roles.busy, bench.environment.busy = set(), False
    assert (await bench.finish(episode)).state is State.COMPLETED


async def test_a_budget_of_time_ends_the_wait_for_a_part_at_its_limit(bench: Bench) -> None:
    episode, _ = await bench.create(budget=Budget(seconds=0.2))
    bench.environment.busy = True
    await bench.work()
    await asyncio.sleep(0.25)
    found = await bench.finish(episode)
    assert found.failure is not None
    assert found.failure.reason == "budget"


async def test_a_job_that_comes_back_takes_over_from_its_first_run(bench: Bench) -> None:
    episode, _ = await bench.create()
    works = bench.worker()
    begun, released = asyncio.Event(), asyncio.Event()
    answered = bench.roles._called

    async def slow(role: str) -> None:
        begun.set()
        await released.wait()
        await answered(role)

    bench.roles._called = slow  # pyright: ignore[reportAttributeAccessIssue]
    first = asyncio.create_task(bench.work(works))
    await begun.wait()
    bench.roles._called = answered  # pyright: ignore[reportAttributeAccessIssue]
    found = await bench.finish(episode, works)
    released.set()
    await asyncio.gather(first, return_exceptions=True)
    assert found.state is State.COMPLETED
    assert works._running == {}


# Records


async def test_a_record_of_a_newer_release_is_read(bench: Bench) -> None:
    episode, _ = await bench.create()
    key = bench.store.partitions.of(episode).episode(episode)
    spec = (await bench.store.redis.hget(key, "spec")).decode()
    newer = spec.replace('"num_branch":', '"later":{"a":1},"num_branch":').replace(
        '"budget":{', '"budget":{"more":1,'
    )
    assert newer != spec
    await bench.store.redis.hset(key, "spec", newer)
    found = await bench.store.get(episode)
    assert found is not None
    assert found.request.num_branch == 2
    assert (await bench.finish(episode)).state is State.COMPLETED


@pytest.mark.parametrize(
    "broken", [{"spec": '{"request": 1}'}, {"spec": "{"}, {"spec": '{"request": {}, "version": 1}'}]
)
async def test_one_unreadable_record_breaks_no_list_and_ends_as_failed(
    bench: Bench, broken: dict[str, str]
) -> None:
    good, _ = await bench.create()
    bad, _ = await bench.create()
    key = bench.store.partitions.of(bad).episode(bad)
    await bench.store.redis.hset(key, mapping=broken)
    episodes, _ = await bench.store.page(None, 10)
    assert [found.id for found in episodes] == [good]
    with pytest.raises(UnreadableError):
        await bench.store.get(bad)
    works = bench.worker()
    while job := await bench.take():
        if job.episode == bad:
            await works.begin(job)
    assert await bench.store.redis.hget(key, "state") == b"failed"
    await works.sweeper.sweep()
    assert await bench.live() == [good]


async def test_a_request_that_cannot_be_read_back_is_never_written(bench: Bench) -> None:
    _, record = await bench.create()
    broken = record.model_copy(update={"max_steps": float("nan")})
    with pytest.raises(UnreadableError):
        await bench.store.create(broken, None)
    assert len(await bench.live()) == 1


@pytest.mark.parametrize("length", [10_001, 20_000, MAX_TEXT])
async def test_a_task_of_any_length_that_is_taken_can_be_a_subtask(bench: Bench, length: int) -> None:
    bench.roles.plan_by = lambda request: [request.context.task]
    _, record = await bench.create("tmbr", max_steps=3)
    long = record.model_copy(update={"instruction": "x" * length})
    episode, _ = await bench.store.create(long, None)
    found = await bench.finish(episode)
    assert found.state is State.COMPLETED


async def test_an_observation_longer_than_a_context_takes_is_cut(bench: Bench) -> None:
    state = bench.environment._state
    bench.environment._state = lambda session: state(session).model_copy(  # pyright: ignore[reportAttributeAccessIssue]
        update={"observation": "o" * (MAX_TEXT + 1)}
    )
    bench.roles.act_by = lambda request: [
        Candidate(action="north", thought="t" * (MAX_TEXT + 1), well_formed=True)
    ]
    assert (await bench.run()).state is State.COMPLETED


@pytest.mark.parametrize(
    "fields",
    [
        {"budget": None},
        {"params": None, "method": None, "seed": None},
        {"feedback": None, "subtask_threshold": None, "num_branch": None},
        {"budget": {"model_calls": None}},
    ],
)
def test_null_means_absent(fields: dict[str, Any]) -> None:
    given = EpisodeCreate.model_validate({"environment": "twin", "task_id": "a", **fields})
    assert given == EpisodeCreate(environment="twin", task_id="a")
    assert not {name for name, value in fields.items() if value is None} & given.model_fields_set


def test_a_client_reads_an_episode_of_a_newer_release() -> None:
    request = {"environment": "twin", "task_id": "a", "later": 1, "budget": {"tokens": 5, "more": 2}}
    found = {"id": "ep_1", "state": "queued", "request": request, "created_at": 1.0, "newer": True}
    call = get_episode("ep_1")
    episode = call.read(json.dumps(found).encode())
    assert episode.request.budget.tokens == 5


@pytest.mark.parametrize(
    "broken", [{"state": "dreaming"}, {"outcome": "{"}, {"outcome": '{"result": 1}'}, {"created": "x"}]
)
async def test_no_field_of_a_record_breaks_a_list(bench: Bench, broken: dict[str, str]) -> None:
    good, _ = await bench.create()
    bad, _ = await bench.create()
    await bench.store.redis.hset(bench.store.partitions.of(bad).episode(bad), mapping=broken)
    episodes, _ = await bench.store.page(None, 10)
    assert [found.id for found in episodes] == [good]


async def test_an_event_of_a_newer_release_is_passed_over_where_no_replay_needs_it(bench: Bench) -> None:
    episode, _ = await bench.create()
    log = bench.store.log_key(episode)
    await bench.store.redis.xadd(log, {"e": json.dumps({"type": "branch.dreamt", "at": 1.0})})
    assert (await bench.finish(episode)).state is State.COMPLETED


async def test_an_answer_of_a_newer_release_ends_an_episode_and_loops_not(bench: Bench) -> None:
    episode, _ = await bench.create()
    assert await bench.take() is not None
    event = {"type": "branch.dreamt", "at": 1.0, "branch": "0", "seq": 0, "digest": "d"}
    await bench.store.redis.xadd(bench.store.log_key(episode), {"e": json.dumps(event)})
    assert (await bench.finish(episode)).state is State.FAILED


async def test_a_note_or_a_close_in_vain_is_no_answer_of_a_part(bench: Bench) -> None:
    _, record = await bench.create()
    job = await bench.take()
    assert job is not None
    writer = LogWriter(lambda lines: bench.jobs.append(job, lines))
    ground = Ground(job, record, bench.roles, bench.environment, bench.jobs, writer, outages={"0": 1.0})
    branching = Branching(ground, METHODS["react"], Answers(), Slots(1), Branches.LOCAL)
    world = RecordedWorld(ground, "0", {}, Ledger(Share(), None), branching.scheduler)
    opened = await world.open()
    assert ground.outages == {}, "the environment has answered"

    async def away(session: str, epoch: int | None) -> None:
        raise OutageError("environment", "away")

    bench.environment.close = away  # pyright: ignore[reportAttributeAccessIssue]
    ground.outages["0"] = 1.0
    await world.note(EventType.PATH_ENDED, reason="done", steps=0)
    await world.draw(1)
    await world.close(opened.session)
    assert ground.outages == {"0": 1.0}
    await writer.flush()
