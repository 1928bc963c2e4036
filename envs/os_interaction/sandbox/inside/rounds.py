"""Programs run to their end or to a limit, with what they print."""

import contextlib
import os
import select
import time
from collections.abc import Callable

from envs.os_interaction.sandbox.inside.programs import Programs

POLL = 0.05
"""How often limits are looked at, seconds."""
KEPT = 65536
"""So much of what is printed is kept, bytes; the rest is read and thrown away."""
FLOOD = 8 * 2**20
"""Who prints more is ended, bytes."""


class Stream:
    """What a stream of a program has brought.

    Args:
        stream: Where it is read.
        limit: So much is kept, bytes.
    """

    def __init__(self, stream: int, limit: int = KEPT) -> None:
        self.stream = stream
        self.kept = bytearray()
        self.count = 0
        """All bytes, those not kept too."""
        self._limit = limit

    def take(self) -> bool:
        """Read what is there; False at its end."""
        while True:
            try:
                piece = os.read(self.stream, KEPT)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not piece:
                return False
            self.count += len(piece)
            self.kept += piece[: self._limit - len(self.kept)]
            if self.count > FLOOD:
                return True

    def text(self) -> str:
        """What was kept, as text."""
        return self.kept.decode(errors="replace")


def pipe() -> tuple[int, int]:
    """A pipe; reading from it never waits."""
    source, target = os.pipe()
    os.set_blocking(source, False)
    return source, target


def close(*streams: int) -> None:
    """Close streams, those that are closed already too."""
    for stream in streams:
        with contextlib.suppress(OSError):
            os.close(stream)


def watch(programs: Programs, streams: list[Stream], seconds: float, over: Callable[[], str | None]) -> str:
    """Read what programs print until they are done or at a limit.

    Args:
        programs: All of the sandbox's.
        streams: The streams to read.
        seconds: The deadline.
        over: Returns why it is over, if it is.

    Returns:
        `over`'s reason, or the limit: `deadline`, `output`, `memory`, `cpu`.
    """
    until = time.monotonic() + seconds
    looked = time.monotonic()
    open_streams = list(streams)
    while True:
        ready = select.select([one.stream for one in open_streams], [], [], POLL)[0]
        ended = [one for one in open_streams if one.stream in ready and not one.take()]
        open_streams = [one for one in open_streams if one not in ended]
        programs.reap()
        reason = over()
        if reason is not None:
            for one in open_streams:
                one.take()
            return reason
        now = time.monotonic()
        if any(one.count > FLOOD for one in streams):
            return "output"
        if now > until:
            return "deadline"
        if now - looked > POLL:
            looked = now
            excess = programs.excess()
            if excess:
                return excess
        if not open_streams:
            time.sleep(POLL / 10)
