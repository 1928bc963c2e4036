"""Helpers of the tests: free ports, polling, servers in threads."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import uvicorn
from fastapi import FastAPI


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(check: Callable[[], object], within: float = 60.0) -> None:
    """Wait until a check holds; fail when it does not in time."""
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, f"not within {within} s: {check}"
        time.sleep(0.05)


@contextlib.contextmanager
def served(app: FastAPI, port: int | None = None) -> Iterator[str]:
    """An app on a real HTTP server, by default on a free port; its address."""
    port = port or free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started or not thread.is_alive(), 180)
    assert server.started, "the server did not start"
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def running(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of an app on a real HTTP server."""
    with served(app) as url, httpx.Client(base_url=url, timeout=120.0) as client:
        yield client
