"""A worker process as the server sees it, and the pool of them.

A worker that is late is killed; nothing is lost with it.
"""

import asyncio
import json
import os
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from envs.serving.environment import EngineUnavailableError
from envs.serving.fair import FairPlaces

START_SECONDS = 60.0
"""What a start may take on a busy machine, seconds."""
GRACE = 1.0
"""After its own deadline a worker has this long to answer before it is killed, seconds."""
LINE_LIMIT = 64 * 2**20
"""The longest header, bytes: a table's rows come in one."""


class LateError(Exception):
    """A worker did not answer in time."""


class DiedError(Exception):
    """Raised when a worker died over a request, or was killed from outside."""


class Worker:
    """A worker process; made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, memory: int) -> "Worker":
        """Spawn a worker and wait until it is ready.

        Raises:
            EngineUnavailableError: It does not come up; the message has its standard error.
        """
        root = Path(__file__).parents[3]
        paths = (str(root), os.environ.get("PYTHONPATH", ""))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "envs.dbbench.engines.sqlite_worker",
            str(memory),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Nothing of the server's own settings: a worker needs no key and no password.
            env={"PYTHONPATH": os.pathsep.join(path for path in paths if path), "LC_ALL": "C.UTF-8"},
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
        except BaseException:
            await _kill(process)
            raise
        if line != b"ready\n":
            await _kill(process)
            raise EngineUnavailableError(
                "A worker of the SQLite engine did not start: `pip install espalier[dbbench]` installs it, "
                "and see this server's standard error."
            )
        return cls(process)

    @property
    def alive(self) -> bool:
        """Whether it can take a request."""
        stdin = self._process.stdin
        return self._process.returncode is None and stdin is not None and not stdin.is_closing()

    async def call(
        self, header: dict[str, Any], payload: bytes, seconds: float
    ) -> tuple[dict[str, Any], bytes]:
        """Send the worker a request and return its reply.

        Raises:
            LateError: It did not answer in time; it is of no more use.
            DiedError: It died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds + GRACE):
                self._process.stdin.write(
                    json.dumps(header | {"bytes": len(payload)}).encode() + b"\n" + payload
                )
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
                if not line:
                    raise DiedError("no answer")
                answer = json.loads(line)
                return answer, await self._process.stdout.readexactly(answer["bytes"])
        except TimeoutError as error:
            raise LateError(f"no answer in {seconds + GRACE:g} s") from error
        # uvloop raises a RuntimeError for a pipe that has closed.
        except (ConnectionError, asyncio.IncompleteReadError, RuntimeError) as error:
            raise DiedError(type(error).__name__) from error

    async def stop(self) -> None:
        """End it at once; it has nothing to lose."""
        await _kill(self._process)


class WorkerPool:
    """Workers, each for one call at a time; who finds none idle waits.

    Args:
        count: How many.
        memory: What each may take, MiB.
    """

    def __init__(self, count: int, memory: int) -> None:
        self._count = count
        self._memory = memory
        self._places = FairPlaces(count)
        self._idle: list[Worker | None] = []
        self._live: set[Worker] = set()
        self._stops: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Start the workers.

        Raises:
            EngineUnavailableError: They do not come up.
        """
        for worker in await asyncio.gather(*(self._started() for _ in range(self._count))):
            self._idle.append(worker)

    async def close(self) -> None:
        """End the workers."""
        await asyncio.gather(*(worker.stop() for worker in self._live), *self._stops)
        self._live.clear()

    async def call(
        self, header: dict[str, Any], payload: bytes, seconds: float, key: Hashable = None
    ) -> tuple[dict[str, Any], bytes]:
        """Call a worker that is idle; where none is, the call whose key has used the least time comes first.

        Args:
            header: The request.
            payload: The database.
            seconds: The deadline.
            key: What is charged for the time; None: a key of this call's own.

        Raises:
            LateError: The answer did not come in time; the worker was killed.
            DiedError: Two workers died over it.
            EngineUnavailableError: A new worker does not start.
        """
        async with self._places.place(object() if key is None else key):
            try:
                return await self._attempt(header, payload, seconds)
            except DiedError:
                return await self._attempt(header, payload, seconds)

    async def _attempt(
        self, header: dict[str, Any], payload: bytes, seconds: float
    ) -> tuple[dict[str, Any], bytes]:
        worker = self._idle.pop()
        try:
            if worker is None or not worker.alive:
                self._retire(worker)
                worker = None
                worker = await self._started()
            answer = await worker.call(header, payload, seconds)
        except BaseException:
            # Also where the caller was cancelled: the worker may still be at it.
            self._retire(worker)
            self._idle.append(None)
            raise
        self._idle.append(worker)
        return answer

    async def _started(self) -> Worker:
        worker = await Worker.start(self._memory)
        self._live.add(worker)
        return worker

    def _retire(self, worker: Worker | None) -> None:
        if worker is not None:
            self._live.discard(worker)
            stop = asyncio.ensure_future(worker.stop())
            self._stops.add(stop)
            stop.add_done_callback(self._stops.discard)


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:
            return
    await process.wait()
