"""A server made with OpenEnv's own package, played through the session server."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from envs.openenv import schema
from envs.openenv.environment import OpenEnvEnvironment
from envs.openenv.settings import OpenEnvSettings
from envs.serving.server import serve
from tests.support import eventually, free_port, running

Start = Callable[[], subprocess.Popen[bytes]]


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def counter(openenv_python: Path) -> Iterator[tuple[str, Start]]:
    """The game's address, and how to start it (again)."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    game = Path(__file__).with_name("openenv_counter.py")
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([str(openenv_python), str(game), str(port)]))
        eventually(lambda: _answers(url))
        return started[-1]

    yield url, start
    for process in started:
        process.kill()
        process.wait(10)


def _settings(url: str, **more: Any) -> OpenEnvSettings:
    return OpenEnvSettings(
        openenv_url=url, openenv_name="counter", openenv_tasks=5, openenv_timeout=5, **more
    )


def test_it_is_played_forked_and_rebuilt(counter: tuple[str, Start]) -> None:
    url, start = counter
    game = start()
    settings = _settings(url, openenv_instruction="Count to the end.")
    with running(serve(OpenEnvEnvironment(settings), settings)) as http:
        found = http.get("/metadata").json()
        assert (found["name"], found["fork"], found["splits"], found["takes_tasks"]) == (
            "counter",
            "replay",
            ["seeds"],
            False,
        )
        assert http.get("/v1/tasks").json()["total"] == 5
        assert http.get("/v1/tasks/seeds/5").status_code == 404
        made = http.post("/v1/sessions", json={"task_id": "seeds/1", "session_key": "k"}).json()
        assert (made["observation"], made["instruction"]) == ("0 of 4", "Count to the end.")
        steps = f"/v1/sessions/{made['session_id']}/steps"

        def step(action: str, key: str) -> dict[str, Any]:
            answer = http.post(steps, json={"action": action, "step_key": key})
            assert answer.status_code == 200, answer.text
            return answer.json()

        assert step("up", "b/1")["observation"] == "1 of 4"
        assert step("up", "b/1")["observation"] == "1 of 4"
        assert step('{"word": "up"}', "b/2")["observation"] == "2 of 4"
        refused = step('{"letter": "x"}', "b/3")
        assert (refused["valid"], refused["done"]) == (False, False)

        fork = http.post(f"/v1/sessions/{made['session_id']}/forks", json={"at_step": 1}).json()
        assert fork["observation"] == "1 of 4"
        ahead = http.post(f"/v1/sessions/{fork['session_id']}/steps", json={"action": "up"}).json()
        assert ahead["observation"] == "2 of 4"

        game.kill()
        game.wait(10)
        assert http.post("/v1/sessions", json={"task_id": "seeds/0"}).status_code == 503
        assert http.get("/readyz").status_code == 503
        start()
        assert step("up", "b/4")["observation"] == "3 of 4"
        last = step("up", "b/5")
        assert (last["done"], last["reward"], last["info"]["reward"]) == (True, 1.0, 7.0)
        assert http.get("/readyz").status_code == 200


def test_a_server_that_is_away_is_told(openenv_python: Path) -> None:
    settings = _settings(f"http://127.0.0.1:{free_port()}")
    with running(serve(OpenEnvEnvironment(settings), settings)) as http:
        assert "does not answer" in http.get("/readyz").text
        answer = http.post("/v1/sessions", json={"task_id": "seeds/0"})
        assert (answer.status_code, answer.json()["status"]) == (503, 503)


SAY = {"properties": {"metadata": {"type": "object"}, "word": {"type": "string", "description": "A word"}}}
TWO = {"properties": {"x": {"type": "string"}, "y": {"type": "string"}, "n": {"type": "integer"}}}


def test_texts_become_actions() -> None:
    assert schema.text_field(SAY) == "word"
    assert schema.text_field(TWO) == ""
    assert schema.text_field(TWO | {"required": ["y", "n"]}) == "y"
    assert schema.text_field({}) == ""
    assert schema.action_of("hello", "word") == {"word": "hello"}
    assert schema.action_of("3", "word") == {"word": "3"}
    assert schema.action_of('{"x": 1}', "word") == {"x": 1}
    assert schema.action_of("hello", "") is None
    assert schema.action_of(" ", "word") is None
    assert schema.language_of(SAY, "word") == "A text: A word."
    assert "x: string; y: string; n: integer" in schema.language_of(TWO, "")


def test_observations_become_texts() -> None:
    assert schema.text_of({"text": "here", "done": True, "reward": 1, "metadata": {}}) == "here"
    assert schema.text_of({"observation": "seen", "count": 3}) == "seen"
    assert schema.text_of({"rows": [1, 2], "note": "ok"}) == '{"rows": [1, 2], "note": "ok"}'
