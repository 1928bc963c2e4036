"""Errors that pass: Redis cut off, parts at their limits, outages that end, sessions that are lost again."""

import asyncio
import builtins
import json
import time
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
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
from services.kit.failures import BusyError, OutageError
from services.kit.metrics import Metrics
from services.orchestrator.failures import Fate, classify
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore, pack
from services.orchestrator.store.errors import FencedError, OverError, UnreadableError
from services.orchestrator.worker import EpisodeWorker, Parts
from tests.orchestrator.conftest import Bench
from tests.orchestrator.test_replay import shape


def worker(bench: Bench, **settings: Any) -> EpisodeWorker:
    queue: Any = None
    parts = Parts(bench.store, queue, bench.roles, {"twin": bench.environment})
    return EpisodeWorker(parts, OrchestratorSettings(**settings), Metrics("worker"))


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (ConnectionError("reset"), Fate.REDIS),
        (TimeoutError(), Fate.REDIS),
        (BusyLoadingError("LOADING"), Fate.REDIS),
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
    epoch = await bench.store.take(episode, "0")
    entry = ("0", epoch, pack(EventType.BACKTRACKED, time.time(), branch="0", seq=0))
    for _ in range(3):
        await bench.store.append(episode, [entry], batch="one")
    await bench.store.append(episode, [entry], batch="two")
    assert len(await bench.events(episode, EventType.BACKTRACKED)) == 2


async def test_calls_whose_answers_are_lost_are_repeated_as_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every script runs, then its answer is lost once."""
    store = bench.store
    for name in ("_create", "_take", "_append", "_finish"):
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
            found = await bench.run()
        assert lost
        assert found.state is State.COMPLETED
        kinds = [event.type for event in await bench.events(found.id)]
        assert (
            len(kinds)
            == len(set(kinds))
            + kinds.count(EventType.STEP_TAKEN)
            + kinds.count(EventType.CANDIDATES_PROPOSED)
            - 2
        )
    episodes, _ = await store.page(None, 100)
    assert len(episodes) == 4


async def test_an_episode_waits_while_redis_is_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    episode, _ = await bench.create()
    works = worker(bench)

    async def away(*_args: Any, **_given: Any) -> None:
        raise ConnectionError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "_append", away)
        patch.setattr(bench.store, "patience", 0.0)
        assert await works._work(episode) == works.settings.outage_pause
    found = await bench.store.get(episode)
    assert found is not None
    assert found.state is State.RUNNING
    assert await works._work(episode) is None
    found = await bench.store.get(episode)
    assert found is not None
    assert found.state is State.COMPLETED


async def test_an_outage_ends_with_the_next_live_answer(bench: Bench) -> None:
    episode, _ = await bench.create()
    works = worker(bench, outage_grace=60)
    bench.roles.away = {"actor"}
    assert await works._work(episode) is not None
    assert await bench.store.outage_began(episode) is not None
    await bench.store.redis.hset(f"espalier:episode:{{{episode}}}", "outage", time.time() - 50)
    bench.roles.away = set()
    act = bench.roles.act_by
    marks: list[float | None] = []

    def dying(request: ActionRequest) -> list[Candidate]:
        if len(request.context.turns) == 2:
            raise KeyboardInterrupt  # the worker dies in the middle of the run that recovered
        return act(request)

    bench.roles.act_by = dying
    with pytest.raises(KeyboardInterrupt):
        await works._work(episode)
    marks.append(await bench.store.outage_began(episode))
    assert marks == [None]
    bench.roles.act_by, bench.roles.away = act, {"actor"}
    assert await works._work(episode) == works.settings.outage_pause
    began = await bench.store.outage_began(episode)
    assert began is not None
    assert began > time.time() - 40
    bench.roles.away = set()
    assert await works._work(episode) is None
    found = await bench.store.get(episode)
    assert found is not None
    assert found.state is State.COMPLETED


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
    works = worker(bench, outage_grace=0)
    bench.roles.busy = {part}
    bench.environment.busy = part == "environment"
    for _ in range(5):
        assert await works._work(episode) == 1.0
        assert await bench.store.outage_began(episode) is None
    bench.roles.busy, bench.environment.busy = set(), False
    assert await works._work(episode) is None
    found = await bench.store.get(episode)
    assert found is not None
    assert found.state is State.COMPLETED


async def test_a_budget_of_time_ends_the_wait_for_a_part_at_its_limit(bench: Bench) -> None:
    episode, _ = await bench.create(budget=Budget(seconds=0.2))
    works = worker(bench)
    bench.environment.busy = True
    assert await works._work(episode) == 1.0
    await asyncio.sleep(0.25)
    assert await works._work(episode) is None
    found = await bench.store.get(episode)
    assert found is not None
    assert found.failure is not None
    assert found.failure.reason == "budget"


async def test_a_job_that_comes_back_takes_over_from_its_first_run(bench: Bench) -> None:
    episode, _ = await bench.create()
    works = worker(bench)
    bench.roles.latency = 0.05
    begun = asyncio.Event()
    act = bench.roles.act_by

    def beginning(request: ActionRequest) -> list[Candidate]:
        begun.set()
        return act(request)

    bench.roles.act_by = beginning
    first = asyncio.create_task(works.handle(episode))
    await begun.wait()
    assert await works.handle(episode) is None
    await asyncio.gather(first, return_exceptions=True)
    found = await bench.store.get(episode)
    assert found is not None
    assert found.state is State.COMPLETED
    assert works._running == {}


# Records


async def test_a_record_of_a_newer_release_is_read(bench: Bench) -> None:
    episode, _ = await bench.create()
    key = f"espalier:episode:{{{episode}}}"
    spec = (await bench.store.redis.hget(key, "spec")).decode()
    newer = spec.replace('"num_branch":', '"later":{"a":1},"num_branch":').replace(
        '"budget":{', '"budget":{"more":1,'
    )
    assert newer != spec
    await bench.store.redis.hset(key, "spec", newer)
    found = await bench.store.get(episode)
    assert found is not None
    assert found.request.num_branch == 2
    assert (await bench.resume(episode, await _record(bench.store, episode))).state is State.COMPLETED


async def _record(store: EpisodeStore, episode: str) -> Any:
    return await store.record(episode)


@pytest.mark.parametrize(
    "broken", [{"spec": '{"request": 1}'}, {"spec": "{"}, {"spec": '{"request": {}, "version": 1}'}]
)
async def test_one_unreadable_record_breaks_no_list_and_ends_as_failed(
    bench: Bench, broken: dict[str, str]
) -> None:
    good, _ = await bench.create()
    bad, _ = await bench.create()
    key = f"espalier:episode:{{{bad}}}"
    await bench.store.redis.hset(key, mapping=broken)
    episodes, _ = await bench.store.page(None, 10)
    assert [found.id for found in episodes] == [good]
    with pytest.raises(UnreadableError):
        await bench.store.get(bad)
    works = worker(bench)
    assert await works._work(bad) is None
    assert await bench.store.redis.hget(key, "state") == b"failed"
    await works._clean_up()
    assert await bench.store.live() == [good]


async def test_a_request_that_cannot_be_read_back_is_never_written(bench: Bench) -> None:
    _, record = await bench.create()
    broken = record.model_copy(update={"max_steps": float("nan")})
    with pytest.raises(UnreadableError):
        await bench.store.create(broken, None)
    assert len(await bench.store.live()) == 1


@pytest.mark.parametrize("length", [10_001, 20_000, MAX_TEXT])
async def test_a_task_of_any_length_that_is_taken_can_be_a_subtask(bench: Bench, length: int) -> None:
    bench.roles.plan_by = lambda request: [request.context.task]
    episode, record = await bench.create("tmbr", max_steps=3)
    record = record.model_copy(update={"instruction": "x" * length})
    found = await bench.resume(episode, record)
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
    await bench.store.redis.hset(f"espalier:episode:{{{bad}}}", mapping=broken)
    episodes, _ = await bench.store.page(None, 10)
    assert [found.id for found in episodes] == [good]


async def test_an_event_of_a_newer_release_is_passed_over_where_no_replay_needs_it(bench: Bench) -> None:
    episode, record = await bench.create()
    log = f"espalier:episode:{{{episode}}}:log"
    await bench.store.redis.xadd(log, {"e": json.dumps({"type": "branch.dreamt", "at": 1.0})})
    assert (await bench.resume(episode, record)).state is State.COMPLETED


async def test_an_answer_of_a_newer_release_ends_an_episode_and_loops_not(bench: Bench) -> None:
    episode, _ = await bench.create()
    log = f"espalier:episode:{{{episode}}}:log"
    event = {"type": "branch.dreamt", "at": 1.0, "branch": "0", "seq": 0, "digest": "d"}
    await bench.store.redis.xadd(log, {"e": json.dumps(event)})
    works = worker(bench)
    assert await works._work(episode) is None
    found = await bench.store.get(episode)
    assert found is not None
    assert found.state is State.FAILED


async def test_a_note_or_a_close_in_vain_is_no_answer_of_a_part(bench: Bench) -> None:
    episode, record = await bench.create("tmbr", num_path=1, max_steps=3)
    await bench.store.outage(episode)
    close = bench.environment.close

    async def away(session: str, epoch: int | None) -> None:
        raise OutageError("environment", "away")

    bench.environment.close = away  # pyright: ignore[reportAttributeAccessIssue]
    bench.roles.away = {"planner"}
    with pytest.raises(OutageError):
        await bench.resume(episode, record, time.time() + 60)
    assert await bench.store.outage_began(episode) is None  # the session was opened: a live answer
    bench.environment.close = close  # pyright: ignore[reportAttributeAccessIssue]
    await bench.store.outage(episode)
    with pytest.raises(OutageError):
        await bench.resume(episode, record, time.time() + 60)
    assert await bench.store.outage_began(episode) is not None
