"""One sandbox as the server sees it: calls with deadlines over the pipes of its process 1.

The server never enters a sandbox and never follows a path that an agent made: it sends messages and
reads answers of bounded length.
"""

import asyncio
import contextlib
import json
import secrets
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, TypeVar

from envs.os_interaction.sandbox.answers import (
    Answer,
    Changes,
    Envelope,
    Listing,
    Nothing,
    Packed,
    Result,
    Running,
)
from envs.os_interaction.sandbox.base import ENVIRON, TRUSTED_PATH, Base
from envs.os_interaction.sandbox.inside.restoring import PYTHON as PYTHON_MODULES
from envs.os_interaction.sandbox.limits import CHECK_ROOM, Limits
from envs.os_interaction.sandbox.nursery import Nursery
from envs.os_interaction.sandbox.spool import Spool
from envs.serving.environment import EngineUnavailableError, InstanceLostError

HEAD = struct.Struct("!I")
LONGEST = 8 * 2**20
"""The longest answer, bytes."""
START_SECONDS = 20.0
LOST = (TimeoutError, asyncio.IncompleteReadError, OSError, ValueError, RuntimeError)
"""What a call raises where a sandbox is gone or answers out of form (a RuntimeError: uvloop, pipe closed)."""
A = TypeVar("A", bound=Answer)
MARGIN = 10.0
"""What an answer may take beyond the deadline that process 1 keeps itself, seconds."""


class Kind(Enum):
    """What a sandbox is for."""

    AGENT = "agent"
    """An agent's session."""
    CHECKER = "checker"
    """Checks of what an agent left: what programs are found and loaded by is put back as it was."""
    EXAMPLE = "example"
    """A task's example, where no agent has been."""


class RefusedError(Exception):
    """Raised where a sandbox lives and cannot do what is wanted, because of what an agent made of it."""


@dataclass(frozen=True)
class Layer:
    """A copy of a sandbox: its writable files and what its shell knew."""

    files: Spool
    state: str | None
    """A script that gives another shell what this one knew; None where it could not be had."""
    running: list[str]
    """Command lines of the programs that ran, which no copy has."""


@dataclass(frozen=True)
class About:
    """What a task is about: decides what a checker takes of an agent's system folders."""

    instruction: str = ""
    prepared: str = ""
    """The scripts that prepare the machine."""
    checked: str = ""
    """The scripts that check it."""
    changed: Sequence[str] = ()
    """Paths in the system's folders that the preparation had made or changed."""


@dataclass(frozen=True)
class Start:
    """How a sandbox is started."""

    base: Base
    limits: Limits
    environ: Mapping[str, str] = field(default_factory=lambda: dict(ENVIRON))
    folder: str = "/root"

    def config(self, copied: bool, kind: Kind, uid: int | None, about: About) -> dict[str, Any]:
        """As process 1 reads it."""
        limits, room = self.limits, 1 if kind is Kind.AGENT else CHECK_ROOM
        trusted = kind is Kind.CHECKER
        numbers = asdict(limits)
        numbers.pop("seconds")
        return self.base.describe() | {
            "disk": limits.disk * room,
            "inodes": limits.inodes * room,
            "limits": numbers,
            "environ": dict(self.environ),
            "folder": self.folder,
            "uid": uid,
            "copied": copied,
            "task": asdict(about) | {"changed": list(about.changed)} if trusted else None,
            "trusted": self.base.trusted if trusted else [],
            "removed": self.base.removed if trusted else [],
        }


class Sandbox:
    """A live sandbox; made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits, nursery: Nursery) -> None:
        self._process = process
        self._nursery = nursery
        self._limits = limits
        self._turn = asyncio.Lock()
        self._broken = False

    @classmethod
    async def start(
        cls,
        how: Start,
        layer: Layer | None = None,
        kind: Kind = Kind.AGENT,
        nursery: Nursery | None = None,
        about: About = About(),
    ) -> "Sandbox":
        """Build a sandbox, fresh or as a copy.

        Args:
            how: What is in it and its limits.
            layer: What it is a copy of; an agent's shell takes the state of the other's.
            kind: What it is for.
            nursery: Where its process and its user id on the host come from.
            about: Of a checker: what the task is about.

        Raises:
            EngineUnavailableError: This host cannot make one; the message has what is missing.
            RefusedError: The layer cannot be copied.
        """
        nursery = nursery or Nursery()
        uid, process = nursery.uid(), await nursery.take()
        sandbox = cls(process, how.limits, nursery)
        group = nursery.group(process)
        config = how.config(layer is not None, kind, uid, about) | {"gauges": group.gauges if group else {}}
        try:
            async with asyncio.timeout(START_SECONDS):
                await sandbox._open(config, layer)
        except BaseException as error:
            await sandbox.close()
            if isinstance(error, TimeoutError | InstanceLostError):
                raise EngineUnavailableError(
                    "A sandbox did not start in time; the machine may be busy."
                ) from error
            raise
        if layer is not None and layer.state and kind is Kind.AGENT:
            await sandbox.request(Nothing, 10.0, "resume", state=layer.state)
        return sandbox

    async def run(self, script: str, seconds: float) -> Result:
        """A command in the shell that lives from command to command.

        Raises:
            InstanceLostError: The sandbox is gone.
            RefusedError: Its process 1 cannot do it.
        """
        return await self.request(Result, seconds, "run", script=script, seconds=seconds)

    async def once(
        self,
        argv: Sequence[str],
        seconds: float,
        environ: Mapping[str, str] | None = None,
        folder: str = "/root",
        check: Mapping[str, Any] | None = None,
    ) -> Result:
        """A program by itself.

        Args:
            argv: Its name and arguments.
            seconds: Its deadline.
            environ: Its environment variables.
            folder: Where it starts.
            check: In a checker: words that no other program can read, as `inside.checks.Check` takes them.

        Raises:
            InstanceLostError: The sandbox is gone.
            RefusedError: Its process 1 cannot do it.
        """
        request = {"argv": list(argv), "environ": dict(environ or ENVIRON), "folder": folder}
        return await self.request(Result, seconds, "once", seconds=seconds, check=check, **request)

    async def launch(self, argv: Sequence[str]) -> None:
        """A program in the background.

        Raises:
            InstanceLostError: The sandbox is gone.
            RefusedError: Its process 1 cannot do it.
        """
        await self.request(Nothing, 0, "launch", argv=list(argv), environ=ENVIRON, folder="/root")

    async def programs(self) -> list[Running]:
        """What runs now, but for the shell.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        return (await self.request(Listing, 0, "programs")).programs

    async def changes(self) -> list[str]:
        """The paths in the system's folders that are not as they were made.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        return (await self.request(Changes, 0, "changes")).paths

    async def end_program(self, program: Running) -> None:
        """End a program.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        await self.request(Nothing, 0, "end", pid=program.pid, born=program.born)

    async def pack(self) -> Layer:
        """A copy of the writable files, while all programs stand still.

        Raises:
            InstanceLostError: The sandbox is gone.
            RefusedError: The files cannot be copied: they are too many, or their names too long.
        """
        limit = self._limits.copied
        async with self._exchange(20.0):
            number = await self._send("pack", limit=limit)
            files = Spool(limit)
            while piece := await self._payload():
                await files.add(piece)
            packed = await self._answer(Packed, number)
        if isinstance(packed, RefusedError):
            raise packed
        return Layer(files, packed.state, packed.running)

    async def request(self, model: type[A], limit: float, op: str, /, **arguments: Any) -> A:
        """Send a request to process 1 and return its answer; one at a time.

        Args:
            model: What the answer must be.
            limit: The deadline that process 1 keeps, seconds.
            op: What is wanted.
            arguments: What it needs.

        Raises:
            InstanceLostError: It does not answer, or not in form; then the sandbox is ended.
            RefusedError: It lives and cannot do it.
        """
        async with self._exchange(limit):
            answer = await self._answer(model, await self._send(op, **arguments))
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    async def close(self) -> None:
        """End it with all that runs in it."""
        self.kill()
        # The kernel ends what is inside when process 1 goes, which goes when its parent does.
        await self._process.wait()
        self._nursery.groups.close()

    def kill(self) -> None:
        """End it, without waiting."""
        self._broken = True
        self._nursery.forget(self._process)
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    @contextlib.asynccontextmanager
    async def _exchange(self, seconds: float) -> AsyncIterator[None]:
        async with self._turn:
            if self._broken:
                raise InstanceLostError("the sandbox is gone")
            try:
                async with asyncio.timeout(seconds + MARGIN):
                    yield
            except BaseException as error:
                # Half a message may be in the pipe: there is no second one.
                self.kill()
                if isinstance(error, LOST):
                    raise InstanceLostError(f"the sandbox is gone ({type(error).__name__})") from error
                raise

    async def _open(self, config: dict[str, Any], layer: Layer | None) -> None:
        async with self._exchange(START_SECONDS):
            number = secrets.token_hex(8)
            await self._write(json.dumps(config | {"id": number}).encode())
            if layer is not None:
                # Process 1 may refuse before it has read all of it: its answer comes all the same.
                with contextlib.suppress(ConnectionError, RuntimeError):
                    async for piece in layer.files.pieces():
                        await self._write(piece)
                    await self._write(b"")
            envelope = self._checked(await self._payload(), number)
        if envelope.error is not None:
            if envelope.stage == "copy" and layer is not None:
                raise RefusedError(envelope.error)
            raise EngineUnavailableError(advice(envelope.error))

    async def _send(self, op: str, /, **arguments: Any) -> str:
        """Send a request; its random id, which the answer must have."""
        number = secrets.token_hex(8)
        await self._write(json.dumps({"op": op, "id": number} | arguments).encode())
        return number

    async def _answer(self, model: type[A], number: str) -> A | RefusedError:
        envelope = self._checked(await self._payload(), number)
        if envelope.error is not None:
            return RefusedError(envelope.error)
        return model.model_validate(envelope.answer)

    @staticmethod
    def _checked(payload: bytes, number: str) -> Envelope:
        envelope = Envelope.model_validate_json(payload)
        if envelope.id != number or (envelope.answer is None) == (envelope.error is None):
            raise ValueError("an answer to another request")
        return envelope

    async def _write(self, payload: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(HEAD.pack(len(payload)) + payload)
        await self._process.stdin.drain()

    async def _payload(self) -> bytes:
        assert self._process.stdout is not None
        (length,) = HEAD.unpack(await self._process.stdout.readexactly(HEAD.size))
        if length > LONGEST:
            raise ValueError(f"an answer of {length} bytes")
        return await self._process.stdout.readexactly(length)


def trusted_environ(folder: str = "/root") -> dict[str, str]:
    """A checker's environment variables."""
    return dict(ENVIRON) | {
        "PATH": TRUSTED_PATH,
        "HOME": folder,
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": PYTHON_MODULES,
    }


def advice(error: str) -> str:
    """What to do where the kernel refuses a sandbox."""
    return (
        f"No sandbox can be made here: {error}. It needs Linux 5.12 or newer, with user namespaces for this "
        "user (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0). "
        "In a container: security_opt seccomp=deploy/docker/seccomp-sandbox.json, apparmor=unconfined and "
        "systempaths=unconfined (see envs/os_interaction/README.md)."
    )
