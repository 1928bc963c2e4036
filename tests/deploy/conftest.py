"""Fixtures of the container tests."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.composing import ROOT, compose_command


@pytest.fixture(scope="session")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .env as `deploy/make-env.sh` makes it."""
    if compose_command() is None:
        pytest.skip("neither docker-compose nor Compose v2 is installed (Debian: docker-compose)")
    file = tmp_path_factory.mktemp("compose") / ".env"
    subprocess.run([ROOT / "deploy/make-env.sh", file], check=True, capture_output=True)
    return file
