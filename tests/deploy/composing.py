"""What the tests of the containers share: running docker-compose, and what it renders."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
PROMETHEUS = ROOT / "deploy/prometheus/prometheus.yml"
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
RUNBOOKS = ROOT / "docs/runbooks.md"


@cache
def compose_command() -> tuple[str, ...] | None:
    """docker-compose 1.29 or Compose v2, whichever is here."""
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return ("docker", "compose")
    return None


@dataclass(frozen=True)
class Compose:
    """docker-compose on this repository's file."""

    env_file: Path
    project: str = "espalier"
    profiles: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] = ("docker-compose.yml",)
    """The files that are read, each over the one before."""

    def run(self, *arguments: str, timeout: float = 120, check: bool = True) -> str:
        """Run one command and give its output; its errors are in the exception."""
        command = compose_command()
        assert command
        options = ["--env-file", str(self.env_file), "-p", self.project]
        options += [part for file in self.files for part in ("-f", file)]
        options += [part for profile in self.profiles for part in ("--profile", profile)]
        done = subprocess.run(
            [*command, *options, *arguments],
            cwd=ROOT,
            env={**_clean(), **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{arguments} exited {done.returncode}:\n{done.stdout}\n{done.stderr}"[-6000:]
            )
        return done.stdout

    def rendered(self) -> dict[str, Any]:
        """The services as docker-compose understands the file."""
        return yaml.safe_load(self.run("config"))["services"]


def _clean() -> dict[str, str]:
    """Our environment without what would change the rendering."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("ESPALIER_", "COMPOSE_"))
    }


def load_dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def fill(expression: str) -> str:
    """A query with Grafana's variables filled in."""
    filled = {"$__rate_interval": "1m", "$__range": "15m", "$environment": ".*", "$method": ".*"}
    for variable, value in filled.items():
        expression = expression.replace(variable, value)
    return expression


def dashboard_queries(dashboard: Mapping[str, Any]) -> dict[str, list[str]]:
    """The queries of each panel by its title."""
    return {
        panel["title"]: [fill(target["expr"]) for target in panel["targets"]]
        for panel in dashboard["panels"]
        if panel["type"] != "row"
    }
