"""Several scripted engines behind the real vllm-router, with the flags that the stack starts it with."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from espalier.stack.adapters import ServedModel
from espalier.stack.embedded import SetupError
from espalier.stack.parts import plan_parts
from espalier.stack.router import router_command
from espalier.stack.settings import StackSettings
from services.scripted.api import create_app
from services.scripted.model import ScriptedModel
from tests.support import eventually, free_port, served

SESSIONS = 24


@contextmanager
def routed(engines: list[str]) -> Iterator[str]:
    """A router before engines; its address."""
    port = free_port()
    command = router_command(engines, host="127.0.0.1", port=port, metrics_port=free_port(), patience=60)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, "the router has ended"
        try:
            return httpx.get(f"{url}/readiness", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        eventually(ready)
        yield url
    finally:
        process.kill()
        process.wait(20)


def chat(url: str, session: str, prompt: str = "hi") -> httpx.Response:
    body = {"model": "scripted", "messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers={"X-Session-ID": session}, timeout=30)


def sessions_of(model: ScriptedModel) -> set[str]:
    return {logged.call.session for logged in model.log}


def test_an_episode_stays_with_one_engine_and_goes_to_another_when_it_dies() -> None:
    models = [ScriptedModel(), ScriptedModel()]
    with ExitStack() as running:
        first = ExitStack()
        running.callback(first.close)
        engines = [first.enter_context(served(create_app(models[0])))]
        engines.append(running.enter_context(served(create_app(models[1]))))
        url = running.enter_context(routed(engines))
        for turn in range(3):
            for session in range(SESSIONS):
                assert chat(url, f"ep_{session}", f"turn {turn}").status_code == 200
        by_engine = [sessions_of(model) for model in models]
        assert len(by_engine[0]) + len(by_engine[1]) == SESSIONS, "no session met two engines"
        assert all(len(sessions) > SESSIONS // 6 for sessions in by_engine), "both engines work"

        first.close()
        eventually(lambda: all(chat(url, session).status_code == 200 for session in by_engine[0]), 60)
        assert by_engine[0] <= sessions_of(models[1])


def test_several_engines_start_one_after_another_and_the_roles_use_the_router(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, engine_replicas=2, start_environments=[])
    parts = {part.name: part for part in plan_parts(settings, ServedModel(tmp_path))}
    assert parts["engine-2"].after == "engine"
    assert parts["router"].after == "engine-2"
    router = f"http://127.0.0.1:{parts['router'].port}"
    assert {parts[role].environment["ESPALIER_MODEL_URL"] for role in ("planner", "judge", "actor")} == {
        router
    }
    bound = [parts[name].environment["VLLM_CPU_OMP_THREADS_BIND"] for name in ("engine", "engine-2")]
    assert len(set(bound)) == 2


def test_a_missing_router_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SetupError, match="make setup"):
        router_command([], host="127.0.0.1", port=1, metrics_port=2, patience=1)
