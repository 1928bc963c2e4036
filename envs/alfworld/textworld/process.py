"""One worker process as the server sees it: calls with deadlines, and a death that is noticed."""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from envs.serving.environment import EngineUnavailableError, InstanceLostError

LINE_LIMIT = 16 * 2**20
"""The longest answer of a worker, bytes."""
START_SECONDS = 120.0
"""What importing the engine may take on a busy machine, seconds."""


class WorkerDiedError(InstanceLostError):
    """The worker is dead, and every instance in it is lost."""


class WorkerProcess:
    """A worker process; made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, call_timeout: float) -> None:
        self._process = process
        self._call_timeout = call_timeout
        self._turn = asyncio.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())
        self.handles: set[str] = set()
        """The instances that live here."""
        self.games: set[str] = set()
        """The games that were loaded here and so load fast."""
        self.episodes = 0
        self.mib = 0
        """Resident memory, as the worker last reported it."""

    @classmethod
    async def start(cls, home: Path, call_timeout: float) -> "WorkerProcess":
        """Spawn a worker and wait until the engine is imported.

        Args:
            home: A folder that the engine may write to.
            call_timeout: After this long without an answer the worker is killed, seconds.

        Raises:
            EngineUnavailableError: It does not come up; the message has its standard error.
        """
        root = Path(__file__).parents[3]
        paths = [str(root), os.environ.get("PYTHONPATH", "")]
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        # The package makes this folder when it is imported, by default in the user's home.
        environ.setdefault("ALFWORLD_DATA", str(home / "alfworld"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "envs.alfworld.textworld.worker",
            str(home / "cache"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environ,
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
        except BaseException:
            _kill(process)
            await process.wait()
            raise
        if not line:
            raise EngineUnavailableError(
                f"The ALFWorld engine did not start (exit {await process.wait()}): "
                "install it with `pip install espalier[alfworld]`, and see this server's standard error."
            )
        return cls(process, call_timeout)

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return not self._reader.done()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def call(self, op: str, handle: str, **arguments: Any) -> dict[str, Any]:
        """Call the worker; one call at a time.

        Raises:
            WorkerDiedError: The worker is dead, or was killed for being late.
            InstanceLostError: The engine broke in this instance, or never had it.
        """
        async with self._turn:
            if not self.alive:
                raise WorkerDiedError(f"worker {self.pid} has died")
            number = next(self._numbers)
            answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._waiting[number] = answer
            try:
                await self._send({"id": number, "op": op, "handle": handle} | arguments)
                async with asyncio.timeout(self._call_timeout):
                    reply = await answer
            except TimeoutError as error:
                self.kill()
                raise WorkerDiedError(f"worker {self.pid} did not answer and was killed") from error
            finally:
                self._waiting.pop(number, None)
        self.mib = reply.get("mib", 0)
        if "text" not in reply:
            raise InstanceLostError(reply.get("lost") or reply.get("error", "no answer"))
        return reply

    def kill(self) -> None:
        """End it at once."""
        _kill(self._process)

    async def stop(self) -> None:
        """Let it end by itself, and kill it if it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(3.0):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await asyncio.wait([self._reader])

    def on_death(self, call: Callable[[], None]) -> None:
        """Call when it dies."""
        self._reader.add_done_callback(lambda _: call())

    async def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:  # uvloop's closed pipe is a RuntimeError
            raise WorkerDiedError(f"worker {self.pid} has died") from error

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                reply = json.loads(line)
                waiting = self._waiting.get(reply["id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
        finally:
            self.kill()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(WorkerDiedError(f"worker {self.pid} has died"))


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:
            return
