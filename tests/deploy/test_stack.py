"""The stack in containers, for real: built, brought up, an episode through the published port, taken down."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from envs.registry import SHIPPED
from services.roles.registry import ROLES
from tests.deploy.composing import ROOT, Compose, dashboard_queries, load_dashboards

pytestmark = pytest.mark.docker

ENVIRONMENTS = tuple(entry.name for entry in SHIPPED if entry.standalone)
SERVICES = [
    "redis",
    *ROLES,
    *ENVIRONMENTS,
    "orchestrator",
    "worker",
    "engine-scripted",
    "router",
    "webshop-2",
    "prometheus",
]
"""All of the two profiles but Grafana, which has no stand-in: its queries are asked of Prometheus."""
WORKERS = 2
ENGINES = 2
ROUTER = 2
"""Targets of the router: its own figures, and those of vllm-router."""
UNBUILT = ("redis", "prometheus", "webshop-2")
"""Images of others, and one that is built for another service."""
PARTS = len(ENVIRONMENTS) + len(ROLES) + 1
"""What Prometheus finds by name: the environments, the roles, the orchestrator."""
WITH_DATA = {
    "overview": {"Live episodes", "Workers", "Redis memory", "Targets that answer", "Dependencies"},
    "search": {"Steps a second"},
    "engines": {"Calls a second", "Requests in the engine"},
    "environments": {"Live sessions"},
    "tuning": {"Adapters served"},
}
"""Panels that show something after one episode."""
Answer = TypeVar("Answer")


def _until(ask: Callable[[], Answer | None], seconds: float, what: str) -> Answer:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer is not None:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.5)


@pytest.fixture(scope="module")
def docker() -> Iterator[dict[str, str]]:
    """What to set so that `docker` reaches an engine: the one that answers, or one of our own."""

    def answers(environment: dict[str, str]) -> bool:
        asked = subprocess.run(
            ["docker", "version"], env={**os.environ, **environment}, capture_output=True, check=False
        )
        return asked.returncode == 0

    if shutil.which("docker") and answers({}):
        yield {}
        return
    if os.geteuid() != 0:
        pytest.skip("no Docker engine answers, and starting one needs root")
    script = ROOT / "deploy/docker/engine.sh"
    running = bool(_exports(script))
    started = subprocess.run([script, "up"], capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.skip(f"no Docker engine can be had: {started.stderr[-500:]}")
    yield _exports(script)
    if not running:
        subprocess.run([script, "down"], check=True, capture_output=True)


def _exports(script: Path) -> dict[str, str]:
    found = subprocess.run([script, "env"], check=True, capture_output=True, text=True).stdout
    lines = (line.removeprefix("export ") for line in found.splitlines())
    return dict(line.split("=", 1) for line in lines)


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


@dataclass(frozen=True)
class Stack:
    """A stack that is up."""

    compose: Compose
    api: httpx.Client
    prometheus: httpx.Client

    def said(self) -> str:
        """The state of the parts, and the ends of their logs."""
        return (
            self.compose.run("ps", check=False) + self.compose.run("logs", "--tail=40", check=False)[-20_000:]
        )

    def containers(self, docker: dict[str, str]) -> list[dict[str, Any]]:
        """What Docker knows of each container."""
        ids = self.compose.run("ps", "-q").split()
        found = subprocess.run(
            ["docker", "inspect", *ids], env={**os.environ, **docker}, check=True, capture_output=True
        )
        return json.loads(found.stdout)


def _scaled(workers: int) -> list[str]:
    return ["--scale", f"worker={workers}", "--scale", f"engine-scripted={ENGINES}"]


@pytest.fixture(scope="module")
def stack(docker: dict[str, str], env_file: Path) -> Iterator[Stack]:
    ports = {
        "ESPALIER_PUBLISHED_PORT": _free_port(),
        "ESPALIER_PROMETHEUS_PORT": _free_port(),
        "ESPALIER_SCRIPTED_LATENCY": "0.1",
    }
    compose = Compose(
        env_file,
        project=f"espalier-test-{secrets.token_hex(4)}",
        profiles=["scripted", "observability", "two-webshops"],
        environment={**docker, **ports},
        files=["docker-compose.yml", "deploy/docker/two-webshops.yml"],
    )
    made = subprocess.run(
        [ROOT / "deploy/docker/stand-ins.sh", "--try-pull"],
        env={**os.environ, **docker},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    compose.run("build", *[name for name in SERVICES if name not in UNBUILT], timeout=900)
    key = dict(line.split("=", 1) for line in env_file.read_text().splitlines()[1:])["ESPALIER_API_KEYS"]
    try:
        try:
            compose.run("up", "-d", *_scaled(WORKERS), *SERVICES, timeout=300)
        except AssertionError:
            print(compose.run("ps", check=False), compose.run("logs", "--tail=40", check=False))
            raise
        with (
            httpx.Client(
                base_url=f"http://127.0.0.1:{ports['ESPALIER_PUBLISHED_PORT']}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
            ) as api,
            httpx.Client(
                base_url=f"http://127.0.0.1:{ports['ESPALIER_PROMETHEUS_PORT']}", timeout=30
            ) as prometheus,
        ):
            yield Stack(compose, api, prometheus)
    finally:
        # Docker may hold a network for a moment after its containers are gone: the second time counts.
        compose.run("down", "--volumes", "--remove-orphans", timeout=180, check=False)
        compose.run("down", "--volumes", "--remove-orphans", timeout=180)
    assert not compose.run("ps", "-q").split()


@pytest.fixture(scope="module")
def episode(stack: Stack) -> dict[str, Any]:
    """One episode, played to its end through the published port."""

    def ready() -> bool | None:
        try:
            return stack.api.get("/readyz").status_code == 200 or None
        except httpx.TransportError:
            return None

    try:
        _until(ready, 90, "the orchestrator is ready")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{stack.said()}") from error
    return _play(stack, "alfworld", max_steps=12)


def _play(stack: Stack, environment: str, max_steps: int) -> dict[str, Any]:
    """One episode of an environment's first task."""
    return _finish(stack, _create(stack, environment, max_steps))


def _create(stack: Stack, environment: str, max_steps: int) -> str:
    """Create an episode of an environment's first task, and return its path."""
    listed = stack.api.get(f"/v1/environments/{environment}/tasks", params={"limit": 1})
    assert listed.status_code == 200, listed.text
    wanted = {"environment": environment, "task_id": listed.json()["tasks"][0]["id"], "seed": 7}
    created = stack.api.post("/v1/episodes", json={**wanted, "method": "react", "max_steps": max_steps})
    assert created.status_code == 202, created.text
    return created.headers["location"]


def _finish(stack: Stack, where: str) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        found = stack.api.get(where).json()
        return found if found["state"] in ("completed", "failed", "cancelled") else None

    return _until(over, 180, "the episode ends")


def test_an_episode_completes(stack: Stack, episode: dict[str, Any]) -> None:
    assert episode["state"] == "completed", f"{episode}\n{stack.said()}"
    assert 0 < episode["figures"]["steps"] <= 12
    assert episode["figures"]["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("environment", ENVIRONMENTS[1:])
def test_every_environment_is_played(stack: Stack, episode: dict[str, Any], environment: str) -> None:
    assert episode
    found = _play(stack, environment, max_steps=2)
    assert found["state"] == "completed", f"{found}\n{stack.said()}"
    assert found["figures"]["steps"] > 0


def test_a_key_is_needed(stack: Stack) -> None:
    assert stack.api.get("/v1/episodes", headers={"Authorization": "Bearer nobody"}).status_code == 401


def test_prometheus_finds_every_part(stack: Stack, episode: dict[str, Any]) -> None:
    assert episode

    def up() -> list[str] | None:
        found = stack.prometheus.get("/api/v1/targets", params={"state": "active"}).json()
        targets = found["data"]["activeTargets"]
        if any(target["health"] != "up" for target in targets):
            return None
        jobs = sorted(target["labels"]["job"] for target in targets)
        return jobs if len(jobs) == PARTS + WORKERS + ENGINES + ROUTER + 1 else None

    jobs = _until(up, 60, "all targets are up")
    assert jobs.count("espalier") == PARTS
    assert jobs.count("worker") == WORKERS
    assert jobs.count("engine") == ENGINES
    assert jobs.count("router") == ROUTER


def test_the_dashboards_ask_what_prometheus_answers(stack: Stack, episode: dict[str, Any]) -> None:
    assert episode
    boards = {name: dashboard_queries(board) for name, board in load_dashboards().items()}
    assert boards.keys() == WITH_DATA.keys()

    def ask(query: str) -> list[Any]:
        answer = stack.prometheus.get("/api/v1/query", params={"query": query})
        assert answer.status_code == 200, f"{query}: {answer.text}"
        return answer.json()["data"]["result"]

    for query in (query for board in boards.values() for panel in board.values() for query in panel):
        ask(query)
    for name, panels in WITH_DATA.items():
        for panel in sorted(panels):
            for query in boards[name][panel]:
                _until(lambda query=query: ask(query) or None, 60, f"{panel} has data ({query})")


def test_prometheus_takes_its_configuration(stack: Stack) -> None:
    found = stack.compose.run(
        "exec", "-T", "prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml"
    )
    assert "SUCCESS" in found


def test_containers_are_as_confined_as_the_file_says(stack: Stack, docker: dict[str, str]) -> None:
    containers = stack.containers(docker)
    assert len(containers) == len(SERVICES) - 2 + WORKERS + ENGINES
    for container in containers:
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["Privileged"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert any("no-new-privileges" in option for option in host["SecurityOpt"]), name
        assert container["Config"]["User"] not in ("", "root", "0"), name
        assert container["State"]["Health"]["Status"] in ("healthy", "starting"), name


def test_scaling_and_killed_containers_lose_no_episode(stack: Stack, docker: dict[str, str]) -> None:
    """Kill a worker, an engine and a server of an environment under episodes; last, as they stay dead."""
    stack.compose.run("up", "-d", "--no-recreate", *_scaled(WORKERS + 1), "worker", timeout=120)
    assert len(stack.compose.run("ps", "-q", "worker").split()) == WORKERS + 1
    episodes = [_create(stack, "webshop", 8) for _ in range(6)]

    def started() -> bool | None:
        return all(stack.api.get(where).json()["state"] != "queued" for where in episodes) or None

    _until(started, 60, "the episodes are under way")
    victims = [stack.compose.run("ps", "-q", service).split()[0] for service in ("worker", "engine-scripted")]
    victims.append(stack.compose.run("ps", "-q", "webshop-2").strip())
    killed = subprocess.run(["docker", "kill", *victims], env={**os.environ, **docker}, check=False)
    assert killed.returncode == 0
    ended = [_finish(stack, where) for where in episodes]
    assert [episode["state"] for episode in ended] == ["completed"] * len(episodes), stack.said()
