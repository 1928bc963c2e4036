"""Writes a job's events in groups: what is pending goes in one script.

`append` returns at once; `flush` waits until all that was appended is in Redis. Environment steps wait for a
flush, so that a step is never taken on an answer that could be lost. A model's answer is written at once,
because it would cost a call to get it again, and so is a new session, which has to be closed some day. What
costs nothing to get again (a step under its key, a note) waits a moment for company.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from services.contracts.event import EventType
from services.orchestrator.store.jobs import Line
from services.orchestrator.store.log import pack

LINGER = 0.05
"""So long an event that can wait does, seconds."""
Sink = Callable[[Sequence[Line]], Awaitable[bool]]
"""Writes events and returns whether the log is full."""


class LogWriter:
    """One job's way into its episode's log."""

    def __init__(self, sink: Sink, taking: Line | None = None) -> None:
        self._taking = taking
        """Goes before the first event: a worker that has nothing to write for a branch leaves no trace."""
        self.full = False
        """Whether the log is full, so that the episode has to end by budget."""
        self._sink = sink
        self._one = asyncio.Lock()
        """One write at a time: the script recognises a repetition of the last batch only."""
        self._pending: list[Line] = []
        self._drain: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def append(
        self,
        kind: EventType,
        data: Mapping[str, Any],
        *,
        branch: str,
        seq: int | None = None,
        digest: str = "",
        urgent: bool = False,
    ) -> None:
        """Take an event; it is written soon.

        Args:
            kind: The event's type.
            data: Its data.
            branch: The branch that it is of.
            seq: The number of the call that it answers.
            digest: Of the call's request.
            urgent: Write it at once.
        """
        event = pack(kind, time.time(), branch=branch, seq=seq, digest=digest, data=data)
        self._add(Line("", branch, seq, event), urgent=urgent)

    def close(self, data: Mapping[str, Any], *, branch: str, last: int) -> None:
        """Take the end of a branch, after its last call; it is written at once."""
        event = pack(EventType.BRANCH_CLOSED, time.time(), branch=branch, data=data)
        self._add(Line("close", branch, None, event, str(last)), urgent=True)

    def _add(self, line: Line, *, urgent: bool) -> None:
        self._pending.append(line)
        if urgent:
            self._start()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._start)

    async def open(
        self, data: Mapping[str, Any], *, branch: str, seq: int, digest: str, opened: str, job: bool
    ) -> None:
        """Write that a branch opened another one, after all that is pending.

        Raises:
            BranchesError: The episode has as many branches as it may have; nothing was written.
            FencedError, OverError, LimitError: As the store's `append`.
        """
        await self.flush()
        event = pack(EventType.BRANCH_OPENED, time.time(), branch=branch, seq=seq, digest=digest, data=data)
        line = Line("open-job" if job else "open", branch, seq, event, opened)
        await self._send([line])

    async def flush(self) -> None:
        """Wait until everything is written.

        Raises:
            FencedError, OverError, LimitError: As the store's `append`.
        """
        self._start()
        if self._drain is not None:
            await asyncio.shield(self._drain)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._drain is not None and self._drain.done():
            if self._drain.cancelled() or self._drain.exception() is not None:
                return  # an earlier write's error ends the writer: `flush` raises it
            self._drain = None
        if self._pending and self._drain is None:
            self._drain = asyncio.create_task(self._write())
            self._drain.add_done_callback(_read_exception)

    async def _write(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            await self._send(batch)

    async def _send(self, lines: Sequence[Line]) -> None:
        async with self._one:
            taking, self._taking = self._taking, None
            self.full = await self._sink([taking, *lines] if taking else lines) or self.full


def _read_exception(task: asyncio.Task[None]) -> None:
    """Mark a failed write's error as seen: `flush` raises it, and a run that ended needs no report."""
    if not task.cancelled():
        task.exception()
