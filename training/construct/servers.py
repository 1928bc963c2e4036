"""An environment's server for as long as data is made with it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from envs.registry import load_environments
from training.construct.role_settings import is_address

PATIENCE = 120.0


class ServerError(RuntimeError):
    """Raised when the environment cannot be played; the message has the reason, or names its log."""


@contextlib.contextmanager
def server(environment: str, url: str, logs: Path) -> Iterator[str]:
    """The address of an environment's server: the one that is given, or else one of our own.

    Raises:
        ServerError: The address is malformed, there is no such environment, or it does not become ready.
    """
    if url and not is_address(url):
        raise ServerError(f"{url!r} is no address of an environment, such as http://127.0.0.1:8201")
    if url:
        yield url
    elif environment not in load_environments():
        known = ", ".join(load_environments())
        raise ServerError(f"there is no environment {environment!r}; there are: {known}")
    else:
        with serving(environment, logs) as own:
            yield own


@contextlib.contextmanager
def serving(environment: str, logs: Path) -> Iterator[str]:
    """An environment's server on a free port, as a process; its address."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"construct-{environment}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "espalier", "serve", environment, "--port", str(port)],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "ESPALIER_MAX_SESSIONS": "4096"},
        )
        try:
            _wait(process, url, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    state = "it does not answer"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = httpx.get(f"{url}/readyz", timeout=5, trust_env=False)
            if answer.is_success:
                return
            state = answer.text
        except httpx.HTTPError as error:
            state = repr(error)
        time.sleep(0.2)
    raise ServerError(f"the environment is not ready ({state}); its log is {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
