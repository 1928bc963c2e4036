"""One sandbox as the server sees it: calls with deadlines over the pipes of its process 1.

The server never enters a sandbox and never follows a path that an agent made: it sends messages and
reads answers of bounded length.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from envs.os_interaction.base import ENVIRON, TRUSTED_PATH, Base
from envs.os_interaction.limits import CHECK_ROOM, Limits
from envs.os_interaction.nursery import Nursery
from envs.serving.environment import EngineUnavailableError, InstanceLostError

HEAD = struct.Struct("!I")
LONGEST = 8 * 2**20
"""The longest answer, bytes."""
START_SECONDS = 20.0
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


@dataclass(frozen=True)
class Layer:
    """A copy of a sandbox: its writable files and what its shell knew."""

    pieces: list[bytes]
    state: str | None
    """A script that tells a shell what the other one knew; None where it could not be had."""
    running: list[str]
    """Command lines of the programs that ran, which no copy has."""


@dataclass(frozen=True)
class Result:
    """What a command or script did."""

    output: str
    ended: str
    """`exit`, `shell` (the shell itself ended), or the limit: `deadline output memory cpu`."""
    status: int | None = None
    errors: str = ""
    restarted: bool = False
    """Whether a new shell was started."""
    spent: str | None = None
    """The limit that programs in the background were ended for before the command."""


@dataclass(frozen=True)
class Running:
    """A program that runs in a sandbox, as its process 1 tells; pid and birth are never given twice."""

    pid: int
    born: int
    stopped: bool
    command: str


@dataclass(frozen=True)
class Start:
    """How a sandbox is started."""

    base: Base
    limits: Limits
    environ: Mapping[str, str] = field(default_factory=lambda: dict(ENVIRON))
    folder: str = "/root"

    def config(self, copied: bool, kind: Kind, uid: int | None) -> dict[str, Any]:
        """As process 1 reads it."""
        limits, room = self.limits, 1 if kind is Kind.AGENT else CHECK_ROOM
        trusted = kind is Kind.CHECKER
        told = asdict(limits)
        told.pop("seconds")
        return self.base.told() | {
            "disk": limits.disk * room,
            "inodes": limits.inodes * room,
            "limits": told,
            "environ": dict(self.environ),
            "folder": self.folder,
            "uid": uid,
            "copied": copied,
            "trusted": self.base.trusted if trusted else [],
            "removed": self.base.removed if trusted else [],
        }


class Sandbox:
    """A live sandbox; made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self._broken = False

    @classmethod
    async def start(
        cls,
        how: Start,
        layer: Layer | None = None,
        kind: Kind = Kind.AGENT,
        nursery: Nursery | None = None,
    ) -> "Sandbox":
        """Build a sandbox, fresh or as a copy.

        Args:
            how: What is in it and its limits.
            layer: What it is a copy of; an agent's shell is told what the other's knew.
            kind: What it is for.
            nursery: Where its process and its user id on the host come from.

        Raises:
            EngineUnavailableError: This host cannot make one; says what is missing.
        """
        nursery = nursery or Nursery()
        uid, process = nursery.uid(), await nursery.take()
        sandbox = cls(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                await sandbox._open(how.config(layer is not None, kind, uid), layer)
        except BaseException as error:
            await sandbox.close()
            if isinstance(error, TimeoutError | InstanceLostError):
                raise EngineUnavailableError(
                    "A sandbox did not start in time; the machine may be busy."
                ) from error
            raise
        if layer is not None and layer.state and kind is Kind.AGENT:
            await sandbox.ask(10.0, "resume", state=layer.state)
        return sandbox

    async def run(self, script: str, seconds: float) -> Result:
        """A command in the shell that lives from command to command.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        return Result(**await self.ask(seconds, "run", script=script, seconds=seconds))

    async def once(
        self,
        argv: Sequence[str],
        seconds: float,
        environ: Mapping[str, str] | None = None,
        folder: str = "/root",
    ) -> Result:
        """A program by itself.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        told = {"argv": list(argv), "environ": dict(environ or ENVIRON), "folder": folder}
        return Result(**await self.ask(seconds, "once", seconds=seconds, **told))

    async def launch(self, argv: Sequence[str]) -> None:
        """A program in the background.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        await self.ask(0, "launch", argv=list(argv), environ=ENVIRON, folder="/root")

    async def programs(self) -> list[Running]:
        """What runs now, but for the shell.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        return [Running(**told) for told in (await self.ask(0, "programs"))["programs"]]

    async def end_program(self, program: Running) -> None:
        """End a program.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        await self.ask(0, "end", pid=program.pid, born=program.born)

    async def pack(self) -> Layer:
        """A copy of the writable files, while all programs stand still.

        Raises:
            InstanceLostError: The sandbox is gone.
        """
        async with self._asking(20.0):
            await self._send({"op": "pack"})
            pieces: list[bytes] = []
            while piece := await self._payload():
                pieces.append(piece)
            told = json.loads(await self._payload())
            return Layer(pieces, told["state"], told["running"])

    async def ask(self, limit: float, op: str, /, **arguments: Any) -> dict[str, Any]:
        """Ask process 1; one call at a time.

        Raises:
            InstanceLostError: It does not answer; then the sandbox is ended.
        """
        async with self._asking(limit):
            await self._send({"op": op} | arguments)
            return json.loads(await self._payload())

    async def close(self) -> None:
        """End it with all that runs in it."""
        self.kill()
        # The kernel ends what is inside when process 1 goes, which goes when its parent does.
        await self._process.wait()

    def kill(self) -> None:
        """End it, without waiting."""
        self._broken = True
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    @contextlib.asynccontextmanager
    async def _asking(self, seconds: float) -> AsyncIterator[None]:
        async with self._turn:
            if self._broken:
                raise InstanceLostError("the sandbox is gone")
            try:
                async with asyncio.timeout(seconds + MARGIN):
                    yield
            except BaseException as error:
                # Half a message may be in the pipe: there is no second one.
                self.kill()
                if isinstance(error, TimeoutError | asyncio.IncompleteReadError | OSError | ValueError):
                    raise InstanceLostError(f"the sandbox is gone ({type(error).__name__})") from error
                raise

    async def _open(self, config: dict[str, Any], layer: Layer | None) -> None:
        async with self._asking(START_SECONDS):
            await self._send(config)
            for piece in layer.pieces if layer else ():
                await self._write(piece)
            if layer is not None:
                await self._write(b"")
            told = json.loads(await self._payload())
        if "error" in told:
            raise EngineUnavailableError(advice(told["error"]))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._write(json.dumps(message).encode())

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
    return dict(ENVIRON) | {"PATH": TRUSTED_PATH, "HOME": folder, "PYTHONNOUSERSITE": "1"}


def advice(error: str) -> str:
    """What to do where the kernel refuses a sandbox."""
    return (
        f"No sandbox can be made here: {error}. It needs Linux 5.12 or newer, with user namespaces for this "
        "user (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0). "
        "In a container: security_opt seccomp=deploy/docker/seccomp-sandbox.json, apparmor=unconfined and "
        "systempaths=unconfined (see envs/os_interaction/README.md)."
    )
