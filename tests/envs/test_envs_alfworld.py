"""ALFWorld on both engines, over real HTTP."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from envs.alfworld.environment import AlfworldEnvironment
from envs.alfworld.expert import Expert, Prior
from envs.alfworld.generator import SPLITS, TRAIN, VALID, Generator, walkthrough
from envs.alfworld.settings import AlfworldSettings, EngineKind
from envs.alfworld.textworld.engine import EnginePool
from envs.alfworld.textworld.process import WorkerProcess
from envs.serving.environment import InstanceLostError
from envs.serving.server import serve
from tests.support import eventually, running

pytest.importorskip("textworld")
SEED = 20


@dataclass
class Alfworld:
    http: httpx.Client
    environment: AlfworldEnvironment

    def create(self, task: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/sessions", json={"task_id": task} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def step(self, session: str, action: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post(f"/v1/sessions/{session}/steps", json={"action": action} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def play(self, task: str, commands: list[str]) -> list[dict[str, Any]]:
        session = self.create(task)["session_id"]
        states = [self.step(session, command) for command in commands]
        assert self.http.delete(f"/v1/sessions/{session}").status_code == 204
        return states

    def win(self, task: str, commands: list[str]) -> None:
        states = self.play(task, commands)
        assert all(state["valid"] for state in states), (task, commands, states)
        assert [state["done"] for state in states] == [False] * (len(states) - 1) + [True], (task, commands)
        assert (states[-1]["reward"], states[0]["reward"]) == (1.0, 0.0)


def engine_pids(environment: AlfworldEnvironment) -> list[int]:
    assert isinstance(environment.engine, EnginePool)
    return environment.engine.pids


def without_data(home: Path, engine: EngineKind) -> Iterator[Alfworld]:
    """A server without any data."""
    settings = AlfworldSettings(home=home, alfworld_data=None, alfworld_generated=300, alfworld_workers=2)
    environment = AlfworldEnvironment(settings, engine)
    with running(serve(environment, settings)) as http:
        yield Alfworld(http, environment)


@pytest.fixture(scope="module")
def textworld(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alfworld]:
    yield from without_data(tmp_path_factory.mktemp("home"), EngineKind.TEXTWORLD)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alfworld]:
    yield from without_data(tmp_path_factory.mktemp("home"), EngineKind.NATIVE)


@pytest.fixture(params=EngineKind)
def alfworld(request: pytest.FixtureRequest) -> Alfworld:
    """A server of either engine."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, official_data: Path) -> Iterator[Alfworld]:
    """A server with the official games."""
    settings = AlfworldSettings(
        home=tmp_path_factory.mktemp("home"), alfworld_data=official_data, alfworld_workers=2
    )
    environment = AlfworldEnvironment(settings)
    with running(serve(environment, settings)) as http:
        yield Alfworld(http, environment)


def official_walkthroughs(data: Path) -> dict[str, list[str]]:
    root = data / "json_2.1.1"
    games = sorted(root.glob("valid_seen/*/*/game.tw-pddl"))
    assert len(games) == 140
    return {
        game.parent.relative_to(root).as_posix(): json.loads(game.read_text())["walkthrough"]
        for game in games
    }


def test_the_engine_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert AlfworldEnvironment(AlfworldSettings(home=tmp_path)).engine.name == "native"
    monkeypatch.setenv("ESPALIER_ALFWORLD_ENGINE", "textworld")
    assert isinstance(AlfworldEnvironment(AlfworldSettings(home=tmp_path)).engine, EnginePool)


def put(command: str) -> str:
    """The older release's form of a command."""
    if not command.startswith("move "):
        return command
    thing, receptacle = command.removeprefix("move ").split(" to ")
    return f"put {thing} in/on {receptacle}"


def test_official_walkthroughs_win_in_both_forms(official: Alfworld, official_data: Path) -> None:
    walkthroughs = official_walkthroughs(official_data)
    sample = random.Random(SEED).sample(sorted(walkthroughs), 4)
    for number, task in enumerate(sample):
        commands = walkthroughs[task]
        official.win(task, commands if number % 2 else [put(command) for command in commands])


@pytest.mark.verify
@pytest.mark.skipif(os.environ.get("ESPALIER_VERIFY") != "1", reason="ESPALIER_VERIFY=1 plays all 140")
def test_every_official_walkthrough_wins(official: Alfworld, official_data: Path) -> None:
    for number, (task, commands) in enumerate(official_walkthroughs(official_data).items()):
        official.win(task, commands if number % 2 else [put(command) for command in commands])


def test_official_games_are_listed_beside_generated_ones(official: Alfworld) -> None:
    assert official.http.get("/metadata").json()["splits"] == ["valid_seen", *SPLITS]
    page = official.http.get("/v1/tasks", params={"split": "valid_seen", "limit": 1000}).json()
    assert (page["total"], len(page["tasks"]), page["next"]) == (140, 140, None)
    kinds = {task["kind"] for task in page["tasks"]}
    assert len(kinds) == 6
    first = page["tasks"][0]
    assert first["id"].startswith("valid_seen/")
    assert official.http.get(f"/v1/tasks/{first['id']}").json() == first
    made = official.create(first["id"])
    assert made["instruction"] == first["instruction"]
    assert made["observation"].startswith("You are in the middle of a room.")
    official.http.delete(f"/v1/sessions/{made['session_id']}")


def test_generated_walkthroughs_win(alfworld: Alfworld) -> None:
    generator = Generator()
    rng = random.Random(SEED)
    kinds: set[str] = set()
    for split in SPLITS:
        for number in rng.sample(range(300), 4):
            house = generator.house(split, number)
            kinds.add(house.kind.name)
            alfworld.win(f"{split}/{number}", walkthrough(house))
    assert len(kinds) >= 4


def test_the_expert_wins_by_what_it_sees(alfworld: Alfworld) -> None:
    prior = Prior.load()
    numbers = random.Random(SEED).sample(range(300), 4)
    for number in numbers:
        state = alfworld.create(f"{VALID}/{number}")
        policy = Expert(state["observation"], state["instruction"], prior).play()
        action = next(policy)
        while not (state := alfworld.step(state["session_id"], action))["done"]:
            action = policy.send(state["observation"])
        assert state["step_count"] <= 35


def a_house(kind: str) -> int:
    generator = Generator()
    return next(n for n in range(300) if generator.house(TRAIN, n).kind.name == kind)


def test_the_action_language_is_tolerant(alfworld: Alfworld) -> None:
    number = a_house("pick_and_place_simple")
    commands = walkthrough(Generator().house(TRAIN, number))
    *before, last = commands
    for form in ("put {o} in {r}", "put {o} on {r}", "PUT  {o}  in/on {r}.", " Move {o} TO {r} . "):
        thing, receptacle = last.removeprefix("move ").split(" to ")
        state = alfworld.play(f"{TRAIN}/{number}", [*before, form.format(o=thing, r=receptacle)])[-1]
        assert state["done"], (form, state)
    session = alfworld.create(f"{TRAIN}/{number}")["session_id"]
    assert alfworld.step(session, "Inventory")["observation"] == "You are not carrying anything."
    assert alfworld.step(session, "  LOOK. ")["valid"]
    assert "Available commands" in alfworld.step(session, "help")["observation"]
    for nonsense in ("", "dance", "go to the moon", "put", "take everything\nfrom nowhere"):
        state = alfworld.step(session, nonsense)
        assert (state["observation"], state["valid"], state["reward"]) == ("Nothing happens.", False, 0.0)


def test_a_fork_goes_its_own_way(alfworld: Alfworld) -> None:
    native = alfworld.environment.engine.name == "native"
    assert alfworld.http.get("/metadata").json()["fork"] == ("native" if native else "replay")
    number = a_house("pick_clean_then_place_in_recep")
    commands = walkthrough(Generator().house(TRAIN, number))
    parent = alfworld.create(f"{TRAIN}/{number}")["session_id"]
    states = [alfworld.step(parent, command) for command in commands[:-1]]
    answer = alfworld.http.post(f"/v1/sessions/{parent}/forks", json={"fork_key": "f", "at_step": 2})
    assert answer.status_code == 201, answer.text
    child = answer.json()
    assert (child["step_count"], child["observation"]) == (2, states[1]["observation"])
    answer = alfworld.http.post(f"/v1/sessions/{parent}/forks", json={})
    assert answer.status_code == 201, answer.text
    twin = answer.json()
    assert (twin["step_count"], twin["observation"]) == (len(commands) - 1, states[-1]["observation"])
    assert alfworld.step(parent, commands[-1])["done"]
    assert alfworld.step(twin["session_id"], commands[-1])["done"]
    for command in commands[2:-1]:
        assert not alfworld.step(child["session_id"], command)["done"]
    assert alfworld.step(child["session_id"], commands[-1])["done"]


def test_killed_workers_are_replaced_and_their_sessions_rebuilt(textworld: Alfworld) -> None:
    number = a_house("pick_heat_then_place_in_recep")
    commands = walkthrough(Generator().house(TRAIN, number))
    session = textworld.create(f"{TRAIN}/{number}")["session_id"]
    first = [textworld.step(session, command, step_key=f"b/{n}") for n, command in enumerate(commands[:-1])]
    before = engine_pids(textworld.environment)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert textworld.step(session, commands[0], step_key="b/0") == first[0]
    assert textworld.step(session, commands[-1])["done"]
    eventually(lambda: len(engine_pids(textworld.environment)) == 2)
    assert not set(before) & set(engine_pids(textworld.environment))


def test_worn_workers_are_replaced_under_their_sessions(tmp_path: Path) -> None:
    settings = AlfworldSettings(
        home=tmp_path, alfworld_data=None, alfworld_workers=1, alfworld_worker_episodes=1
    )
    environment = AlfworldEnvironment(settings, EngineKind.TEXTWORLD)
    with running(serve(environment, settings)) as http:
        server = Alfworld(http, environment)
        seen = set(engine_pids(environment))
        number = a_house("look_at_obj_in_light")
        commands = walkthrough(Generator().house(TRAIN, number))
        sessions = [server.create(f"{TRAIN}/{number}")["session_id"] for _ in range(2)]
        eventually(lambda: bool(engine_pids(environment)))
        seen |= set(engine_pids(environment))
        assert len(seen) >= 2
        for session in sessions:
            assert [server.step(session, command) for command in commands][-1]["done"]


async def test_a_worker_that_hangs_is_killed(tmp_path: Path) -> None:
    worker = await WorkerProcess.start(tmp_path, call_timeout=0.5)
    dead = asyncio.Event()
    worker.on_death(dead.set)
    try:
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(InstanceLostError, match="killed"):
            await worker.call("end", "none")
        async with asyncio.timeout(60):
            await dead.wait()
        with pytest.raises(InstanceLostError, match="died"):
            await worker.call("end", "none")
    finally:
        await worker.stop()


async def test_workers_end_with_the_server(tmp_path: Path) -> None:
    worker = await WorkerProcess.start(tmp_path, call_timeout=60.0)
    await worker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_an_engine_that_does_not_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.alfworld.textworld.process.sys.executable", "/bin/false")
    settings = AlfworldSettings(home=tmp_path, alfworld_data=None)
    with running(serve(AlfworldEnvironment(settings, EngineKind.TEXTWORLD), settings)) as http:
        assert http.get("/healthz").status_code == 200
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert "pip install" in ready.json()["dependencies"]["engine"]
        answer = http.post("/v1/sessions", json={"task_id": f"{TRAIN}/0"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert http.get("/v1/tasks", params={"limit": 1}).json()["tasks"][0]["id"] == f"{TRAIN}/0"


def test_the_server_process_never_loads_the_engine() -> None:
    # Another test's import would hide it: ask a fresh interpreter.
    code = "import sys, envs.alfworld.server; print(any(m in sys.modules for m in ('textworld', 'alfworld')))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"
