"""Processes that are to become sandboxes, kept ready: their interpreter has started and read its modules.

That is most of what a sandbox's start takes. A process has nothing of a session before it is taken.
"""

import asyncio
import contextlib
import itertools
import os
import sys
from collections import deque
from pathlib import Path

import structlog

from envs.os_interaction.sandbox.cgroups import Group, Groups
from envs.os_interaction.sandbox.limits import Limits
from envs.serving.environment import EngineUnavailableError

log = structlog.get_logger()
ROOT = Path(__file__).parents[3]
MAIN = "envs.os_interaction.sandbox.inside.main"
CODE = f"import sys; sys.path.insert(0, sys.argv[1]); from {MAIN} import main; main()"
FIRST_UID = 1_900_000_000
REMOVAL, REMOVALS = 0.02, 100
"""How often groups are tried to be removed at the end, seconds and times."""
UIDS = 100_000
"""Of a server that is root: the host's user ids that its sandboxes run under, one each."""


class Nursery:
    """Gives processes and user ids to sandboxes.

    Args:
        spares: How many processes are kept ready.
        groups: Makes their control groups; by default they have none.
        limits: Of each group.
    """

    def __init__(self, spares: int = 0, groups: Groups | None = None, limits: Limits | None = None) -> None:
        self._wanted = spares
        self.groups = groups or Groups()
        self._limits = limits
        self._members: dict[int, Group] = {}
        """The groups of living processes, by process id."""
        self._spares: deque[asyncio.subprocess.Process] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._numbers = itertools.count()

    def uid(self) -> int | None:
        """A user id on the host that was not given lately; None where the server is not root."""
        return FIRST_UID + next(self._numbers) % UIDS if os.geteuid() == 0 else None

    async def take(self) -> asyncio.subprocess.Process:
        """A process that waits for what to build; another one takes its place.

        Raises:
            EngineUnavailableError: No process can be started now.
        """
        process: asyncio.subprocess.Process | None = None
        while self._spares and process is None:
            spare = self._spares.popleft()
            process = spare if spare.returncode is None else self.forget(spare)
        process = process or await self._spawn()
        if self._wanted and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill())
        return process

    def group(self, process: asyncio.subprocess.Process) -> Group | None:
        """The control group of a process."""
        return self._members.get(process.pid)

    def forget(self, process: asyncio.subprocess.Process) -> None:
        """Give up the control group of a process that is ended."""
        group = self._members.pop(process.pid, None)
        if group is not None:
            group.release()

    async def close(self) -> None:
        """End those that were not taken, and remove all groups."""
        self._wanted = 0
        if self._filling is not None:
            await asyncio.wait([self._filling])
        for process in self._spares:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self.forget(process)
        self._spares.clear()
        for _ in range(REMOVALS):
            if self.groups.close():
                break
            await asyncio.sleep(REMOVAL)

    async def _fill(self) -> None:
        try:
            while len(self._spares) < self._wanted:
                self._spares.append(await self._spawn())
        except EngineUnavailableError as error:
            log.warning("No process could be kept ready", reason=str(error))

    async def _spawn(self) -> asyncio.subprocess.Process:
        try:
            group = self.groups.make(self._limits) if self._limits is not None else None
        except OSError as error:
            raise EngineUnavailableError(f"No control group can be made now: {error}.") from error
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-c", CODE, str(ROOT), *(group.doors if group else ())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
            )
        except BaseException as error:
            if group is not None:
                group.release()
            if isinstance(error, OSError):
                raise EngineUnavailableError(f"No process can be started now: {error}.") from error
            raise
        if group is not None:
            self._members[process.pid] = group
        return process
