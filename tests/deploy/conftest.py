"""Fixtures of the container tests."""

import importlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.composing import ROOT, compose_command
from tests.deploy.kustomizing import (
    KUBERNETES,
    OVERLAYS,
    VARIANTS,
    Manifest,
    kustomize_command,
    render,
    render_with,
)


@pytest.fixture(scope="session")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .env as `deploy/make-env.sh` makes it."""
    if compose_command() is None:
        pytest.skip("neither docker-compose nor Compose v2 is installed (Debian: docker-compose)")
    file = tmp_path_factory.mktemp("compose") / ".env"
    subprocess.run([ROOT / "deploy/make-env.sh", file], check=True, capture_output=True)
    return file


@pytest.fixture(scope="session")
def vllm_parser() -> Any:
    """The parser of vLLM's own command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_TARGET_DEVICE", "cpu")
        try:
            arguments = importlib.import_module("vllm.entrypoints.launchers.cli_args")
        except ImportError as error:
            pytest.skip(f"vLLM is not installed here: {error}")
        return arguments.make_arg_parser(arguments.FlexibleArgumentParser())


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Manifest]]:
    """The manifests of each overlay, and of one with a Redis elsewhere."""
    if kustomize_command() is None:
        pytest.skip("neither Kustomize 5 nor a kubectl that has it is installed")
    rendered = {overlay: render(KUBERNETES / "overlays" / overlay) for overlay in OVERLAYS}
    folder = tmp_path_factory.mktemp("kubernetes")
    rendered["external-redis"] = render_with(folder, "scripted", "external-redis")
    return rendered


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """The name of an overlay."""
    return request.param


@pytest.fixture
def stack(stacks: dict[str, list[Manifest]], variant: str) -> list[Manifest]:
    """The manifests of an overlay."""
    return stacks[variant]
