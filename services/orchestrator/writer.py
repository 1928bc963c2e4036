"""Writes an episode's events in groups: what is pending goes in one script.

`append` returns at once; `flush` waits until all that was appended is in Redis. Environment steps
wait for a flush, model calls do not: so a step is never taken on an answer that could be lost.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.contracts.event import EventType
from services.orchestrator.store.episodes import pack

Entry = tuple[str, int, bytes]
"""Branch, epoch, packed event."""
Sink = Callable[[Sequence[Entry]], Awaitable[None]]


class LogWriter:
    """One episode's way into its log."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pending: list[Entry] = []
        self._drain: asyncio.Task[None] | None = None

    def append(
        self,
        kind: EventType,
        data: dict[str, Any],
        *,
        branch: str,
        epoch: int,
        seq: int | None = None,
        digest: str = "",
    ) -> None:
        """Take an event; it is written soon."""
        event = pack(kind, time.time(), branch=branch, seq=seq, digest_=digest, data=data)
        self._pending.append((branch, epoch, event))
        if self._drain is None or (self._drain.done() and not self._drain.cancelled()):
            if self._drain is not None:
                self._drain.result()  # an earlier write's error ends the writer
            self._drain = asyncio.create_task(self._write())
            self._drain.add_done_callback(_looked_at)

    async def flush(self) -> None:
        """Wait until everything is written.

        Raises:
            FencedError, OverError, LimitError: As the store's `append`.
        """
        if self._drain is not None:
            await asyncio.shield(self._drain)

    async def _write(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            await self._sink(batch)


def _looked_at(task: asyncio.Task[None]) -> None:
    """A write that failed is told by `flush` or by the next `append`; a run that ended needs neither."""
    if not task.cancelled():
        task.exception()
