"""The session protocol, against the scripted twin over real HTTP."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from services.contracts.session import Fork
from services.contracts.task import TaskPage
from tests.support import eventually, running


@dataclass
class Served:
    http: httpx.Client
    twin: TwinEnvironment
    clock: list[float]

    def create(self, task: str = "corridors/4", **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/sessions", json={"task_id": task} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def step(self, session: str, action: str, **fields: Any) -> httpx.Response:
        return self.http.post(f"/v1/sessions/{session}/steps", json={"action": action} | fields)

    def fork(self, session: str, **fields: Any) -> httpx.Response:
        return self.http.post(f"/v1/sessions/{session}/forks", json=fields)


Serve = Callable[..., Served]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def make(twin: TwinEnvironment | None = None, **limits: Any) -> Served:
            twin = twin or TwinEnvironment()
            clock = [1_000.0]
            app = serve(twin, EnvironmentSettings(home=tmp_path, **limits), clock=lambda: clock[0])
            return Served(stack.enter_context(running(app)), twin, clock)

        yield make


def problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"].endswith(f"#{name}")
    assert body["detail"]
    return body


def test_a_session_is_played_to_its_end(served: Serve) -> None:
    s = served()
    made = s.create("corridors/1", seed=5)
    assert made["observation"].startswith("Cell 0 of 2, seed 5")
    assert (made["step_count"], made["done"], made["reward"]) == (0, False, 0.0)
    assert (made["instruction"], made["task_id"]) == ("Go 2 cells north.", "corridors/1")
    assert s.step(made["session_id"], "dance").json()["valid"] is False
    assert s.step(made["session_id"], "north").json()["valid"] is True
    last = s.step(made["session_id"], "north").json()
    assert (last["done"], last["reward"], last["step_count"]) == (True, 1.0, 3)
    assert s.http.get(f"/v1/sessions/{made['session_id']}").json() == last
    problem(s.step(made["session_id"], "look"), 409, "conflict")
    assert s.twin.steps == 3


def test_a_repeated_step_key_gets_the_first_answer_and_acts_once(served: Serve) -> None:
    s = served()
    session = s.create()["session_id"]
    first = s.step(session, "north", step_key="b/0").json()
    s.step(session, "north", step_key="b/1")
    assert s.step(session, "north", step_key="b/0").json() == first
    assert s.twin.steps == 2
    problem(s.step(session, "south", step_key="b/0"), 422, "unprocessable")
    assert s.http.get(f"/v1/sessions/{session}").json()["step_count"] == 2


def test_a_step_key_is_answered_after_the_end_too(served: Serve) -> None:
    s = served()
    session = s.create("corridors/0")["session_id"]
    last = s.step(session, "north", step_key="b/0").json()
    assert last["done"]
    assert s.step(session, "north", step_key="b/0").json() == last


def test_concurrent_calls_with_one_key_act_once(served: Serve) -> None:
    s = served(TwinEnvironment(latency=0.05, start_latency=0.05))
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: s.create(session_key="k")["session_id"], range(8)))
        assert len(set(made)) == 1
        assert s.twin.starts == 1
        answers = list(pool.map(lambda _: s.step(made[0], "north", step_key="b/0").json(), range(8)))
        forks = list(pool.map(lambda _: s.fork(made[0], fork_key="f").json()["session_id"], range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert len(set(forks)) == 1
    assert s.twin.steps == 2, "one by the step, one by the fork's replay"


def test_concurrent_steps_of_one_session_are_serialised(served: Serve) -> None:
    s = served(TwinEnvironment(latency=0.01))
    session = s.create("corridors/30")["session_id"]
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: s.step(session, "north").json()["step_count"], range(16)))
    assert sorted(counts) == list(range(1, 17))
    assert s.http.get(f"/v1/sessions/{session}").json()["info"] == {"cell": 16}


def test_create_is_idempotent_by_its_key(served: Serve) -> None:
    s = served()
    first = s.create(session_key="k")
    s.step(first["session_id"], "north")
    assert s.create(session_key="k")["observation"] == first["observation"]
    assert s.create(session_key="k")["session_id"] == first["session_id"]
    other = s.http.post("/v1/sessions", json={"task_id": "corridors/5", "session_key": "k"})
    problem(other, 422, "unprocessable")
    s.http.delete(f"/v1/sessions/{first['session_id']}")
    again = s.create(session_key="k")
    assert again["session_id"] != first["session_id"], "a key whose session has gone makes a new one"
    assert s.create(session_key="k")["session_id"] == again["session_id"]


def test_a_failed_create_can_be_tried_again_under_its_key(served: Serve) -> None:
    s = served(TwinEnvironment(start_latency=30.0), start_timeout=1.0)
    asked = {"task_id": "corridors/4", "session_key": "k"}
    problem(s.http.post("/v1/sessions", json=asked), 504, "timeout")
    s.twin.start_latency = 0.0
    assert s.http.post("/v1/sessions", json=asked).status_code == 201


def test_a_lower_epoch_is_fenced_everywhere(served: Serve) -> None:
    s = served()
    session = s.create(session_key="k", epoch=3)["session_id"]
    problem(s.step(session, "north", epoch=2), 409, "fenced")
    assert s.step(session, "north", epoch=3, step_key="b/0").status_code == 200
    assert s.step(session, "north", epoch=4, step_key="b/1").status_code == 200
    problem(s.step(session, "north", epoch=3, step_key="b/0"), 409, "fenced")
    problem(s.fork(session, epoch=3), 409, "fenced")
    old = {"task_id": "corridors/4", "session_key": "k", "epoch": 1}
    problem(s.http.post("/v1/sessions", json=old), 409, "fenced")
    problem(s.http.delete(f"/v1/sessions/{session}", params={"epoch": 3}), 409, "fenced")
    assert s.step(session, "look").status_code == 200, "a person at a terminal leaves the epoch out"
    assert s.http.delete(f"/v1/sessions/{session}", params={"epoch": 4}).status_code == 204
    assert s.twin.steps == 3


def test_a_step_that_waits_is_fenced_by_a_higher_epoch_that_comes_meanwhile(served: Serve) -> None:
    s = served(TwinEnvironment(latency=0.3))
    session = s.create()["session_id"]
    with ThreadPoolExecutor(4) as pool:
        old = [pool.submit(s.step, session, "north", epoch=1) for _ in range(3)]
        new = s.step(session, "look", epoch=2)
        statuses = [each.result().status_code for each in old]
    assert new.status_code == 200
    # Which of them came first is not ours to say; but what was refused was not done.
    assert set(statuses) <= {200, 409}
    assert s.twin.steps == statuses.count(200) + 1


@pytest.mark.parametrize("kind", [Fork.REPLAY, Fork.NATIVE])
def test_forks_share_the_past_and_nothing_else(served: Serve, kind: Fork) -> None:
    s = served(TwinEnvironment(fork=kind))
    parent = s.create("corridors/9")["session_id"]
    for number in range(3):
        s.step(parent, "north", step_key=f"b/{number}")
    now = s.fork(parent)
    assert now.status_code == 201
    child, state = now.json()["session_id"], now.json()
    assert (state["step_count"], state["info"]) == (3, {"cell": 3})
    assert state["instruction"] == "Go 10 cells north."
    assert s.step(child, "south", step_key="b/0").json()["info"] == {"cell": 2}, "its key table is empty"
    earlier = s.fork(parent, at_step=1).json()
    assert (earlier["step_count"], earlier["info"]) == (1, {"cell": 1})
    assert s.fork(parent, at_step=0).json()["step_count"] == 0
    problem(s.fork(parent, at_step=4), 422, "unprocessable")
    assert s.http.get(f"/v1/sessions/{parent}").json()["info"] == {"cell": 3}
    grandchild = s.fork(child, at_step=2).json()
    assert grandchild["info"] == {"cell": 2}, "a fork has its parent's history"


def test_fork_keys_are_idempotent(served: Serve) -> None:
    s = served()
    parent = s.create()["session_id"]
    first = s.fork(parent, fork_key="f").json()
    assert s.fork(parent, fork_key="f").json() == first
    problem(s.fork(parent, fork_key="f", at_step=0), 422, "unprocessable")
    s.http.delete(f"/v1/sessions/{first['session_id']}")
    assert s.fork(parent, fork_key="f").json()["session_id"] != first["session_id"]


def test_a_fork_that_replays_otherwise_is_refused(served: Serve) -> None:
    s = served()
    session = s.create()["session_id"]
    s.step(session, "north")
    s.twin.drifts = True
    problem(s.fork(session), 409, "diverged")
    eventually(lambda: len(s.twin.walkers) == 1)
    s.twin.drifts = False
    assert s.fork(session).status_code == 201


def test_a_lost_instance_is_rebuilt_unseen(served: Serve) -> None:
    s = served()
    session = s.create("corridors/9")["session_id"]
    first = s.step(session, "north", step_key="b/0").json()
    s.step(session, "north", step_key="b/1")
    s.twin.lose_all()
    assert s.step(session, "north", step_key="b/0").json() == first, "no instance is needed to repeat"
    assert s.twin.starts == 1
    assert s.step(session, "north", step_key="b/2").json()["info"] == {"cell": 3}
    assert s.twin.starts == 2
    assert "espalier_sessions_rebuilt_total" in s.http.get("/metrics").text


def test_a_lost_instance_that_cannot_be_rebuilt_is_gone(served: Serve) -> None:
    s = served()
    session = s.create()["session_id"]
    s.step(session, "north")
    s.twin.lose_all()
    s.twin.drifts = True
    found = problem(s.step(session, "north"), 410, "gone")
    assert "could not be rebuilt" in found["detail"]
    problem(s.http.get(f"/v1/sessions/{session}"), 410, "gone")


def test_a_late_step_counts_as_not_taken(served: Serve) -> None:
    s = served(TwinEnvironment(), action_timeout=1.0)
    session = s.create("corridors/9")["session_id"]
    s.step(session, "north", step_key="b/0")
    s.twin.latency = 30.0
    problem(s.step(session, "north", step_key="b/1"), 504, "timeout")
    assert s.http.get(f"/v1/sessions/{session}").json()["step_count"] == 1
    s.twin.latency = 0.0
    again = s.step(session, "north", step_key="b/1").json()
    assert (again["step_count"], again["info"]) == (2, {"cell": 2})


def test_sessions_expire_idle_and_in_all(served: Serve) -> None:
    s = served(session_idle_ttl=100, session_ttl=250)
    session = s.create("corridors/9")
    assert session["expires_at"] == 1_100.0
    s.clock[0] = 1_090.0
    assert s.step(session["session_id"], "north").json()["expires_at"] == 1_190.0
    s.clock[0] = 1_180.0
    assert s.step(session["session_id"], "north").json()["expires_at"] == 1_250.0, "the absolute lifetime"
    s.clock[0] = 1_250.0
    problem(s.step(session["session_id"], "north"), 410, "gone")
    problem(s.http.get(f"/v1/sessions/{session['session_id']}"), 410, "gone")
    eventually(lambda: not s.twin.walkers)
    problem(s.http.get("/v1/sessions/never"), 404, "not-found")
    assert 'espalier_sessions_expired_total{environment="twin"} 1.0' in s.http.get("/metrics").text


def test_the_reaper_ends_what_nobody_asks_for(served: Serve) -> None:
    s = served(session_idle_ttl=0.2)
    s.create()
    s.clock[0] += 1
    eventually(lambda: not s.twin.walkers)
    assert 'espalier_sessions{environment="twin"} 0.0' in s.http.get("/metrics").text


def test_only_so_many_gone_sessions_are_remembered(served: Serve) -> None:
    s = served(remembered_sessions=2)
    ids = [s.create()["session_id"] for _ in range(3)]
    for session in ids:
        assert s.http.delete(f"/v1/sessions/{session}").status_code == 204
    statuses = [s.http.get(f"/v1/sessions/{session}").status_code for session in ids]
    assert statuses == [404, 410, 410]
    assert s.http.delete(f"/v1/sessions/{ids[2]}").status_code == 204, "closing is safe to repeat"


def test_the_cap_holds_under_concurrency(served: Serve) -> None:
    s = served(TwinEnvironment(start_latency=0.05), max_sessions=3)
    asked = {"task_id": "corridors/4"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: s.http.post("/v1/sessions", json=asked), range(8)))
    made = [answer.json()["session_id"] for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(made) == 3
    for answer in refused:
        problem(answer, 429, "too-many")
        assert int(answer.headers["retry-after"]) > 0
    problem(s.fork(made[0]), 429, "too-many")
    s.http.delete(f"/v1/sessions/{made[0]}")
    assert s.fork(made[1]).status_code == 201


def test_a_session_takes_so_many_steps(served: Serve) -> None:
    s = served(max_session_steps=2)
    session = s.create("corridors/9")["session_id"]
    s.step(session, "look", step_key="b/0")
    s.step(session, "look")
    problem(s.step(session, "look"), 409, "conflict")
    assert s.step(session, "look", step_key="b/0").status_code == 200


def test_requests_are_checked(served: Serve) -> None:
    s = served()
    problem(s.http.post("/v1/sessions", json={}), 422, "unprocessable")
    problem(s.http.post("/v1/sessions", json={"task_id": "corridors/4", "colour": 1}), 422, "unprocessable")
    problem(s.http.post("/v1/sessions", json={"task_id": "corridors/999"}), 404, "not-found")
    problem(s.step("never", "north"), 404, "not-found")
    problem(s.http.delete("/v1/sessions/never"), 404, "not-found")
    problem(s.fork("never"), 404, "not-found")
    session = s.create()["session_id"]
    problem(s.step(session, "x" * 20_001), 422, "unprocessable")
    json_type = {"content-type": "application/json"}
    problem(s.http.post(f"/v1/sessions/{session}/steps", content=b"{", headers=json_type), 400, "bad-request")
    assert s.http.get("/readyz").json()["dependencies"] == {"engine": "ok", "sessions": "ok"}


def test_inline_tasks(served: Serve) -> None:
    s = served()
    task = {"instruction": "Walk.", "data": {"length": 1}}
    made = s.http.post("/v1/sessions", json={"task": task}).json()
    assert (made["instruction"], made["task_id"]) == ("Walk.", "")
    assert s.step(made["session_id"], "north").json()["done"]
    assert s.fork(made["session_id"], at_step=0).json()["done"] is False


def test_pages_cover_every_task_once(served: Serve) -> None:
    s = served()
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = TaskPage.model_validate(s.http.get("/v1/tasks", params=query).json())
        assert page.total == 50
        seen += [task.id for task in page.tasks]
        cursor = page.next
        if cursor is None:
            break
    assert seen == [f"corridors/{number}" for number in range(50)]
    found = problem(s.http.get("/v1/tasks", params={"split": "attics"}), 422, "unprocessable")
    assert found["allowed"] == ["corridors"]
    problem(s.http.get("/v1/tasks", params={"cursor": "attics:0"}), 422, "unprocessable")
    assert s.http.get("/v1/tasks/corridors/3").json()["instruction"] == "Go 4 cells north."
    problem(s.http.get("/v1/tasks/attics/3"), 404, "not-found")


def test_metadata_and_schema(served: Serve) -> None:
    s = served()
    found = s.http.get("/metadata").json()
    assert (found["name"], found["fork"], found["done_means"]) == ("twin", "replay", "success")
    schema = s.http.get("/schema").json()
    assert "action" in schema["action"]["properties"]
    assert "observation" in schema["observation"]["properties"]
    assert schema["action_language"] == "north, south, look"


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(data=st.data())
def test_no_order_of_calls_breaks_a_session(module_served: Served, data: st.DataObject) -> None:
    """Steps, repeats, losses and forks in any order leave each session what its own steps make it."""
    s = module_served
    cells = {s.create("corridors/40")["session_id"]: [0]}
    moves = {"north": 1, "south": -1, "look": 0, "dance": 0}
    calls = data.draw(
        st.lists(st.sampled_from(["step", "step", "step", "repeat", "lose", "fork"]), max_size=20)
    )
    for call in calls:
        session = data.draw(st.sampled_from(sorted(cells, key=list(cells).index)))
        trail = cells[session]
        if call == "step":
            action = data.draw(st.sampled_from(sorted(moves)))
            key = f"{session}/{len(trail)}"
            state = s.step(session, action, step_key=key).json()
            trail.append(max(0, trail[-1] + moves[action]))
            assert state["step_count"] == len(trail) - 1
            assert s.step(session, action, step_key=key).json() == state
        elif call == "repeat":
            state = s.http.get(f"/v1/sessions/{session}").json()
            assert state["step_count"] == len(trail) - 1
        elif call == "lose":
            s.twin.lose_all()
        else:
            at_step = data.draw(st.integers(0, len(trail) - 1))
            child = s.fork(session, at_step=at_step).json()
            cells[child["session_id"]] = trail[: at_step + 1]
    for session, trail in cells.items():
        state = s.step(session, "look").json()
        assert state["info"] == {"cell": trail[-1]}
        s.http.delete(f"/v1/sessions/{session}")


@pytest.fixture(scope="module")
def module_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    twin = TwinEnvironment()
    settings_ = EnvironmentSettings(home=tmp_path_factory.mktemp("home"))
    with running(serve(twin, settings_)) as http:
        yield Served(http, twin, [])


def test_a_caller_that_leaves_does_not_undo_what_others_joined(served: Serve) -> None:
    s = served(TwinEnvironment(start_latency=0.4))
    asked = {"task_id": "corridors/4", "session_key": "k"}

    def leave() -> None:
        with contextlib.suppress(httpx.TimeoutException):
            s.http.post("/v1/sessions", json=asked, timeout=0.1)

    leaver = threading.Thread(target=leave)
    leaver.start()
    made = s.http.post("/v1/sessions", json=asked)
    leaver.join()
    assert made.status_code == 201
    assert s.twin.starts == 1
