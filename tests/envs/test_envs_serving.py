"""What operators and sweepers use of an environment server: the list of sessions, its load, draining."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from tests.conftest import ROOT
from tests.support import eventually, free_port, running

TASK = {"task_id": "corridors/4"}
MakeServer = Callable[..., httpx.Client]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MakeServer]:
    with ExitStack() as stack:

        def make(clock: Callable[[], float] = lambda: 1000.0, **limits: Any) -> httpx.Client:
            settings = EnvironmentSettings(home=tmp_path, **limits)
            return stack.enter_context(running(serve(TwinEnvironment(), settings, clock=clock)))

        yield make


def create(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/sessions", json=TASK | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def ids(page: dict[str, Any]) -> list[str]:
    return [entry["session_id"] for entry in page["sessions"]]


def refused(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["type"].rpartition("#")[2]) == (status, kind)
    return answer.json()


def test_the_list_shows_keys_times_and_epochs(server: MakeServer) -> None:
    now = [1000.0]
    http = server(lambda: now[0])
    parent = create(http, session_key="ep/0/s1", epoch=2)["session_id"]
    now[0] = 1010.0
    fork = http.post(f"/v1/sessions/{parent}/forks", json={"fork_key": "f", "epoch": 3}).json()["session_id"]
    plain = create(http)["session_id"]
    page = http.get("/v1/sessions").json()
    assert page["next"] is None
    assert [
        (
            e["session_id"],
            e["session_key"],
            e["fork_key"],
            e["parent"],
            e["created_at"],
            e["touched_at"],
            e["epoch"],
        )
        for e in page["sessions"]
    ] == [
        (parent, "ep/0/s1", None, None, 1000.0, 1010.0, 3),
        (fork, None, "f", parent, 1010.0, 1010.0, 0),
        (plain, None, None, None, 1010.0, 1010.0, 0),
    ]


def test_pages_neither_miss_nor_repeat_a_session_while_others_go(server: MakeServer) -> None:
    http = server()
    made = [create(http)["session_id"] for _ in range(7)]
    first = http.get("/v1/sessions", params={"limit": 3}).json()
    assert ids(first) == made[:3]
    for gone in (made[1], made[2], made[4]):
        http.delete(f"/v1/sessions/{gone}")
    second = http.get("/v1/sessions", params={"limit": 3, "cursor": first["next"]}).json()
    assert ids(second) == [made[3], made[5], made[6]]
    assert second["next"] is None
    late = create(http)["session_id"]
    assert ids(http.get("/v1/sessions", params={"cursor": 7}).json()) == [late]


def test_expired_sessions_are_not_listed(server: MakeServer) -> None:
    now = [1000.0]
    http = server(lambda: now[0], session_idle_ttl=10.0)
    create(http)
    now[0] = 1011.0
    live = create(http)["session_id"]
    assert ids(http.get("/v1/sessions").json()) == [live]


@pytest.mark.parametrize("query", ["cursor=x", "cursor=-1", "cursor=", "limit=0", "limit=1001", "limit=x"])
def test_a_bad_page_is_refused(server: MakeServer, query: str) -> None:
    refused(server().get(f"/v1/sessions?{query}"), 422, "unprocessable")


def test_the_list_needs_a_key_and_draining_an_administrators(server: MakeServer) -> None:
    http = server(api_keys=SecretStr("user"), admin_keys=SecretStr("root"))
    refused(http.get("/v1/sessions"), 401, "unauthorized")
    refused(http.get("/v1/load"), 401, "unauthorized")
    refused(http.post("/v1/drain"), 401, "unauthorized")
    user = {"Authorization": "Bearer user"}
    assert http.get("/v1/sessions", headers=user).json() == {"sessions": [], "next": None}
    refused(http.post("/v1/drain", headers=user), 403, "forbidden")
    assert http.get("/v1/load", headers=user).json()["draining"] is False
    assert http.post("/v1/drain", headers={"Authorization": "Bearer root"}).json()["draining"] is True


def test_a_draining_server_goes_on_with_what_it_has_and_takes_nothing_new(server: MakeServer) -> None:
    http = server(max_sessions=10)
    made = create(http, session_key="k")
    session = made["session_id"]
    assert http.get("/v1/load").json() == {"sessions": 1, "limit": 10, "draining": False}
    for _ in range(2):  # it is safe to repeat
        assert http.post("/v1/drain").json() == {"sessions": 1, "limit": 10, "draining": True}
    answer = http.post("/v1/sessions", json=TASK | {"session_key": "other"})
    refused(answer, 503, "draining")
    assert int(answer.headers["retry-after"]) >= 1
    refused(http.post(f"/v1/sessions/{session}/forks", json={"fork_key": "f"}), 503, "draining")
    refused(http.post("/reset", json={}), 503, "draining")
    assert http.post("/v1/sessions", json=TASK | {"session_key": "k"}).json() == made, "a repeat is not new"
    step = {"action": "north", "step_key": "0/1"}
    assert http.post(f"/v1/sessions/{session}/steps", json=step).json()["step_count"] == 1
    ready = http.get("/readyz")
    assert ready.status_code == 503
    assert "draining" in ready.json()["dependencies"]["sessions"]
    assert http.get("/healthz").status_code == 200
    assert http.delete(f"/v1/sessions/{session}").status_code == 204


def test_keys_that_were_used_otherwise_are_named(server: MakeServer) -> None:
    http = server()
    session = create(http, session_key="k")["session_id"]
    http.post(f"/v1/sessions/{session}/steps", json={"action": "north", "step_key": "0/1"})
    http.post(f"/v1/sessions/{session}/forks", json={"fork_key": "f", "at_step": 0})
    answers = {
        "step_key": http.post(f"/v1/sessions/{session}/steps", json={"action": "look", "step_key": "0/1"}),
        "fork_key": http.post(f"/v1/sessions/{session}/forks", json={"fork_key": "f", "at_step": 1}),
        "session_key": http.post("/v1/sessions", json={"task_id": "corridors/5", "session_key": "k"}),
    }
    for field, answer in answers.items():
        assert [error["field"] for error in refused(answer, 422, "unprocessable")["errors"]] == [field]


class Process:
    """A server in a process of its own."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "tests.chaos.parts", "environment", "--port", port]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | settings | {"ESPALIER_HOME": str(home)},
        )
        self.http = httpx.Client(base_url=self.url, timeout=30)
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def end(self) -> None:
        self.http.close()
        self.process.kill()
        self.process.wait(20)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(**settings: str) -> Process:
        made.append(Process(tmp_path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_sigterm_drains_and_the_process_ends_with_its_last_session(process: Callable[..., Process]) -> None:
    server = process(ESPALIER_DRAIN_SECONDS="600")
    session = create(server.http)["session_id"]
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: server.http.get("/v1/load").json()["draining"])
    assert server.http.get("/readyz").status_code == 503
    refused(server.http.post("/v1/sessions", json=TASK), 503, "draining")
    for count in (1, 2):
        step = server.http.post(f"/v1/sessions/{session}/steps", json={"action": "north"})
        assert step.json()["step_count"] == count
    assert server.process.poll() is None
    server.http.delete(f"/v1/sessions/{session}")
    assert server.process.wait(60) in (0, -signal.SIGTERM)


def test_a_drain_ends_after_its_time_and_with_a_second_sigterm(process: Callable[..., Process]) -> None:
    short, long = process(ESPALIER_DRAIN_SECONDS="0.2"), process(ESPALIER_DRAIN_SECONDS="600")
    for server in (short, long):
        create(server.http)
        server.process.send_signal(signal.SIGTERM)
    eventually(lambda: long.http.get("/v1/load").json()["draining"])
    long.process.send_signal(signal.SIGTERM)
    for server in (short, long):
        assert server.process.wait(60) in (0, -signal.SIGTERM)
