"""OpenEnv's surface: its messages over a real socket, and its own client where it is installed."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from tests.support import eventually, running


@pytest.fixture
def twin() -> TwinEnvironment:
    return TwinEnvironment()


@pytest.fixture
def http(twin: TwinEnvironment, tmp_path: Path) -> Iterator[httpx.Client]:
    with running(serve(twin, EnvironmentSettings(home=tmp_path, max_sessions=2))) as client:
        yield client


def socket_of(http: httpx.Client) -> ClientConnection:
    return connect(str(http.base_url).replace("http://", "ws://").rstrip("/") + "/ws")


def ask(socket: ClientConnection, kind: str, **data: Any) -> dict[str, Any]:
    socket.send(json.dumps({"type": kind, "data": data} if data or kind != "state" else {"type": kind}))
    return json.loads(socket.recv())


def test_a_socket_keeps_one_session_and_ends_it(http: httpx.Client, twin: TwinEnvironment) -> None:
    with socket_of(http) as socket:
        found = ask(socket, "reset", task_id="corridors/1")
        assert found["type"] == "observation"
        assert found["data"]["observation"]["instruction"] == "Go 2 cells north."
        assert (found["data"]["reward"], found["data"]["done"]) == (0.0, False)
        ask(socket, "step", action="north")
        state = ask(socket, "state")
        assert (state["type"], state["data"]["step_count"]) == ("state", 1)
        assert ask(socket, "step", action="north")["data"]["done"] is True
        again = ask(socket, "reset", seed=3)
        assert again["data"]["observation"]["task_id"] == "corridors/3"
        eventually(lambda: len(twin.walkers) == 1)
    eventually(lambda: not twin.walkers)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff",
        b'{"type": "state"}',
        "{",
        "[]",
        '{"type": "reset", "data": {"seed": NaN}}',
        '{"type": "reset", "data": ' + "[" * 5_000 + "]" * 5_000 + "}",
        '{"type": ["reset"], "data": {}}',
        '{"type": "reset", "data": {"task_id": "\\ud800"}}',
        '{"type": "reset", "data": {"seed": 99999999999999999999}}',
    ],
)
def test_odd_frames_are_errors_and_the_socket_lives_on(http: httpx.Client, sent: str | bytes) -> None:
    with socket_of(http) as socket:
        socket.send(sent)
        assert json.loads(socket.recv())["type"] == "error"
        assert ask(socket, "reset", task_id="corridors/1")["type"] == "observation"


def test_a_message_over_the_limit_ends_the_connection(tmp_path: Path) -> None:
    app = serve(TwinEnvironment(), EnvironmentSettings(home=tmp_path, max_body_bytes=2_000))
    with running(app) as client, socket_of(client) as socket:
        socket.send(json.dumps({"type": "step", "data": {"action": "n" * 3_000}}))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_errors_are_messages_and_the_socket_lives_on(http: httpx.Client) -> None:
    with socket_of(http) as socket:
        assert ask(socket, "step", action="north")["data"]["code"] == "SESSION_ERROR"
        assert ask(socket, "dance")["data"]["code"] == "UNKNOWN_TYPE"
        assert ask(socket, "reset", task_id="attics/1")["data"]["code"] == "VALIDATION_ERROR"
        assert ask(socket, "reset", split="attics")["data"]["code"] == "VALIDATION_ERROR"
        assert ask(socket, "reset", seed="x")["data"]["code"] == "VALIDATION_ERROR"
        for broken in ("{", "[]", "1", '{"type": "reset", "data": 1}'):
            socket.send(broken)
            assert json.loads(socket.recv())["type"] == "error"
        ask(socket, "reset")
        assert ask(socket, "step", action=7)["data"]["code"] == "VALIDATION_ERROR"
        assert ask(socket, "step", action="north")["type"] == "observation"


def test_the_cap_is_told(http: httpx.Client) -> None:
    with socket_of(http) as one, socket_of(http) as two, socket_of(http) as three:
        ask(one, "reset")
        ask(two, "reset")
        assert ask(three, "reset")["data"]["code"] == "CAPACITY_REACHED"


def test_http_verbs(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "healthy"}
    found = http.post("/reset", json={"task_id": "corridors/0"}).json()
    session = found["metadata"]["session_id"]
    stepped = http.post("/step", json={"session_id": session, "action": {"action": "north"}}).json()
    assert (stepped["done"], stepped["reward"]) == (True, 1.0)
    assert http.get("/state", params={"session_id": session}).json()["step_count"] == 1
    assert http.post("/step", json={"action": {"action": "north"}}).status_code == 422
    assert http.post("/reset").json()["observation"]["task_id"] == "corridors/0"


def test_with_openenvs_own_client(http: httpx.Client, openenv_python: Path) -> None:
    client = Path(__file__).with_name("openenv_client.py")
    done = subprocess.run(
        [str(openenv_python), str(client), str(http.base_url)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Go 1 cells north.", "True 1.0", "1"]
