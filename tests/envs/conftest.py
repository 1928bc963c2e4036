"""A Python with OpenEnv's own client and server in it."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LIST = ROOT / "requirements" / "openenv.txt"


@pytest.fixture(scope="session")
def openenv_python() -> Path:
    """The Python of an environment that holds the list; made once and kept until the list changes."""
    folder = ROOT / ".espalier" / "openenv"
    python, stamp = folder / "bin" / "python", folder / "installed"
    digest = hashlib.sha256(LIST.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, timeout=120)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "-r", str(LIST)], check=True, timeout=400)
        stamp.write_text(digest)
    return python
