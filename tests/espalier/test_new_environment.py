"""`espalier new-environment` writes a package that works, as docs/adding-an-environment.md shows."""

import json
import os
import random
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from envs.registry import SHIPPED
from espalier.cli import app
from espalier.new_environment import NewEnvironmentError, write_environment
from espalier.serve import PORTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-an-environment.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ") for kind, text in BLOCKS if kind == "console" for line in text.strip().split("\n")
]
SCRIPT = """
set -euo pipefail
set -m
trap 'espalier down >/dev/null 2>&1 || true; kill %1 2>/dev/null || true' EXIT
"""
PATIENCE = 400
STATE, ENGINE = 6379, 8150
"""Ports of the embedded Valkey and of the page's engine, before the offset."""


def environment(home: Path, site: Path, offset: int) -> dict[str, str]:
    """Variables for a stack of its own, and for `pip` to install beside the project and not into it."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{site}",
        "PIP_TARGET": str(site),
        "PIP_NO_DEPS": "1",
        "ESPALIER_HOME": str(home),
        "ESPALIER_PORT_OFFSET": str(offset),
    }


def free_offset() -> int:
    """An offset at which every port of a stack is free, and the engine's.

    The system gives connections ports from 32768 on: a lower one stays free until something listens on it.
    """
    highest = max(PORTS.values()) + 100
    offsets = range(10_000, 32_000 - highest)
    return next(
        offset
        for offset in random.sample(offsets, len(offsets))
        if all(is_free(port + offset) for port in {*PORTS.values(), STATE, ENGINE})
    )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_page_runs_from_nothing_to_an_evaluated_run(tmp_path: Path) -> None:
    offset = free_offset()
    commands = "\n".join(COMMANDS).replace("8100", str(ENGINE + offset))
    site = tmp_path / "site"
    site.mkdir()
    done = subprocess.run(
        ["bash", "-c", SCRIPT + commands],
        cwd=tmp_path,
        env=environment(tmp_path / "home", site, offset),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    logs = "".join(path.read_text(errors="replace")[-1500:] for path in tmp_path.glob("home/logs/*.log"))
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{logs}"
    assert "valid/2\t\tFind the number from 1 to 16." in done.stdout
    summary = json.loads((tmp_path / "results/guess/summary.json").read_text())
    assert (summary["env"], summary["n"], summary["failed"]) == ("guess", 10, 0)
    assert summary["invalid_action_rate"] == 0, "the scripted engine takes the actions that are listed"
    assert summary["success_rate"] > 0
    assert "| guess | valid | tmbr |" in done.stdout


def test_the_page_shows_the_code_that_is_written(tmp_path: Path) -> None:
    written = {path.read_text().strip() for path in write_environment("guess", tmp_path).rglob("*.py")}
    shown = {text.strip() for kind, text in BLOCKS if kind == "python"}
    assert len(shown) == 3
    assert shown <= written


@pytest.mark.parametrize("name", ["guess", "two_rooms"])
def test_what_is_written_passes_its_test_and_the_linter(name: str, tmp_path: Path) -> None:
    folder = write_environment(name, tmp_path, port=8400)
    passed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "tests"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert passed.returncode == 0, passed.stdout
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), "."]
        linted = subprocess.run(ruff, cwd=folder, capture_output=True, text=True, check=False)
        assert linted.returncode == 0, linted.stdout


def test_a_port_that_no_environment_has_is_taken(tmp_path: Path) -> None:
    text = (write_environment("guess", tmp_path) / "guess/__init__.py").read_text()
    found = re.search(r"port=(\d+)", text)
    assert found is not None
    assert int(found[1]) not in PORTS.values()


@pytest.mark.parametrize(
    "name", ["", "Guess", "2rooms", "two-rooms", "a/b", "../a", "class", "json", "numpy"]
)
def test_a_name_that_cannot_be_a_package_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(NewEnvironmentError):
        write_environment(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [entry.name for entry in SHIPPED])
def test_a_name_that_an_environment_has_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(NewEnvironmentError, match="there is an environment"):
        write_environment(name, tmp_path)


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "guess").mkdir()
    done = CliRunner().invoke(app, ["new-environment", "guess", "--into", str(tmp_path)])
    assert done.exit_code == 1
    assert "exists" in done.output
    assert list((tmp_path / "guess").iterdir()) == []
    other = CliRunner().invoke(app, ["new-environment", "guess", "--into", str(tmp_path), "--port", "8201"])
    assert other.exit_code == 1
