"""The worker's port to environments: over one server, over several, and its scripted twin behave the same."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from services.contracts.episode import EpisodeCreate
from services.contracts.session import SessionEntry, SessionState
from services.kit.failures import BusyError, OutageError
from services.kit.upstream import Upstream
from services.orchestrator.environment_servers import HttpEnvironment
from services.orchestrator.environments import (
    DivergedError,
    EnvironmentPort,
    SessionAheadError,
    SessionLostError,
)
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.errors import FencedError
from services.orchestrator.twins import ScriptedEnvironment
from tests.envs.test_envs_serving import Process, process
from tests.support import free_port, served

__all__ = ["process"]
REQUEST = EpisodeCreate.model_construct(environment="twin", task_id="corridors/9", method="react", seed=3)


@dataclass
class Server:
    url: str
    twin: TwinEnvironment

    def post(self, path: str) -> None:
        assert httpx.post(f"{self.url}{path}").status_code == 200

    def count(self) -> int:
        return httpx.get(f"{self.url}/v1/load").json()["sessions"]


MakeServer = Callable[..., Server]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MakeServer]:
    with ExitStack() as stack:

        def make(**limits: Any) -> Server:
            twin = TwinEnvironment()
            app = serve(twin, EnvironmentSettings(home=tmp_path, **limits))
            return Server(stack.enter_context(served(app)), twin)

        yield make


@asynccontextmanager
async def port(*urls: str, retry_for: float = 0.2) -> AsyncIterator[HttpEnvironment]:
    upstreams = [Upstream("twin", url, retry_for=retry_for, timeout=30) for url in urls]
    try:
        yield HttpEnvironment(*upstreams)
    finally:
        for upstream in upstreams:
            await upstream.close()


@pytest.fixture(params=["one server", "three servers", "scripted"])
async def environment(request: pytest.FixtureRequest, server: MakeServer) -> AsyncIterator[EnvironmentPort]:
    if request.param == "scripted":
        yield ScriptedEnvironment(length=10)
        return
    async with port(*(server().url for _ in range(1 if request.param == "one server" else 3))) as made:
        yield made


async def opened(environment: EnvironmentPort, key: str = "ep/0/s0", epoch: int = 1) -> str:
    return (await environment.open(REQUEST, key, epoch)).state.session_id


def shown(state: SessionState) -> str:
    return state.essence or state.observation


async def listed(environment: EnvironmentPort) -> list[SessionEntry]:
    return [entry async for entry in environment.sessions()]


async def test_a_fork_has_the_state_of_its_step_and_a_life_of_its_own(environment: EnvironmentPort) -> None:
    session = await opened(environment)
    seen = [(await environment.step(session, "north", f"0/{n}", 1)).state for n in (1, 2, 3)]
    fork = (await environment.fork(session, 2, "f", 1)).state
    assert (shown(fork), fork.step_count) == (shown(seen[1]), 2)
    assert fork.session_id != session
    assert (await environment.fork(session, 2, "f", 1)).state.session_id == fork.session_id
    back = (await environment.step(fork.session_id, "south", "0/3", 1)).state
    assert (shown(back), back.step_count) == (shown(seen[0]), 3)
    further = (await environment.step(session, "north", "0/4", 1)).state
    assert further.step_count == 4
    again = (await environment.fork(fork.session_id, 3, "f", 1)).state
    assert shown(again) == shown(seen[0]), "a fork of a fork has the steps of both"


async def test_a_session_ahead_of_its_log_is_recognised(environment: EnvironmentPort) -> None:
    session = await opened(environment)
    await environment.step(session, "north", "0/1", 1)
    with pytest.raises(SessionAheadError):
        await environment.step(session, "south", "0/1", 1)
    await environment.fork(session, 1, "f", 1)
    with pytest.raises(SessionAheadError):
        await environment.fork(session, 0, "f", 1)
    with pytest.raises(SessionLostError):
        await environment.fork(session, 2, "g", 1)  # the session is behind


async def test_a_session_that_is_gone_is_lost_to_steps_and_forks(environment: EnvironmentPort) -> None:
    session = await opened(environment)
    await environment.close(session, 1)
    await environment.close(session, 1)
    with pytest.raises(SessionLostError):
        await environment.step(session, "north", "0/1", 1)
    with pytest.raises(SessionLostError):
        await environment.fork(session, 0, "f", 1)
    assert await opened(environment) != session, "the key makes a new one"


async def test_a_session_is_read_with_its_language(environment: EnvironmentPort) -> None:
    session = await opened(environment)
    if isinstance(environment, ScriptedEnvironment):
        environment.grammar = "(?:look|north|south)"
    seen = (await environment.step(session, "north", "0/1", 1)).state
    found = await environment.read(session)
    assert (shown(found), found.step_count) == (shown(seen), 1)
    assert (seen.grammar, found.grammar) == ("", "(?:look|north|south)")
    await environment.close(session, 1)
    with pytest.raises(SessionLostError):
        await environment.read(session)


async def test_a_lower_epoch_is_fenced(environment: EnvironmentPort) -> None:
    session = await opened(environment, epoch=2)
    with pytest.raises(FencedError):
        await environment.step(session, "north", "0/1", 1)
    with pytest.raises(FencedError):
        await environment.fork(session, 0, "f", 1)
    with pytest.raises(FencedError):
        await environment.close(session, 1)


async def test_live_sessions_are_listed_as_they_are_recorded(environment: EnvironmentPort) -> None:
    made = [await opened(environment, f"ep/0/s{number}") for number in range(5)]
    fork = (await environment.fork(made[0], 0, "f", 1)).state.session_id
    await environment.close(made[1], None)
    found = {entry.session_id: entry for entry in await listed(environment)}
    assert found.keys() == {made[0], *made[2:], fork}
    assert [found[made[n]].session_key for n in (0, 2, 3, 4)] == [f"ep/0/s{n}" for n in (0, 2, 3, 4)]
    assert (found[fork].fork_key, found[fork].parent, found[fork].session_key) == ("f", made[0], None)
    for session in found:
        await environment.close(session, None)
    assert await listed(environment) == []


async def test_a_fork_that_replays_otherwise_has_diverged(server: MakeServer) -> None:
    one = server()
    async with port(one.url) as environment:
        session = await opened(environment)
        await environment.step(session, "north", "0/1", 1)
        one.twin.drifts = True
        with pytest.raises(DivergedError):
            await environment.fork(session, 1, "f", 1)


async def test_sessions_of_many_pages_are_all_listed(
    server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.environment_server.PAGE", 2)
    async with port(server().url, server().url) as environment:
        made = {await opened(environment, f"k{number}") for number in range(9)}
        assert sorted(entry.session_id for entry in await listed(environment)) == sorted(made)


async def test_sessions_go_where_there_is_room(server: MakeServer) -> None:
    large, small = server(max_sessions=30), server(max_sessions=10)
    async with port(small.url, large.url) as environment:
        for number in range(20):
            await opened(environment, f"k{number}")
    assert 12 <= large.count() <= 18
    assert large.count() + small.count() == 20


async def test_full_draining_and_absent_servers_are_passed_over(server: MakeServer) -> None:
    full, draining, free = server(max_sessions=1), server(), server(max_sessions=3)
    away = f"http://127.0.0.1:{free_port()}"
    async with port(full.url, away, draining.url, free.url) as environment:
        kept = await opened(environment, "first")  # the loads are read: all are empty
        draining.post("/v1/drain")
        left = 4 - full.count() - free.count()
        made = [await opened(environment, f"k{number}") for number in range(left)]
        assert (full.count(), free.count()) == (1, 3)
        with pytest.raises(BusyError):
            await opened(environment, "one too many")
        await environment.close(made[0], 1)
        assert await opened(environment, "one more")
        await environment.step(kept, "north", "0/1", 1)


async def test_only_without_any_server_is_it_an_outage(server: MakeServer) -> None:
    draining, away = server(), f"http://127.0.0.1:{free_port()}"
    draining.post("/v1/drain")
    async with port(away, draining.url) as environment:
        with pytest.raises(OutageError, match=r"draining") as refused:
            await opened(environment)
        assert away in str(refused.value)
        assert (await environment.metadata()).name == "twin", "a server that drains answers all else"
        assert await environment.task("corridors/1") is not None
        assert (await environment.tasks(None, None, 5)).tasks
        assert await environment.ready() is None
    async with port(away, f"http://127.0.0.1:{free_port()}") as environment:
        assert "Connect" in (await environment.ready() or "")


async def test_an_unreadable_answer_of_one_of_several_servers_is_repeated() -> None:
    opened_on: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/load":
            return httpx.Response(200, json={"sessions": 0, "limit": 4})
        opened_on.append(request.url.host)
        if len(opened_on) == 1:
            return httpx.Response(200, content=b"{\xff}", headers={"content-type": "application/json"})
        return httpx.Response(201, json={"session_id": "made", "observation": "Cell 0"})

    transport = httpx.MockTransport(answer)
    servers = [Upstream("twin", f"http://{name}", transport=transport) for name in ("one", "two")]
    session = await opened(HttpEnvironment(*servers))
    assert session.startswith("made@")
    assert len(opened_on) == 2


async def test_a_fork_on_a_draining_server_goes_elsewhere(server: MakeServer) -> None:
    one, other = server(), server()
    async with port(one.url, other.url) as environment, port(one.url) as alone:
        session = await opened(alone)
        one.post("/v1/drain")
        with pytest.raises(OutageError):
            await alone.fork(session, 0, "f", 1)
        with pytest.raises(SessionLostError):
            await environment.fork(session, 0, "f", 1)
        other.post("/v1/drain")
    async with port(one.url, other.url) as environment:
        with pytest.raises(OutageError):
            await environment.fork(session, 0, "f", 1)


async def test_sessions_are_found_again_whatever_the_order_of_the_list(server: MakeServer) -> None:
    urls = [server().url for _ in range(3)]
    async with port(*urls) as environment:
        made = [await opened(environment, f"k{number}") for number in range(6)]
    async with port(*reversed(urls)) as environment:
        assert {entry.session_id for entry in await listed(environment)} == set(made)
        for session in made:
            assert (await environment.step(session, "north", "0/1", 1)).state.session_id == session
    async with port(urls[0], f"http://127.0.0.1:{free_port()}") as environment:  # two servers were taken out
        lost = 0
        for session in made:
            try:
                await environment.step(session, "look", "0/2", 1)
            except SessionLostError as error:
                lost += "no longer configured" in str(error)
            await environment.close(session, 1)
        assert 0 < lost < 6


async def test_ids_recorded_with_one_server_work_with_several(server: MakeServer) -> None:
    first, second = server(), server()
    async with port(first.url) as environment:
        session = await opened(environment)
    assert "@" not in session
    async with port(first.url, second.url) as environment:
        state = (await environment.step(session, "north", "0/1", 1)).state
        assert state.step_count == 1
        assert (await environment.step(state.session_id, "north", "0/2", 1)).state.step_count == 2


async def test_a_session_of_a_killed_server_is_lost_where_another_takes_it(
    process: Callable[..., Process],
) -> None:
    one, other = process(), process()
    async with port(one.url, other.url) as environment, port(one.url) as alone:
        plain = await opened(alone, "alone")
        sessions = [await opened(environment, f"k{number}") for number in range(6)]
        first = await environment.step(sessions[0], "north", "0/1", 1)
        assert first.state.step_count == 1
        one.process.kill()
        one.process.wait(20)
        lost = 0
        for session in sessions:
            try:
                await environment.step(session, "north", "0/1", 1)
            except SessionLostError:
                lost += 1
                again = await opened(environment, f"{session}/again", 2)
                assert (await environment.step(again, "north", "0/1", 2)).state.step_count == 1
        assert 0 < lost < 6
        assert len(await listed(environment)) == 6, "the absent server is passed over"
        assert await environment.ready() is None
        with pytest.raises(OutageError):
            await alone.step(plain, "north", "0/1", 1)
        other.process.kill()
        other.process.wait(20)
    async with port(one.url, other.url) as environment:
        with pytest.raises(OutageError):
            await environment.step(sessions[0], "north", "0/2", 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("127.0.0.1:8201", "an address such as"),
        ("ftp://127.0.0.1", "an address such as"),
        ([], "0 servers"),
        (["http://a:1"] * 65, "65 servers"),
        (["http://a:1", "http://a:1/"], "twice"),
        (["http://a:1", 5], "an address such as"),
        ({"url": "http://a:1"}, "an address such as"),
        (None, "an address such as"),
    ],
)
def test_what_is_no_list_of_servers_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        OrchestratorSettings(environments={"twin": given})
    assert [error["loc"] for error in refused.value.errors()] == [("environments", "twin")]


def test_a_name_has_one_server_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_ENVIRONMENTS", '{"a": "http://x:1/", "b": ["http://x:2", "http://y:2/"]}')
    settings = OrchestratorSettings()
    assert settings.servers("a") == ["http://x:1"]
    assert settings.servers("b") == ["http://x:2", "http://y:2"]
