"""Starts the parts, waits until they are ready, restarts what dies, stops everything.

The state of the stack is a file, so that `espalier status` and `espalier down` work from another
terminal, and so that a supervisor that was killed leaves nothing that the next one cannot find.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import psutil

from espalier.stack.core import CoreWatch, find_decisive_line
from espalier.stack.embedded import SetupError
from espalier.stack.parts import Part
from espalier.stack.ports import port_holder
from espalier.stack.private import make_private
from espalier.stack.processor import prefer

READY = "ready"
POLL = 0.25
STOP_SECONDS = 15.0
"""How long a part may take to stop before it is killed."""
RESTARTS = 5
"""Restarts of one part within `RESTART_WINDOW` seconds before the stack gives up."""
RESTART_WINDOW = 120.0
UNREADY_SECONDS = 8.0
"""How long an optional part may be not ready before the stack goes on without it."""
LOG_BYTES = 20_000_000
"""A log file larger than this is begun anew at the next start, one old one is kept."""
Report = Callable[[str, str], None]
"""Called with a part's name and what is new about it."""


class PartError(Exception):
    """Raised when a part does not become ready or keeps dying; the text names its log."""


@dataclass
class _Running:
    part: Part
    process: asyncio.subprocess.Process
    log: BinaryIO
    restarts: list[float] = field(default_factory=list[float])
    watched: bool = True
    """Whether it is started again when it dies: not before it was ready, nor while it is being stopped."""


class Supervisor:
    """One stack on this machine."""

    def __init__(self, parts: list[Part], logs: Path, state: Path, report: Report) -> None:
        self._parts = parts
        self._logs = logs
        self._state = state
        self._report = report
        self._running: dict[str, _Running] = {}
        self._ready = {part.name: asyncio.Event() for part in parts}
        self._stopping = False

    async def start(self) -> None:
        """Start every part and wait until all are ready.

        Raises:
            SetupError: A port is in use.
            PartError: A part died or took too long.
        """
        sweep_leftovers(self._state)
        for part in self._parts:
            if (holder := port_holder(part.port)) is not None:
                raise SetupError(f"Port {part.port}, which {part.name} needs, is in use by {holder}.")
        make_private(self._logs)
        make_private(self._state.parent)
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as http:
            try:
                async with asyncio.TaskGroup() as group:
                    for part in self._parts:
                        group.create_task(self._bring_up(part, http, began))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None  # one part failed; the others were cancelled for it

    async def watch(self) -> None:
        """Restart what dies, until cancelled.

        Raises:
            PartError: A part dies again and again.
        """
        while True:
            await asyncio.sleep(POLL)
            for running in list(self._running.values()):
                if running.process.returncode is None or self._stopping or not running.watched:
                    continue
                now = time.monotonic()
                recent = [when for when in running.restarts if now - when < RESTART_WINDOW]
                name = running.part.name
                if len(recent) >= RESTARTS:
                    raise self._failure(running.part, f"died {RESTARTS} times")
                self._report(name, f"died (exit {running.process.returncode}); restarting")
                await asyncio.sleep(min(5.0, 0.5 * 2 ** len(recent)))
                if running.watched:
                    running.log.close()
                    await self._spawn(running.part, [*recent, now])

    async def add(self, part: Part) -> None:
        """Start one more part and wait until it is ready; nothing of it is left where it does not come up.

        Raises:
            SetupError: Its port is in use.
            PartError: It died or took too long.
        """
        if (holder := port_holder(part.port)) is not None:
            raise SetupError(f"Port {part.port}, which {part.name} needs, is in use by {holder}.")
        self._ready[part.name] = asyncio.Event()
        try:
            async with httpx.AsyncClient(timeout=2.0, trust_env=False) as http:
                await self._bring_up(part, http, time.monotonic())
        except BaseException:
            await self.remove(part.name)
            raise

    async def remove(self, name: str) -> None:
        """Stop one part, if it runs."""
        while running := self._running.get(name):
            running.watched = False
            await self._end([running])
            if self._running[name] is running:
                del self._running[name]
                self._write_state()

    async def take_turns(self, seconds: dict[str, float]) -> None:
        """Let some parts run one at a time, each so long, until cancelled.

        Engines that use the same cores starve each other otherwise: each waits at its barriers for a thread
        that the other keeps from running.
        """
        try:
            while True:
                for turn, lasts in seconds.items():
                    self._pass_on(turn, signal.SIGCONT)
                    for name in seconds.keys() - {turn}:
                        self._pass_on(name, signal.SIGSTOP)
                    await asyncio.sleep(lasts)
        finally:
            for name in seconds:
                self._pass_on(name, signal.SIGCONT)

    def _pass_on(self, name: str, number: signal.Signals) -> None:
        running = self._running.get(name)
        if running is not None and running.process.returncode is None:
            _signal(running.process.pid, number)

    def inform(self, environment: dict[str, str], names: Collection[str]) -> None:
        """Set variables of some parts for when they are started again."""
        for name in names:
            if running := self._running.get(name):
                merged = {**running.part.environment, **environment}
                running.part = replace(running.part, environment=merged)

    async def stop(self) -> None:
        """Stop every part, the last first, and leave nothing behind."""
        self._stopping = True
        rest = list(reversed(self._running.values()))
        state_last = sorted(rest, key=lambda running: running.part.name.startswith(("state", "engine")))
        await self._end(state_last)
        if self._running:  # else the file is another stack's
            self._state.unlink(missing_ok=True)

    async def _end(self, parts: list[_Running]) -> None:
        for running in parts:
            _signal(running.process.pid, signal.SIGTERM)
            _signal(running.process.pid, signal.SIGCONT)
        deadline = time.monotonic() + STOP_SECONDS
        for running in parts:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                    await running.process.wait()
            _signal(running.process.pid, signal.SIGKILL)
            await running.process.wait()
            running.log.close()
            self._report(running.part.name, "stopped")

    async def _bring_up(self, part: Part, http: httpx.AsyncClient, began: float) -> None:
        if part.after:
            await self._ready[part.after].wait()
        log = self._log_file(part.name)
        begin = log.stat().st_size if log.exists() else 0
        running = await self._spawn(part, [])
        running.watched = False
        deadline = time.monotonic() + part.patience
        refused_since: float | None = None
        watch = CoreWatch(running.process.pid, log, begin)
        while (answer := await _answer(part, http)) != READY:
            refused_since = None if answer is None else refused_since or time.monotonic()
            if part.optional and refused_since and time.monotonic() - refused_since > UNREADY_SECONDS:
                running.watched = True
                self._report(part.name, f"not ready: {answer}")
                return
            if running.process.returncode is not None:
                raise self._failure(
                    part, f"ended with exit {running.process.returncode} before it was ready", begin
                )
            if part.cored and (end := watch.find_end()):
                raise self._failure(part, f"cannot come up: {end}", begin)
            if time.monotonic() > deadline:
                raise self._failure(part, f"was not ready within {part.patience:g} s", begin)
            await asyncio.sleep(POLL)
        running.watched = True
        self._ready[part.name].set()
        self._report(part.name, f"ready after {time.monotonic() - began:.0f} s")

    async def _spawn(self, part: Part, restarts: list[float]) -> _Running:
        path = self._log_file(part.name)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".old.log"))
        log = path.open("ab")
        process = await asyncio.create_subprocess_exec(
            *part.command,
            env={**os.environ, **part.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        if part.preferred:
            prefer(process.pid)
        running = _Running(part, process, log, restarts)
        self._running[part.name] = running
        self._report(part.name, f"starting (pid {process.pid})")
        self._write_state()
        return running

    def _write_state(self) -> None:
        parts: list[dict[str, Any]] = []
        for running in self._running.values():
            try:
                created = psutil.Process(running.process.pid).create_time()
            except psutil.NoSuchProcess:
                continue
            parts.append(
                {
                    "name": running.part.name,
                    "pid": running.process.pid,
                    "created": created,
                    "port": running.part.port,
                    "ready": running.part.ready,
                }
            )
        own = psutil.Process()
        state = {"pid": own.pid, "created": own.create_time(), "parts": parts}
        partial = self._state.with_suffix(".partial")
        partial.write_text(json.dumps(state, indent=1))
        partial.replace(self._state)

    def _log_file(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _failure(self, part: Part, what: str, begin: int = 0) -> PartError:
        log = self._log_file(part.name)
        return PartError(f"{part.name} {what}: {find_decisive_line(log, begin)}\n  its log: {log}{part.hint}")


async def _answer(part: Part, http: httpx.AsyncClient) -> str | None:
    """Return `READY`, or a part's reason for not being ready; None where it does not answer."""
    try:
        if part.ready:
            return readiness(await http.get(f"http://127.0.0.1:{part.port}{part.ready}"))
        _, writer = await asyncio.open_connection("127.0.0.1", part.port)
        writer.close()
        return READY
    except (httpx.HTTPError, OSError):
        return None


def readiness(answer: httpx.Response) -> str:
    """Return `READY`, or a part's reason for not being ready."""
    if answer.status_code == 200:
        return READY
    try:
        dependencies = answer.json().get("dependencies", {})
    except (ValueError, AttributeError):
        return f"answers {answer.status_code}"
    return "; ".join(f"{name}: {state}" for name, state in dependencies.items() if state != "ok")


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def read_state(state: Path) -> dict[str, Any] | None:
    """What the running stack has written about itself; None where none runs."""
    try:
        return json.loads(state.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def alive(pid: int, created: float) -> bool:
    """Whether a process is still the one that was meant."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sweep_leftovers(state: Path) -> None:
    """Kill what a supervisor that died has left.

    Raises:
        SetupError: A supervisor is alive: its stack is up.
    """
    known = read_state(state)
    if known is None:
        return
    if alive(known["pid"], known["created"]) and known["pid"] != os.getpid():
        raise SetupError("The stack is up already; `espalier status` shows it, `espalier down` stops it.")
    left = [(part["pid"], part["created"]) for part in known["parts"] if alive(part["pid"], part["created"])]
    for pid, _ in left:
        _signal(pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while any(alive(*process) for process in left) and time.monotonic() < deadline:
        time.sleep(0.02)  # until their ports are free
    state.unlink(missing_ok=True)


def stop_other(state: Path, patience: float = 2 * STOP_SECONDS) -> bool:
    """Stop a stack that another process supervises; False where none is up."""
    known = read_state(state)
    if known is None:
        return False
    was_up = alive(known["pid"], known["created"])
    if was_up:
        os.kill(known["pid"], signal.SIGTERM)
        deadline = time.monotonic() + patience
        while alive(known["pid"], known["created"]) and time.monotonic() < deadline:
            time.sleep(POLL)
        if alive(known["pid"], known["created"]):
            os.kill(known["pid"], signal.SIGKILL)
    sweep_leftovers(state)
    return was_up
