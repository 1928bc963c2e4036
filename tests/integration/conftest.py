"""The whole stack over real HTTP on free ports: scripted model, twin environment, real Valkey."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from envs.serving.server import serve as serve_environment
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from services.actor.api import create as create_actor
from services.judge.api import create as create_judge
from services.kit.settings import RoleSettings
from services.orchestrator.api import create as create_orchestrator
from services.orchestrator.settings import OrchestratorSettings
from services.planner.api import create as create_planner
from services.scripted.api import create_app as create_model
from services.scripted.model import ScriptedModel
from tests.support import eventually, free_port, served

WORKER = [sys.executable, "-m", "espalier", "serve", "worker"]


def act(text: str) -> Callable[[Any], Any]:
    """A script in which the actor always says this, the judge says yes, and plans are of three parts."""

    def script(call: Any) -> list[Any]:
        question = call.last
        if "Yes or No" in question:
            return ["No" if "subtask" in question else "Yes"] * call.n
        if "letter" in question and "ACTION:" not in question:
            return ["A"] * call.n
        if "subtasks" in question and "ACTION:" not in question:
            return ["1. look\n2. walk\n3. arrive"] * call.n
        return [text] * call.n

    return script


@dataclass
class Stack:
    """Addresses of the parts, and what tests may do to them."""

    url: str
    environment_url: str
    model: ScriptedModel
    environment: TwinEnvironment
    worker_environment: dict[str, str]
    logs: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def start_worker(self, **settings: str) -> tuple[subprocess.Popen[bytes], str]:
        """Start a worker process and return it and where it serves health and metrics."""
        port = free_port()
        log = (self.logs / f"worker-{len(self.workers)}.log").open("wb")
        process = subprocess.Popen(
            [*WORKER, "--port", str(port)],
            env={**os.environ, **self.worker_environment, **settings},
            stderr=log,
            stdout=log,
        )
        self.workers.append(process)
        url = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            assert process.poll() is None, "the worker died at its start"
            try:
                return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
            except httpx.HTTPError:
                return False

        eventually(ready)
        return process, url

    def read_log(self, worker: "subprocess.Popen[bytes]") -> str:
        """What a worker has logged."""
        return (self.logs / f"worker-{self.workers.index(worker)}.log").read_text()

    def stop_workers(self) -> None:
        """Kill every worker."""
        for process in self.workers:
            process.kill()
            process.wait(10)
        self.workers.clear()


@contextmanager
def started(redis_url: str, home: Path, **every: Any) -> Iterator[Stack]:
    """A stack without workers.

    Args:
        redis_url: Its state.
        home: Where workers write their logs.
        every: Settings of every part.
    """
    model = ScriptedModel(act("THOUGHT: on\nACTION: north"))
    twin = TwinEnvironment()
    with ExitStack() as running:
        engine = running.enter_context(served(create_model(model)))
        roles = RoleSettings(model_url=engine, **every)
        planner = running.enter_context(served(create_planner(roles)))
        judge = running.enter_context(served(create_judge(roles)))
        actor = running.enter_context(served(create_actor(roles)))
        environment = running.enter_context(served(serve_environment(twin, EnvironmentSettings(**every))))
        away = f"http://127.0.0.1:{free_port()}"
        settings: dict[str, Any] = {
            **every,
            "redis_url": redis_url,
            "planner_url": planner,
            "judge_url": judge,
            "actor_url": actor,
            "environments": {"twin": environment, "away": away},
        }
        orchestrator = running.enter_context(served(create_orchestrator(OrchestratorSettings(**settings))))
        worker_environment = {
            **{f"ESPALIER_{name.upper()}": str(value) for name, value in every.items()},
            "ESPALIER_HOME": str(home),
            "ESPALIER_REDIS_URL": redis_url,
            "ESPALIER_PLANNER_URL": planner,
            "ESPALIER_JUDGE_URL": judge,
            "ESPALIER_ACTOR_URL": actor,
            "ESPALIER_ENVIRONMENTS": f'{{"twin": "{environment}"}}',
            "ESPALIER_LEASE": "2",
            "ESPALIER_SWEEP": "0.5",
            "ESPALIER_OUTAGE_PAUSE": "0.5",
        }
        made = Stack(orchestrator, environment, model, twin, worker_environment, home)
        try:
            yield made
        finally:
            made.stop_workers()


@pytest.fixture(scope="module")
def stack(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack without workers; each test starts the workers that it needs."""
    with started(valkey, tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture
def worker(stack: Stack) -> Iterator[str]:
    """One worker; where it serves health and metrics."""
    _, url = stack.start_worker()
    yield url
    stack.stop_workers()
