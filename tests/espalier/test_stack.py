"""Ports and the supervisor, with small parts of our own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
import redis
from fastapi import FastAPI

from espalier.stack.adapters import ServedModel
from espalier.stack.embedded import SetupError, engine_command, state_command, state_password
from espalier.stack.parts import Part, plan_parts
from espalier.stack.ports import port_holder
from espalier.stack.settings import StackSettings
from espalier.stack.supervisor import PartError, Supervisor, alive, read_state, stop_other
from tests.support import eventually, free_port, served

SERVER = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())

    def log_message(self, *_):
        pass

print("a part speaks", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from tests.espalier.test_stack import part, supervisor

async def main():
    folder = Path(sys.argv[1])
    await supervisor(folder, part("web", int(sys.argv[2]))).start()
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def part(name: str, port: int, after: str = "") -> Part:
    return Part(name, [sys.executable, "-c", SERVER, str(port)], port, "/", patience=30, after=after)


def supervisor(folder: Path, *parts: Part, news: list[tuple[str, str]] | None = None) -> Supervisor:
    outcome = news if news is not None else []
    return Supervisor(
        list(parts),
        folder / "logs",
        folder / "run" / "stack.json",
        lambda name, new: outcome.append((name, new)),
    )


@asynccontextmanager
async def up(made: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    """A stack that is up inside the block and watched; the watching."""
    watching: list[asyncio.Task[None]] = []
    try:
        await made.start()
        watching.append(asyncio.create_task(made.watch()))
        yield watching[0]
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await made.stop()


async def pid_at(port: int) -> int:
    """The process that answers at a port."""
    async with httpx.AsyncClient() as http:
        return int((await http.get(f"http://127.0.0.1:{port}/")).text)


async def another(folder: Path, before: int) -> int:
    """The pid of the one part of a stack, when it is no longer what it was."""
    found: list[int] = []

    def changed() -> bool:
        state = read_state(folder / "run" / "stack.json")
        found[:] = [outcome["pid"] for outcome in state["parts"]] if state else []
        return found not in ([], [before])

    await asyncio.to_thread(eventually, changed)
    return found[0]


def test_the_holder_of_a_port_is_named() -> None:
    with served(FastAPI()) as url:
        held = port_holder(int(url.rpartition(":")[2]))
    assert held is not None
    assert f"pid {os.getpid()}" in held
    assert port_holder(free_port()) is None


async def test_parts_start_and_nothing_is_left_after_them(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    news: list[tuple[str, str]] = []
    second = part("second", ports[1], after="first")
    made = supervisor(tmp_path, second, part("first", ports[0]), news=news)
    async with up(made):
        pids = [await pid_at(port) for port in ports]
        state = read_state(tmp_path / "run" / "stack.json")
        assert state is not None
        assert state["pid"] == os.getpid()
        assert {outcome["name"]: outcome["pid"] for outcome in state["parts"]} == {
            "first": pids[0],
            "second": pids[1],
        }
        assert "a part speaks" in (tmp_path / "logs" / "first.log").read_text()
        happened = [name for name, new in news if "ready" in new or "starting" in new]
        assert happened == ["first", "first", "second", "second"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert [port_holder(port) for port in ports] == [None, None]
    assert not (tmp_path / "run" / "stack.json").exists()


async def test_a_part_that_dies_is_started_again(tmp_path: Path) -> None:
    port = free_port()
    news: list[tuple[str, str]] = []
    async with up(supervisor(tmp_path, part("web", port), news=news)):
        first = await pid_at(port)
        os.kill(first, signal.SIGKILL)
        assert await another(tmp_path, first) != first
        assert any("died (exit -9)" in new for _, new in news)
    assert port_holder(port) is None


async def test_parts_take_turns_and_all_run_after_that(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    made = supervisor(tmp_path, part("first", ports[0]), part("second", ports[1]))
    async with up(made):
        processes = [psutil.Process(await pid_at(port)) for port in ports]
        turns = asyncio.create_task(made.take_turns({"first": 0.05, "second": 0.05}))
        waited = [False, False]
        while not all(waited):
            await asyncio.sleep(0.005)
            stopped = [process.status() == psutil.STATUS_STOPPED for process in processes]
            waited = [before or now for before, now in zip(waited, stopped, strict=True)]
        turns.cancel()
        await asyncio.gather(turns, return_exceptions=True)
        assert [await pid_at(port) for port in ports] == [process.pid for process in processes]
        os.killpg(processes[0].pid, signal.SIGSTOP)
        await made.remove("first")
        assert not psutil.pid_exists(processes[0].pid), "a part that is stopped can be ended"
        await made.remove("first")


async def test_a_part_that_keeps_dying_ends_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("espalier.stack.supervisor.RESTARTS", 1)
    port = free_port()
    async with up(supervisor(tmp_path, part("web", port))) as watching:
        first = await pid_at(port)
        os.kill(first, signal.SIGKILL)
        os.kill(await another(tmp_path, first), signal.SIGKILL)
        with pytest.raises(PartError, match=r"(?s)web died 1 times: .*its log: .*web\.log"):
            await asyncio.wait_for(watching, 30)


@pytest.mark.parametrize(
    ("ending", "patience", "says"),
    [
        ("exit 3", 20, "ended with exit 3 before it was ready"),
        ("exec sleep 60", 1, "not ready within 1 s"),
    ],
)
async def test_a_part_that_does_not_come_up_is_told_with_its_log(
    tmp_path: Path, ending: str, patience: float, says: str
) -> None:
    well, ill = free_port(), free_port()
    command = ["sh", "-c", f"echo 'no weights [/home]'; {ending}"]
    made = supervisor(tmp_path, part("well", well), Part("ill", command, ill, "/", patience))
    with pytest.raises(PartError) as outcome:
        async with up(made):
            pass
    assert says in str(outcome.value)
    assert "no weights [/home]" in str(outcome.value)
    assert str(tmp_path / "logs" / "ill.log") in str(outcome.value)
    assert port_holder(well) is None


async def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    free = free_port()
    with served(FastAPI()) as url:
        taken = int(url.rpartition(":")[2])
        with pytest.raises(SetupError, match=rf"Port {taken}, which web needs, .*pid {os.getpid()}"):
            await supervisor(tmp_path, part("other", free), part("web", taken)).start()
    assert port_holder(free) is None


@contextmanager
def in_its_own_process(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A supervisor with one part, up."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder), str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.wait(10)


async def test_what_a_killed_supervisor_left_is_swept(tmp_path: Path) -> None:
    port = free_port()
    with in_its_own_process(tmp_path, port) as process:
        left = await pid_at(port)
        process.kill()
        process.wait(10)
    assert psutil.pid_exists(left)
    async with up(supervisor(tmp_path, part("web", port))):
        assert await pid_at(port) != left
    assert port_holder(port) is None


async def test_a_second_stack_is_refused_and_the_first_can_still_be_stopped(tmp_path: Path) -> None:
    port = free_port()
    state = tmp_path / "run" / "stack.json"
    with in_its_own_process(tmp_path, port) as process:
        with pytest.raises(SetupError, match="up already"):
            async with up(supervisor(tmp_path, part("web", port))):
                pass
        assert read_state(state) is not None, "the first stack's state is not the second's to remove"
        left = await pid_at(port)
        assert await asyncio.to_thread(stop_other, state)
        process.wait(10)
    eventually(lambda: port_holder(port) is None, within=10)
    assert not alive(left, 0)
    assert not state.exists()
    assert not stop_other(state)


def test_a_stack_starts_only_what_is_not_there(tmp_path: Path) -> None:
    def names(**options: object) -> list[str]:
        settings = StackSettings(home=tmp_path, **options)  # pyright: ignore[reportArgumentType]
        return [
            made.name for made in plan_parts(settings, None if settings.has_engine else ServedModel(tmp_path))
        ]

    roles, rest = ["planner", "judge", "actor"], ["orchestrator", "worker"]
    ours = [*roles, "alfworld", "webshop", "mind2web", "os_interaction", "dbbench", *rest]
    assert names() == ["state", "engine", *ours]
    assert names(start_environments=["dbbench"])[2:] == [*roles, "dbbench", *rest]
    assert names(redis_url="redis://elsewhere", model_url="http://elsewhere") == ours
    assert names(model_url="http://elsewhere", workers=3) == ["state", *ours, "worker-2", "worker-3"]
    assert names(planner_model_url="http://a", judge_model_url="http://b")[:2] == ["state", "engine"]


def test_openenv_servers_are_parts_of_their_own(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, openenv={"echo": "http://a:1", "chess": "http://b:2"})
    parts = {made.name: made for made in plan_parts(settings, ServedModel(tmp_path))}
    assert [parts[name].port for name in ("echo", "chess")] == [8210, 8211]
    assert parts["chess"].environment["ESPALIER_OPENENV_URL"] == "http://b:2"
    assert parts["chess"].environment["ESPALIER_OPENENV_NAME"] == "chess"
    outcome = json.loads(parts["worker"].environment["ESPALIER_ENVIRONMENTS"])
    assert (outcome["chess"], outcome["dbbench"]) == ("http://127.0.0.1:8211", "http://127.0.0.1:8205")


async def test_a_stack_is_up_without_a_part_that_it_can_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("espalier.stack.supervisor.UNREADY_SECONDS", 0.5)
    news: list[tuple[str, str]] = []
    port = free_port()
    command = [sys.executable, "-c", SERVER.replace("200", "503"), str(port)]
    lame = Part("lame", command, port, "/", patience=30, optional=True)
    async with up(supervisor(tmp_path, lame, part("web", free_port()), news=news)):
        assert ("lame", "not ready: answers 503") in news
    with pytest.raises(PartError, match="not ready within"):
        async with up(supervisor(tmp_path, replace(lame, optional=False, patience=1.0))):
            pass


def test_several_stacks_fit_on_one_machine(tmp_path: Path) -> None:
    def ports(offset: int) -> set[int]:
        settings = StackSettings(home=tmp_path, port_offset=offset, workers=4)
        return {made.port for made in plan_parts(settings, ServedModel(tmp_path))}

    assert len(ports(0)) == 15
    assert not ports(0) & ports(1000)


CORED = """
import subprocess, sys, time
print("INFO the front waits for its core", flush=True)
code = "import sys; print('ValueError: no memory for the cache', file=sys.stderr, flush=True); sys.exit(1)"
subprocess.Popen([sys.executable, "-c", code])
time.sleep(600)
"""
LOGGED = """
import time
print("(EngineCore pid=7) ERROR 11-28 10:00:00 [core.py:1] OutOfMemoryError: tried to allocate", flush=True)
print("(EngineCore pid=7) ERROR EngineCore failed to start.", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("code", "says"), [(CORED, "ValueError: no memory for the cache"), (LOGGED, "OutOfMemoryError: tried")]
)
async def test_a_dead_core_is_noticed_long_before_the_patience_ends(
    tmp_path: Path, code: str, says: str
) -> None:
    ill = Part(
        "engine", [sys.executable, "-c", code], free_port(), "/health", 3600, cored=True, hint="\n  lower it"
    )
    made = supervisor(tmp_path, part("well", free_port()), ill)
    with pytest.raises(PartError) as raised:
        await asyncio.wait_for(made.start(), 300)
    processes = [running.process.pid for running in made._running.values()]
    await made.stop()
    message = str(raised.value)
    assert message.startswith("engine cannot come up: ")
    assert says in message
    assert message.endswith("lower it")
    assert raised.value.__cause__ is None
    assert not any(psutil.pid_exists(pid) for pid in processes)


def test_a_command_that_cannot_start_the_stack_ends_with_one_message(tmp_path: Path) -> None:
    with served(FastAPI()) as url:
        taken = url.rpartition(":")[2]
        environment = {
            **os.environ,
            "ESPALIER_HOME": str(tmp_path),
            "ESPALIER_MODEL_URL": url,
            "ESPALIER_STATE_PORT": taken,
            "ESPALIER_PORT_OFFSET": "0",
        }
        for command in (["up"], ["demo"]):
            done = subprocess.run(
                [sys.executable, "-m", "espalier", *command],
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            said = done.stdout + done.stderr
            assert done.returncode == 1
            assert f"Port {taken}" in said
            assert "Traceback" not in said


def test_the_embedded_engine_refuses_paths_with_blanks(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path / "my projects")
    with pytest.raises(SetupError, match="ESPALIER_MODEL_URL"):
        engine_command(settings, tmp_path)


def test_state_and_logs_are_the_owners_alone(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, state_port=free_port())
    command = state_command(settings)
    password = state_password(settings)
    assert not any(password in word for word in command)
    assert (settings.folder / "state").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (settings.folder / "state").iterdir())
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=settings.state_port) as stranger:
            eventually(lambda: refuses(stranger))
        with redis.Redis(port=settings.state_port, password=password) as owner:
            assert owner.ping()
    finally:
        process.terminate()
        process.wait(20)
    parts = plan_parts(StackSettings(home=tmp_path, model_url="http://127.0.0.1:1"), None)
    assert all(password in part.environment.get("ESPALIER_REDIS_URL", password) for part in parts)


def refuses(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.AuthenticationError:
        return True
    except redis.ConnectionError:
        return False
    raise AssertionError("anyone can use the state")
