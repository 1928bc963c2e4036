"""The stack on other people's machines: blanks in paths, proxy variables, users who are not root."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from services.scripted.api import create_app as create_model
from services.scripted.model import ScriptedModel
from tests.espalier.test_swap import free_offset
from tests.support import eventually, free_port, served

ROOT = Path(__file__).parents[2]
NOBODY = 65534


def load_setup(monkeypatch: pytest.MonkeyPatch, root: Path) -> ModuleType:
    """The set-up script, as if the checkout were elsewhere."""
    spec = importlib.util.spec_from_file_location("espalier_setup", ROOT / "deploy" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", root)
    return module


@pytest.mark.parametrize(
    ("name", "refused"), [("projects", False), ("my projects", True), ("my\tprojects", True)]
)
def test_set_up_refuses_the_engine_in_a_path_with_a_blank(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, refused: bool
) -> None:
    found = load_setup(monkeypatch, tmp_path / name).engine_obstacles()
    assert any("blank" in line for line in found) == refused


@contextmanager
def up(home: Path, engine: str, offset: int, **options: Any) -> Iterator[dict[str, str]]:
    """`espalier up` as a process of its own, ready; the environment of commands beside it."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ESPALIER_")},
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"), nowhere),
        "NO_PROXY": "10.0.0.0/8",
        "HOME": str(home),
        "ESPALIER_HOME": str(home),
        "ESPALIER_MODEL_URL": engine,
        "ESPALIER_PORT_OFFSET": str(offset),
        "ESPALIER_START_ENVIRONMENTS": json.dumps(["alfworld"]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "espalier", "up"],
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    said: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if line.startswith("up;"):
                break
        assert said[-1].startswith("up;"), "".join(said)
        yield environment
    finally:
        below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        eventually(lambda: not any(child.is_running() for child in below))


def can_run_python(user: int) -> bool:
    try:
        return subprocess.run([sys.executable, "-c", ""], user=user, cwd="/", check=False).returncode == 0
    except PermissionError:
        return False


@pytest.mark.parametrize("user", [None, NOBODY])
def test_the_stack_runs_from_a_path_with_a_blank_past_a_proxy_that_leads_nowhere(
    tmp_path_factory: pytest.TempPathFactory, user: int | None
) -> None:
    if user is not None and os.getuid() != 0:
        pytest.skip("only root can start processes of another user; this user is not root anyway")
    if user is not None and not can_run_python(user):
        pytest.skip("other users cannot run this Python: it lies in a folder that is root's alone")
    base = Path("/tmp") if user is not None else tmp_path_factory.mktemp("base")
    home = base / f"my projects {os.getpid()}"
    home.mkdir()
    options: dict[str, Any] = {}
    if user is not None:
        os.chown(home, user, user)
        options = {"user": user, "group": user, "extra_groups": []}
    try:
        with (
            served(create_model(ScriptedModel())) as engine,
            up(home, engine, free_offset(), **options) as environment,
        ):
            done = subprocess.run(
                [sys.executable, "-m", "espalier", "run", "--env", "alfworld", "--method", "react", "--json"],
                env=environment,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
                **options,
            )
            assert json.loads(done.stdout)["state"] == "completed", done.stderr
            assert (home / "logs").stat().st_mode & 0o077 == 0
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)
