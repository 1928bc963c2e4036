"""A real server on a free port, and waiting without sleeping for a fixed time."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import uvicorn
from fastapi import FastAPI


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(check: Callable[[], object], seconds: float = 60.0) -> None:
    """Poll until `check` is true; the limit only keeps a broken run from hanging."""
    limit = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < limit, "it never came true"
        time.sleep(0.02)


@contextlib.contextmanager
def running(app: FastAPI) -> Iterator[httpx.Client]:
    """A real uvicorn on a free port, in a thread of its own."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive(), 180.0)
        assert server.started
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120.0) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30.0)
