"""The orchestrator's API over real HTTP: creation, errors, streams, cancelling, metrics."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import pytest
import redis

from espalier.client import Espalier, EspalierError
from services.contracts.episode import EpisodeCreate, State
from services.contracts.event import BranchTaken, EventType
from services.orchestrator.store.keys import Partitions
from tests.integration.conftest import Stack, act
from tests.support import eventually

TASK = {"environment": "twin", "task_id": "corridors/2"}


def create(stack: Stack, **fields: Any) -> EpisodeCreate:
    return EpisodeCreate.model_construct(**{**TASK, "method": "react", **fields})


def test_an_episode_over_all_services(stack: Stack, worker: str) -> None:
    with Espalier(stack.url) as client:
        made = client.create(create(stack, method="tmbr"))
        assert made.state in (State.QUEUED, State.RUNNING)
        outcome = client.wait(made.id)
        tree = client.tree(made.id)
        replay = client.replay(made.id)
    assert outcome.result is not None
    assert outcome.figures is not None
    assert (outcome.state, outcome.result.success, outcome.result.steps) == (State.COMPLETED, True, 3)
    assert outcome.figures.usage.prompt_tokens > outcome.figures.usage.cached_tokens > 0
    wall = outcome.figures.wall
    split = wall.model + wall.environment + wall.orchestration + wall.queueing
    assert split == pytest.approx(wall.total, abs=0.01)
    assert [node.action for node in tree.branches[0].nodes] == ["north"] * 3
    assert tree.branches[0].plan == ["look", "walk", "arrive"]
    assert replay.identical, replay.detail
    metrics = httpx.get(f"{worker}/metrics").text
    assert 'espalier_steps_total{environment="twin",method="tmbr",valid="true"} 3.0' in metrics


def test_an_event_stream_resumes_where_it_broke(stack: Stack, worker: str) -> None:
    with Espalier(stack.url) as client:
        episode = client.create(create(stack)).id
        events = list(client.events(episode))
        again = list(client.events(episode, after=events[3].id))
    assert [event.id for event in again] == [event.id for event in events[4:]]
    assert events[0].type is EventType.EPISODE_CREATED
    assert events[-1].type is EventType.EPISODE_COMPLETED


def test_a_stream_can_leave_the_score_out(stack: Stack, worker: str) -> None:
    with Espalier(stack.url) as client:
        episode = client.wait(client.create(create(stack)).id).id
    whole = httpx.get(f"{stack.url}/v1/episodes/{episode}/events").text
    blind = httpx.get(f"{stack.url}/v1/episodes/{episode}/events?scores=false").text
    assert '"score"' in whole
    assert '"score"' not in blind


def test_an_idempotency_key_gets_the_same_episode(stack: Stack) -> None:
    with Espalier(stack.url) as client:
        first = client.create(create(stack), idempotency_key="once")
        again = client.create(create(stack), idempotency_key="once")
        with pytest.raises(EspalierError) as refused:
            client.create(create(stack, seed=9), idempotency_key="once")
        client.cancel(first.id)
    assert first.id == again.id
    assert refused.value.problem.status == 422


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"environment": "nowhere"}, 422, "twin"),
        ({"method": "magic"}, 422, "tmbr"),
        ({"task_id": "corridors/999"}, 422, "task_id"),
        ({"adapter": "actor@00000000"}, 422, "not served"),
        ({"num_branch": 0}, 422, "num_branch"),
        ({"num_path": 99, "method": "tmbr"}, 422, "num_path"),
        ({"num_branch": 3}, 422, "does not use"),
        ({"params": {"depth": 3}}, 422, "body.params.depth"),
        ({"feedback": "env"}, 422, "feedback"),
        ({"surprise": 1}, 422, "surprise"),
        ({"task_id": None}, 422, "task"),
        ({"budget": {"seconds": -1}}, 422, "seconds"),
        ({"environment": "away"}, 503, "away"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(
    stack: Stack, fields: dict[str, Any], status: int, says: str
) -> None:
    body = {**TASK, "method": "react", **fields}
    answer = httpx.post(f"{stack.url}/v1/episodes", json=body, timeout=30)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.text
    problem = answer.json()
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= set(problem)
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/episodes", b"{", 400),
        ("POST", "/v1/episodes", b" " * 5_000_000, 413),
        ("GET", "/v1/episodes/ep_00000000000000000000000000", b"", 404),
        ("GET", "/v1/episodes/ep_01hzzzzzzzzzzzzzzzzzzzzzzz", b"", 410),
        ("GET", "/v1/episodes/nonsense/tree", b"", 404),
        ("GET", "/v1/episodes?limit=0", b"", 422),
        ("GET", "/nowhere", b"", 404),
        ("DELETE", "/v1/episodes", b"", 405),
    ],
)
def test_every_failure_is_a_problem(
    stack: Stack, method: str, path: str, content: bytes, status: int
) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.request(method, f"{stack.url}{path}", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


def test_a_cancelled_episode_frees_its_session(stack: Stack, worker: str) -> None:
    stack.model.script = act("THOUGHT: wait\nACTION: look")
    stack.model.latency = 0.2
    try:
        with Espalier(stack.url) as client:
            episode = client.create(create(stack, max_steps=200)).id
            eventually(lambda: len(client.tree(episode).branches) > 0)
            eventually(lambda: len(client.tree(episode).branches[0].nodes) > 1)
            outcome = client.cancel(episode)
            assert outcome.state is State.CANCELLED
            eventually(lambda: stack.environment.walkers == {}, within=5)
            assert client.cancel(episode).state is State.CANCELLED
            assert list(client.events(episode))[-1].type is EventType.EPISODE_CANCELLED
    finally:
        stack.model.script = act("THOUGHT: on\nACTION: north")
        stack.model.latency = 0.0


def test_episodes_are_listed_and_paged(stack: Stack) -> None:
    with Espalier(stack.url) as client:
        with ThreadPoolExecutor(8) as users:  # many in one millisecond
            made = users.map(lambda seed: client.create(create(stack, seed=seed)).id, range(24))
            ids = sorted(made, reverse=True)
        listed: list[str] = []
        cursor = None
        while len(listed) < len(ids):
            page = client.list(limit=2, cursor=cursor)
            listed += [outcome.id for outcome in page.episodes]
            cursor = page.next
        assert listed == ids
        for episode in ids:
            client.cancel(episode)
        assert {outcome.id for outcome in client.list(state="cancelled", limit=24).episodes} == set(ids)


def test_a_killed_workers_episode_is_taken_over(stack: Stack) -> None:
    stack.model.latency = 0.15
    first, _ = stack.start_worker()
    try:
        with Espalier(stack.url) as client:
            episode = client.create(create(stack, task_id="corridors/8")).id
            eventually(lambda: any(branch.nodes for branch in client.tree(episode).branches))
            first.kill()
            first.wait(10)
            _, second = stack.start_worker()
            outcome = client.wait(episode)
            assert outcome.result is not None
            assert (outcome.state, outcome.result.success, outcome.result.steps) == (State.COMPLETED, True, 9)
            assert client.replay(episode).identical
        eventually(lambda: "espalier_takeovers_total 1.0" in httpx.get(f"{second}/metrics").text)
    finally:
        stack.model.latency = 0.0
        stack.stop_workers()


def test_branches_of_one_episode_run_on_several_workers(stack: Stack) -> None:
    stack.model.latency = 0.1
    one = {"ESPALIER_BRANCHES": "spread", "ESPALIER_WORKER_CONCURRENCY": "1"}
    workers = [stack.start_worker(**one)[0] for _ in range(2)]
    try:
        with Espalier(stack.url) as client:
            request = create(
                stack, method="tmbr", task_id="corridors/8", num_path=2, params={"parallel": True}
            )
            found = client.wait(client.create(request).id)
            events = list(client.events(found.id))
            tree = client.tree(found.id)
            assert client.replay(found.id).identical
        assert found.state is State.COMPLETED
        takers = {event.data.worker for event in events if isinstance(event, BranchTaken)}
        assert len(takers) == 2
        assert all(found.id in stack.read_log(worker) for worker in workers)
        assert {branch.worker for branch in tree.branches} == takers
    finally:
        stack.model.latency = 0.0
        stack.stop_workers()


def test_a_worker_that_is_terminated_hands_its_branches_over(stack: Stack) -> None:
    stack.model.latency = 0.15
    before = stack.environment.steps
    # Nobody waits for a lease to run out.
    workers = [stack.start_worker(ESPALIER_LEASE="3600")[0] for _ in range(2)]
    try:
        with Espalier(stack.url) as client:
            episode = client.create(create(stack, task_id="corridors/8")).id
            eventually(lambda: any(branch.nodes for branch in client.tree(episode).branches))
            stack.model.latency = 5.0  # the episode is far from its end, and a call of it is in flight
            holder = client.tree(episode).branches[0].worker
            (first,) = [worker for worker in workers if holder.endswith(f"/{worker.pid}")]
            first.terminate()
            assert first.wait(20) == 0
            assert client.get(episode).state is State.RUNNING
            stack.model.latency = 0.0
            found = client.wait(episode)
            taken = [event for event in client.events(episode) if isinstance(event, BranchTaken)]
            assert client.replay(episode).identical
        assert (found.state, found.result and found.result.steps) == (State.COMPLETED, 9)
        assert [event.data.worker == holder for event in taken] == [True, False]
        assert stack.environment.steps - before == 9, "a step was taken twice, or the session was rebuilt"
        key = Partitions(1).of(episode).episode(episode, "branches")
        with redis.Redis.from_url(stack.worker_environment["ESPALIER_REDIS_URL"]) as store:
            fields = cast("list[bytes]", store.hkeys(key))
        assert fields
        assert not [field for field in fields if field.endswith(b":outage")]
    finally:
        stack.model.latency = 0.0
        stack.stop_workers()


def test_a_short_outage_of_the_model_pauses_the_branch(stack: Stack, worker: str) -> None:
    from services.scripted.faults import Fault

    stack.model.faults.add(Fault(503), times=40)
    try:
        with Espalier(stack.url) as client:
            outcome = client.wait(client.create(create(stack)).id)
    finally:
        stack.model.faults.clear()
    assert outcome.result is not None
    assert outcome.result.success
    paused = re.search(r'espalier_pauses_total\{part="actor"\} (\d+)', httpx.get(f"{worker}/metrics").text)
    assert paused is not None
    assert int(paused[1]) >= 1


def test_readiness_names_what_is_away(valkey: str) -> None:
    from services.judge.api import create as create_judge
    from services.kit.settings import RoleSettings
    from tests.support import free_port, served

    with served(create_judge(RoleSettings(model_url=f"http://127.0.0.1:{free_port()}"))) as url:
        answer = httpx.get(f"{url}/readyz", timeout=10)
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert 'espalier_ready{dependency="model",part="judge"} 0.0' in httpx.get(f"{url}/metrics").text
    assert answer.status_code == 503
    assert answer.json()["dependencies"]["model"] != "ok"


def post(stack: Stack) -> dict[str, Any]:
    return httpx.post(f"{stack.url}/v1/episodes", json={**TASK, "method": "react"}).json()


@pytest.mark.parametrize("after", ["last", "18446744073709551615-0", "99999999999999-1"])
def test_a_stream_after_the_end_is_204(stack: Stack, worker: str, after: str) -> None:
    made = post(stack)
    last = "0-0"
    with httpx.stream("GET", f"{stack.url}/v1/episodes/{made['id']}/events", timeout=60) as answer:
        for line in answer.iter_lines():
            last = line.removeprefix("id: ") if line.startswith("id: ") else last
    headers = {"Last-Event-ID": last if after == "last" else after}
    again = httpx.get(f"{stack.url}/v1/episodes/{made['id']}/events", headers=headers, timeout=30)
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.parametrize(
    "after", ["18446744073709551616-0", "1-18446744073709551616", "1", "x-1", "\u00b2-1"]
)
def test_an_id_that_is_none_is_refused(stack: Stack, after: str) -> None:
    made = post(stack)
    headers = {"Last-Event-ID": after.encode()}
    answer = httpx.get(f"{stack.url}/v1/episodes/{made['id']}/events", headers=headers, timeout=30)  # pyright: ignore[reportArgumentType]
    assert answer.status_code == 422
    httpx.post(f"{stack.url}/v1/episodes/{made['id']}/cancel")


def test_a_poisoned_record_is_refused_at_the_door_and_breaks_no_list(stack: Stack) -> None:
    for depth, status in ((50, 202), (64, 400), (198, 400), (252, 400)):
        data: dict[str, Any] = {}
        for _ in range(depth):
            data = {"a": data}
        body = {"environment": "twin", "task": {"instruction": "walk", "data": data}, "method": "react"}
        assert httpx.post(f"{stack.url}/v1/episodes", json=body).status_code == status
    assert httpx.get(f"{stack.url}/v1/episodes").status_code == 200


def test_an_unreadable_record_can_be_cancelled(stack: Stack) -> None:
    made = post(stack)
    url = f"{stack.url}/v1/episodes/{made['id']}"
    with redis.Redis.from_url(stack.worker_environment["ESPALIER_REDIS_URL"]) as store:
        key = Partitions(1).of(made["id"]).episode(made["id"])
        whole = cast(bytes, store.hget(key, "spec"))
        store.hset(key, "spec", "{")
        assert made["id"] not in httpx.get(f"{stack.url}/v1/episodes").text
        unreadable = httpx.get(url)
        assert (unreadable.status_code, "cannot be read" in unreadable.json()["detail"]) == (500, True)
        assert httpx.post(f"{url}/cancel").status_code == 410
        assert store.hget(key, "state") == b"cancelled"
        store.hset(key, "spec", whole)


@pytest.mark.parametrize("query", ["split=nowhere&cursor=%00", "cursor=not-a-cursor"])
def test_what_an_environment_refuses_is_the_callers_error(stack: Stack, query: str) -> None:
    answer = httpx.get(f"{stack.url}/v1/environments/twin/tasks?{query}")
    assert answer.status_code in (200, 400, 404, 422)


@pytest.mark.parametrize("task", ["../../metadata", "..", "a/../b", "."])
def test_a_task_id_reaches_no_other_path(stack: Stack, task: str) -> None:
    body = {"environment": "twin", "task_id": task, "method": "react"}
    answer = httpx.post(f"{stack.url}/v1/episodes", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.task_id")
