"""The documentation says what the code says."""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from services.actor.api import create as create_actor
from services.contracts.episode import State
from services.contracts.event import EventType
from services.judge.api import create as create_judge
from services.kit.problems import DOCUMENTATION, Kind
from services.kit.settings import RoleSettings
from services.orchestrator.api import create as create_orchestrator
from services.orchestrator.durable.replay import replay_episode
from services.orchestrator.search import METHODS
from services.orchestrator.settings import OrchestratorSettings
from services.planner.api import create as create_planner
from tests.orchestrator.conftest import Bench, bench, settings

__all__ = ["bench", "settings"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("services", "envs", "espalier", "evaluation", "training")
SETTINGS = (DOCS / "settings.md").read_text()
SECTIONS = re.findall(r"^## [^\n]*\(`([\w.]+)`\)\n(.*?)(?=^## |\Z)", SETTINGS, re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(ESPALIER_\w+)` \| (.*?) \| (.*?) \|$", re.MULTILINE)


def all_settings() -> set[str]:
    """Every settings class of the project, by its dotted name."""
    modules = [ROOT / name for name in PACKAGES]
    for path in (path for folder in modules for path in folder.rglob("*.py")):
        if "Settings)" in path.read_text() or "BaseSettings" in path.read_text():
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))

    def below(parent: type) -> set[type]:
        return {kind for child in parent.__subclasses__() for kind in {child, *below(child)}}

    found = {f"{kind.__module__}.{kind.__name__}" for kind in below(BaseSettings)}
    return {name for name in found if name.partition(".")[0] in PACKAGES}


def default_of(kind: type[BaseSettings], name: str) -> str:
    """A default as the page writes it."""
    value = kind.model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, dict):
        return f"`{json.dumps(value)}`"
    if isinstance(value, float):
        return f"`{value:.10g}`"
    return "none" if value in (None, "") else f"`{value}`"


def test_every_settings_class_has_its_section() -> None:
    assert {name for name, _ in SECTIONS} == all_settings()


@pytest.mark.parametrize(("name", "text"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_a_section_lists_what_its_class_reads(name: str, text: str) -> None:
    module, _, kind_name = name.rpartition(".")
    kind = getattr(importlib.import_module(module), kind_name)
    own = [field for field in kind.__annotations__ if field in kind.model_fields]
    outcome = {variable: default for variable, default, _ in ROW.findall(text)}
    assert outcome == {f"ESPALIER_{field.upper()}": default_of(kind, field) for field in own}


def test_every_variable_that_is_read_anywhere_is_listed() -> None:
    files = subprocess.run(
        ["git", "ls-files", "docker-compose.yml", "Makefile", "deploy", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    read = "\n".join((ROOT / name).read_text(errors="replace") for name in files if (ROOT / name).is_file())
    used = set(re.findall(r"\bESPALIER_[A-Z_]*[A-Z]\b", read))
    assert used - set(re.findall(r"\bESPALIER_[A-Z_]*[A-Z]\b", SETTINGS)) == set()


def test_every_kind_of_error_has_its_heading() -> None:
    text = (DOCS / "errors.md").read_text()
    headings = re.findall(r"^## (\S+)$", text, re.MULTILINE)
    assert headings == [kind.slug for kind in Kind]
    for kind in Kind:
        assert re.search(rf"^## {kind.slug}\n+{kind.status}\. ", text, re.MULTILINE), kind
    assert DOCUMENTATION.endswith("docs/errors.md")


def routes(app: FastAPI) -> set[str]:
    """What an app serves of its own, as `METHOD /path`."""
    shared = ("/healthz", "/readyz")
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return {
        f"{method.upper()} {path}" for path, item in paths.items() for method in item if path not in shared
    }


def test_every_route_and_event_is_in_the_api_page() -> None:
    text = (DOCS / "api.md").read_text()
    apps = [
        create_orchestrator(OrchestratorSettings()),
        *(create(RoleSettings()) for create in (create_planner, create_judge, create_actor)),
        serve(TwinEnvironment(), EnvironmentSettings()),
    ]
    served = {route for app in apps for route in routes(app)}
    assert {route for route in served if f"`{route}`" not in text} == set()
    listed = set(re.findall(r"`((?:GET|POST|DELETE|PUT) /[^`?]*)`", text))
    assert listed - served <= {"GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json"}
    assert {event for event in EventType if f"`{event.value}`" not in text} == set()


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[\w-]*)?\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.fixture
def example(tmp_path: Path) -> ModuleType:
    """The method of docs/adding-a-method.md, as a module."""
    [code] = re.findall(
        r"```python\n(\"\"\"vote.*?)```", (DOCS / "adding-a-method.md").read_text(), re.DOTALL
    )
    path = tmp_path / "vote_example.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("vote_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["vote_example"] = module
    spec.loader.exec_module(module)
    return module


async def test_the_example_method_runs_and_replays(
    bench: Bench, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "vote", example.METHOD)
    outcome = await bench.run("vote", num_branch=3)
    assert outcome.result is not None
    assert (outcome.state, outcome.result.success, outcome.result.steps) == (State.COMPLETED, True, 3)
    assert bench.environment.corridors == {}
    record = await bench.store.record(outcome.id)
    assert record is not None
    assert (await replay_episode(outcome, record, await bench.store.events(outcome.id))).identical

    spent = await bench.run("vote", budget={"model_calls": 2})
    assert spent.result is not None
    assert (spent.result.ended, spent.result.steps) == ("budget", 2)
