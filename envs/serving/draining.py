"""Draining: a server that is about to go takes no new sessions and goes on serving those that it has."""

import asyncio
import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import structlog

from envs.serving.sessions import SessionTable

LOOK = 0.1
"""Seconds between two looks whether sessions are left."""
log = structlog.get_logger()


async def wait_for_sessions(table: SessionTable, seconds: float) -> None:
    """Wait until no session is live, for so many seconds at most."""
    for _ in range(math.ceil(seconds / LOOK)):
        if not table.load().sessions:
            return
        await asyncio.sleep(LOOK)


@contextlib.contextmanager
def drain_on_sigterm(table: SessionTable, seconds: float) -> Iterator[None]:
    """Let SIGTERM drain the server first; the handler that was there before ends it then.

    A second SIGTERM ends it at once. Nothing changes outside a process's main thread, or where nothing
    handles SIGTERM.

    Args:
        table: The server's sessions.
        seconds: How long the server goes on while sessions are live.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    loop = asyncio.get_running_loop()
    received = False
    ending: list[asyncio.Task[None]] = []

    async def drain() -> None:
        log.info("draining", sessions=table.load().sessions, seconds=seconds)
        await wait_for_sessions(table, seconds)
        before(signal.SIGTERM, None)

    def begin() -> None:
        ending.append(asyncio.create_task(drain()))

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if received:
            before(number, frame)
            return
        received = True
        table.draining = True
        loop.call_soon_threadsafe(begin)

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        for task in ending:
            task.cancel()
