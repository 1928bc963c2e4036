"""Processes that are to become sandboxes, kept ready: their interpreter has started and read its modules.

That is most of what a sandbox's start takes. A process knows nothing of a session before it is taken.
"""

import asyncio
import contextlib
import itertools
import os
import sys
from collections import deque
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = "import sys; sys.path.insert(0, sys.argv[1]); from envs.os_interaction.inside.main import main; main()"
FIRST_UID = 1_900_000_000
UIDS = 100_000
"""Of a server that is root: the host's user ids that its sandboxes run under, one each."""


class Nursery:
    """Gives processes and user ids to sandboxes.

    Args:
        spares: How many processes are kept ready.
    """

    def __init__(self, spares: int = 0) -> None:
        self._wanted = spares
        self._spares: deque[asyncio.subprocess.Process] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._numbers = itertools.count()

    def uid(self) -> int | None:
        """A user id on the host that was not given lately; None where the server is not root."""
        return FIRST_UID + next(self._numbers) % UIDS if os.geteuid() == 0 else None

    async def take(self) -> asyncio.subprocess.Process:
        """A process that waits to be told what to build; another one takes its place."""
        process: asyncio.subprocess.Process | None = None
        while self._spares and process is None:
            spare = self._spares.popleft()
            process = spare if spare.returncode is None else None
        process = process or await _spawn()
        if self._wanted and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill())
        return process

    async def close(self) -> None:
        """End those that were not taken."""
        self._wanted = 0
        if self._filling is not None:
            await asyncio.wait([self._filling])
        for process in self._spares:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._spares.clear()

    async def _fill(self) -> None:
        while len(self._spares) < self._wanted:
            self._spares.append(await _spawn())


async def _spawn() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-c", CODE, str(ROOT)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"LANG": "C.UTF-8"},
        cwd="/",
        start_new_session=True,
    )
