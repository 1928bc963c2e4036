"""The pool of engine processes: which one runs an instance, and when one is replaced.

A game goes where it was loaded before, unless that worker has many more instances than another. A
worker that has grown or has started enough episodes takes no new ones, and ends when its last
instance does. A dead worker is replaced at once; its instances are lost, and the session server
rebuilds them.
"""

import asyncio
import secrets
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import structlog

from envs.alfworld.textworld.process import WorkerDiedError, WorkerProcess
from envs.serving.environment import EngineUnavailableError, InstanceLostError
from services.contracts.session import Fork

AFFINITY = 4
"""How many more instances a worker may have before it loses a game that it has loaded."""
log = structlog.get_logger()


@dataclass(frozen=True)
class EngineLimits:
    """How the pool is run."""

    workers: int
    episodes: int
    """Starts after which a worker is replaced."""
    memory: int
    """Resident MiB at which a worker is replaced."""
    call_timeout: float
    """Seconds for one call."""


class EnginePool:
    """Worker processes and the instances in them: the TextWorld engine behind the port.

    The engine cannot copy a game that is under way: forks are made by replay.
    """

    forks = Fork.REPLAY

    def __init__(self, home: Path, limits: EngineLimits) -> None:
        self._home = home
        self._limits = limits
        self._workers: list[WorkerProcess] = []
        self._leaving: list[WorkerProcess] = []
        self._where: dict[str, WorkerProcess] = {}
        self._hiring = asyncio.Lock()
        self._chores: set[asyncio.Task[None]] = set()
        self._closing = False
        self._trouble: str | None = "the engine is starting"

    @property
    def name(self) -> str:
        """The packages and their versions."""
        try:
            return f"alfworld {version('alfworld')}, textworld {version('textworld')}"
        except PackageNotFoundError:
            return "textworld"

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that take new instances."""
        return [worker.pid for worker in self._workers]

    async def open(self) -> None:
        """Start the workers; one that does not start leaves the pool unavailable, not broken."""
        try:
            await self._fill()
        except EngineUnavailableError as error:
            log.error("Engine worker did not start", error=str(error))

    async def close(self) -> None:
        """Stop every worker."""
        self._closing = True
        for chore in list(self._chores):
            chore.cancel()
        if self._chores:
            await asyncio.wait(self._chores)
        async with self._hiring:
            everyone = [*self._workers, *self._leaving]
            self._workers, self._leaving = [], []
            await asyncio.gather(*(worker.stop() for worker in everyone))

    def trouble(self) -> str | None:
        """Why no instance can be started; None where one can."""
        return None if self._workers else self._trouble

    async def start(self, key: str, game: dict[str, Any]) -> tuple[str, str]:
        """Load a game.

        Args:
            key: Names the game; equal keys are equal games.
            game: What the worker loads.

        Returns:
            The instance's handle and the engine's first text.

        Raises:
            EngineUnavailableError: No worker can be started.
            InstanceLostError: The engine could not load the game.
        """
        for _ in range(self._limits.workers + 1):
            await self._fill()
            if not self._workers:
                break
            worker = self._choose(key)
            try:
                return await self._load(worker, key, game)
            except WorkerDiedError:
                # Several may have died at once, and none of them be noticed yet.
                self._bury(worker)
        raise EngineUnavailableError("No engine worker is up; try again.")

    async def _load(self, worker: WorkerProcess, key: str, game: dict[str, Any]) -> tuple[str, str]:
        handle = secrets.token_hex(8)
        worker.handles.add(handle)
        worker.games.add(key)
        worker.episodes += 1
        self._where[handle] = worker
        try:
            reply = await worker.call("start", handle, game=game)
        except BaseException:
            self._do(self.end(handle))
            raise
        self._retire(worker)
        return handle, reply["text"]

    async def step(self, handle: str, command: str) -> tuple[str, bool]:
        """Take one action; the engine's text, and whether the goal is reached.

        Raises:
            InstanceLostError: The instance is gone.
        """
        worker = self._where.get(handle)
        if worker is None:
            raise InstanceLostError(f"no instance {handle}")
        reply = await worker.call("step", handle, command=command)
        return reply["text"], reply["won"]

    async def fork(self, handle: str) -> str:
        """TextWorld cannot copy a game: none is offered, and the server forks by replay."""
        raise InstanceLostError(f"TextWorld cannot copy {handle}")

    async def end(self, handle: str) -> None:
        """Let an instance go."""
        worker = self._where.pop(handle, None)
        if worker is None:
            return
        worker.handles.discard(handle)
        if worker in self._leaving and not worker.handles:
            self._leaving.remove(worker)
            await worker.stop()
        elif worker.alive:
            try:
                await worker.call("end", handle)
            except InstanceLostError:
                return

    async def _fill(self) -> None:
        if len(self._workers) >= self._limits.workers:
            return
        async with self._hiring:
            missing = self._limits.workers - len(self._workers)
            if missing <= 0 or self._closing:
                return
            hired = await asyncio.gather(*(self._hire() for _ in range(missing)), return_exceptions=True)
            failed = next((each for each in hired if isinstance(each, BaseException)), None)
            if failed is not None and not self._workers:
                self._trouble = str(failed) or type(failed).__name__
                raise EngineUnavailableError(self._trouble) from failed

    async def _hire(self) -> None:
        worker = await WorkerProcess.start(self._home, self._limits.call_timeout)
        self._workers.append(worker)
        worker.on_death(lambda: self._bury(worker))

    def _bury(self, worker: WorkerProcess) -> None:
        for group in (self._workers, self._leaving):
            if worker in group:
                group.remove(worker)
                log.warning("Engine worker died", pid=worker.pid, instances=len(worker.handles))
        for handle in worker.handles:
            self._where.pop(handle, None)
        worker.handles.clear()
        if not self._closing:
            self._do(self._refill())

    async def _refill(self) -> None:
        try:
            await self._fill()
        except EngineUnavailableError as error:
            log.error("Engine worker did not start", error=str(error))

    def _choose(self, key: str) -> WorkerProcess:
        least = min(self._workers, key=lambda worker: len(worker.handles))
        for worker in self._workers:
            if key in worker.games and len(worker.handles) <= len(least.handles) + AFFINITY:
                return worker
        return least

    def _retire(self, worker: WorkerProcess) -> None:
        worn = worker.episodes >= self._limits.episodes or worker.mib >= self._limits.memory
        if not worn or worker not in self._workers:
            return
        log.info("Engine worker is replaced", pid=worker.pid, episodes=worker.episodes, mib=worker.mib)
        self._workers.remove(worker)
        self._leaving.append(worker)
        while len(self._leaving) > self._limits.workers:
            # Its sessions are rebuilt by replay: the number of processes stays bounded.
            self._leaving[0].kill()
            self._leaving.pop(0)
        self._do(self._refill())

    def _do(self, chore: Any) -> None:
        task = asyncio.ensure_future(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
