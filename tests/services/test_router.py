"""Scripted engines behind the real router: sessions, adapters, replicas that come, die and come back."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from pydantic import SecretStr, ValidationError

from services.actor.api import create as create_actor
from services.kit.engine import Engine
from services.kit.settings import RoleSettings
from services.router.api import create as create_router
from services.router.process import router_command
from services.router.replicas import MOST, Resolver
from services.router.settings import RouterSettings
from services.scripted.api import create_app
from services.scripted.model import ScriptedModel
from tests.support import eventually, free_port, served

KEY = "engine-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
SESSIONS = 24
ADAPTER = {"name": "actor@aaaaaaaa", "path": "/adapters/actor"}


class Routed:
    """Two engines, their router, and a role that calls it."""

    def __init__(self, home: Path) -> None:
        self.ports = [free_port(), free_port()]
        self.models = [ScriptedModel(), ScriptedModel()]
        self.own, self.url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.role = ""
        self.environment = {
            **os.environ,
            "ESPALIER_HOME": str(home),
            "ESPALIER_MODEL_KEY": KEY,
            "ESPALIER_ROUTER_ENGINES": ",".join(f"http://127.0.0.1:{port}" for port in self.ports),
            "ESPALIER_ROUTER_PORT": self.url.rpartition(":")[2],
            "ESPALIER_ROUTER_METRICS_PORT": str(free_port()),
            "ESPALIER_ROUTER_LOOK": "1",
            "ESPALIER_ROUTER_GRACE": "2",
        }
        self._engines = [ExitStack(), ExitStack()]

    def start_engine(self, number: int, model: ScriptedModel | None = None) -> None:
        """Start one engine, which has no adapters."""
        self.models[number] = model or ScriptedModel()
        app = create_app(self.models[number], api_key=KEY)
        self._engines[number].enter_context(served(app, self.ports[number]))

    def stop_engine(self, number: int) -> None:
        """Stop one engine."""
        self._engines[number].close()

    def replicas(self) -> int:
        """Count the engines that take requests, as the router's readiness has it."""
        try:
            return len(httpx.get(f"{self.own}/readyz", timeout=5).json()["replicas"])
        except httpx.HTTPError:
            return -1

    def chat(self, session: str, headers: dict[str, str] = HEADERS) -> int:
        """Request one token for a session, and return the status."""
        body = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        sent = {**headers, "X-Session-ID": session}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=sent, timeout=30).status_code

    def adapters(self, method: str = "GET", name: str = "") -> httpx.Response:
        """Request the role's adapters, or a change of them."""
        body = ADAPTER if method == "POST" else None
        return httpx.request(method, f"{self.role}/v1/adapters{name}", json=body, timeout=30)


@contextmanager
def running(routed: Routed) -> Iterator[None]:
    command = [sys.executable, "-m", "espalier", "serve", "router", "--port", routed.own.rpartition(":")[2]]
    process = subprocess.Popen(command, env=routed.environment)
    try:
        eventually(lambda: routed.replicas() >= 0)
        assert process.poll() is None
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    made = Routed(tmp_path_factory.mktemp("home"))
    with ExitStack() as stack:
        for number in (0, 1):
            made.start_engine(number)
            stack.callback(made.stop_engine, number)
        stack.enter_context(running(made))
        settings = RoleSettings(model_url=made.url, model_key=SecretStr(KEY))
        made.role = stack.enter_context(served(create_actor(settings)))
        eventually(lambda: made.replicas() == 2)
        yield made


def sessions_of(model: ScriptedModel) -> set[str]:
    return {logged.call.session for logged in model.log if logged.call.session}


def test_an_episode_stays_with_one_engine(routed: Routed) -> None:
    for _ in range(3):
        for session in range(SESSIONS):
            assert routed.chat(f"ep_{session}") == 200
    by_engine = [sessions_of(model) for model in routed.models]
    assert len(by_engine[0]) + len(by_engine[1]) == SESSIONS, "a session met two engines"
    assert all(len(sessions) > SESSIONS // 6 for sessions in by_engine), "an engine has next to no work"


def test_the_engines_key_opens_the_router(routed: Routed) -> None:
    assert routed.chat("ep_0", headers={}) in (401, 403)


def test_changes_by_others_are_undone(routed: Routed) -> None:
    def listed() -> set[str]:
        workers = httpx.get(f"{routed.url}/workers", headers=HEADERS, timeout=10).json()["workers"]
        return {worker["url"] for worker in workers}

    before = listed()
    with served(create_app(ScriptedModel())) as stranger:
        added = httpx.post(f"{routed.url}/add_worker", params={"url": stranger}, timeout=30)
        assert added.status_code == 200
        eventually(lambda: stranger not in listed())
    httpx.post(f"{routed.url}/remove_worker", params={"url": min(before)}, timeout=10)
    eventually(lambda: listed() == before)


def test_adapters_reach_every_replica_and_one_that_comes_back_gets_them_first(routed: Routed) -> None:
    answer = routed.adapters("POST")
    assert answer.status_code == 201, answer.text
    assert [list(model.adapters) for model in routed.models] == [[ADAPTER["name"]]] * 2

    routed.stop_engine(0)
    eventually(lambda: routed.replicas() == 1)
    assert {routed.chat(f"ep_{session}") for session in range(SESSIONS)} == {200}, (
        "the other engine has it all"
    )
    routed.start_engine(0)
    eventually(lambda: routed.replicas() == 2)
    assert list(routed.models[0].adapters) == [ADAPTER["name"]]

    assert routed.adapters("DELETE", f"/{ADAPTER['name']}").status_code == 200
    assert [list(model.adapters) for model in routed.models] == [[], []]


def test_a_call_that_meets_a_dead_engine_is_answered_by_another(routed: Routed) -> None:
    context = {
        "environment": {"name": "house", "description": "A house.", "actions": "go, take"},
        "task": "put a mug on a shelf",
        "observation": "You are in a room.",
    }
    routed.stop_engine(0)
    answers = [
        httpx.post(
            f"{routed.role}/v1/actions",
            json={"context": context, "n": 1},
            headers={"X-Session-ID": f"ep_{session}"},
            timeout=60,
        )
        for session in range(6)
    ]
    routed.start_engine(0)
    eventually(lambda: routed.replicas() == 2)
    assert [answer.status_code for answer in answers] == [200] * len(answers), answers[0].text


def test_an_adapter_that_one_replica_refuses_is_loaded_nowhere(routed: Routed) -> None:
    refusing = routed.models[1]
    known, refusing.name = refusing.name, ADAPTER["name"]  # an adapter may not have the base model's name
    try:
        answer = routed.adapters("POST")
    finally:
        refusing.name = known
    assert answer.status_code == 422
    assert "conflicts" in answer.json()["detail"]
    assert [list(model.adapters) for model in routed.models] == [[], []]


def test_a_replica_that_lacks_an_adapter_is_brought_up_to_date(routed: Routed) -> None:
    assert routed.adapters("POST").status_code == 201
    del routed.models[1].adapters[ADAPTER["name"]]  # as after a start between two looks
    eventually(lambda: ADAPTER["name"] in routed.models[1].adapters)
    eventually(lambda: routed.replicas() == 2)
    del routed.models[0].adapters[ADAPTER["name"]]  # an unloading that broke off can be repeated
    assert routed.adapters("DELETE", f"/{ADAPTER['name']}").status_code == 200
    assert [list(model.adapters) for model in routed.models] == [[], []]


def test_a_refused_adapter_keeps_no_replica_out(routed: Routed) -> None:
    assert routed.adapters("POST").status_code == 201
    routed.stop_engine(0)
    eventually(lambda: routed.replicas() == 1)
    refusing = ScriptedModel(name=ADAPTER["name"])  # no adapter may have the name of the base model
    routed.start_engine(0, refusing)
    eventually(lambda: routed.replicas() == 2)
    assert not refusing.adapters
    routed.stop_engine(0)
    eventually(lambda: routed.replicas() == 1)
    routed.start_engine(0)
    eventually(lambda: routed.replicas() == 2)
    assert list(routed.models[0].adapters) == [ADAPTER["name"]]
    assert routed.adapters("DELETE", f"/{ADAPTER['name']}").status_code == 200


def test_an_adapter_is_loaded_though_a_replica_is_away(routed: Routed) -> None:
    routed.stop_engine(0)  # the router lists it until it has missed two looks
    answer = routed.adapters("POST")
    assert answer.status_code == 201, answer.text
    assert list(routed.models[1].adapters) == [ADAPTER["name"]]
    eventually(lambda: routed.replicas() == 1)
    routed.start_engine(0)
    eventually(lambda: routed.replicas() == 2)
    assert routed.adapters("DELETE", f"/{ADAPTER['name']}").status_code == 200


async def test_a_page_for_every_path_is_no_router() -> None:
    app = FastAPI()

    @app.get("/{path:path}")
    async def page(path: str) -> HTMLResponse:
        return HTMLResponse(f"<html>{path}</html>")

    with served(app) as url:
        engine = Engine(url, RoleSettings())
        assert await engine.list_routed() == []
        await engine.close()


async def test_a_name_stands_for_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [(2, 1, 6, "", (f"10.0.{place // 250}.{place % 250}", 8100)) for place in range(MOST + 5)]
    failing: Exception | None = None

    async def look_up(host: str, port: int, **_: object) -> list[object]:
        if failing is not None:
            raise failing
        return [(10, 1, 6, "", ("fd00::1", port, 0, 0))] if host == "six" else [*places]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    resolver = Resolver(["http://six:8100"])
    assert await resolver.resolve() == ["http://[fd00::1]:8100"]
    for error in (socket.gaierror(socket.EAI_AGAIN, "try again"), OSError("no network"), TimeoutError()):
        failing = error
        assert await resolver.resolve() == ["http://[fd00::1]:8100"], "the addresses of before stand"
    failing = socket.gaierror(socket.EAI_NONAME, "no such name")
    assert await resolver.resolve() == []
    failing = None
    assert await Resolver(["https://secure:443"]).resolve() == ["https://secure:443"]
    assert len(await Resolver(["http://many:8100"]).resolve()) == MOST


@pytest.mark.parametrize("given", ["engine:8100", "ftp://engine", "http://engine/v1", "http://"])
def test_what_is_no_address_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_ROUTER_ENGINES", given)
    with pytest.raises(ValidationError, match="not an address"):
        RouterSettings()


def test_a_missing_package_and_a_missing_engine_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="ESPALIER_ROUTER_ENGINES"):
        create_router(RouterSettings())
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="make setup"):
        router_command(RouterSettings())
