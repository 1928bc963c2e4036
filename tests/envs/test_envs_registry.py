"""An environment is one folder and one entry: all that lists environments follows the registry."""

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from envs.registry import GROUP, SHIPPED, Entry, RegistryWarning, list_standalone, load_environments
from envs.serving.settings import EnvironmentSettings
from services.orchestrator.settings import OrchestratorSettings
from services.prompting import load_profile

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRIES = [pytest.param(entry, id=entry.name) for entry in SHIPPED]
STANDALONE = [entry for entry in SHIPPED if entry.standalone]


def test_every_folder_with_a_server_has_its_entry() -> None:
    folders = {f"envs.{path.parent.name}" for path in (ROOT / "envs").glob("*/server.py")} - {"envs.serving"}
    assert {entry.package for entry in SHIPPED} == folders
    for what in ("name", "port"):
        values = [getattr(entry, what) for entry in SHIPPED]
        assert len(set(values)) == len(values), what


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_names_what_its_folder_has(entry: Entry) -> None:
    module, _, factory = entry.factory.partition(":")
    assert callable(getattr(importlib.import_module(module), factory))
    settings = getattr(importlib.import_module(f"{entry.package}.settings"), entry.settings)
    assert issubclass(settings, EnvironmentSettings)
    if entry.expert:
        assert callable(getattr(importlib.import_module(f"{entry.package}.expert"), entry.expert))
    assert set(entry.extras) <= PROJECT["project"]["optional-dependencies"].keys()
    readme = (ROOT / entry.package.replace(".", "/") / "README.md").read_text()
    assert entry.data in readme


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_documentation_has_every_environment(entry: Entry) -> None:
    pages = {path: path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
    folder = f"{entry.package.replace('.', '/')}/README.md"
    linked = [line for text in pages.values() for line in text.split("\n") if folder in line]
    assert linked, f"no page links {folder}"
    assert any(entry.data in line for line in linked)
    assert f"(`{entry.package}.settings.{entry.settings}`)" in pages[ROOT / "docs/settings.md"]


def test_the_page_of_ports_has_every_environment() -> None:
    names = ", ".join(entry.name for entry in STANDALONE)
    ports = [entry.port for entry in STANDALONE]
    assert ports == list(range(ports[0], ports[-1] + 1))
    assert f"| {names} | {ports[0]} to {ports[-1]} |" in (ROOT / "docs/api.md").read_text()


def test_the_orchestrator_looks_where_environments_listen() -> None:
    assert OrchestratorSettings.model_fields["environments"].get_default(call_default_factory=True) == {
        entry.name: f"http://127.0.0.1:{entry.port}" for entry in STANDALONE
    }


def test_the_lists_of_packages_have_every_extra() -> None:
    extras = [extra for entry in SHIPPED for extra in entry.extras]
    setup = (ROOT / "deploy/setup.py").read_text()
    [names] = re.findall(r"names = (\[.*?\])\n", setup)
    assert ast.literal_eval(names) == ["base", *extras]
    for extra in extras:
        assert (ROOT / f"requirements/{extra}.txt").is_file()
        assert f'"{extra}": optional["{extra}"]' in (ROOT / "requirements/freeze.py").read_text()


def test_prompts_leave_out_notes_of_known_environments_only() -> None:
    for profile in ("compact", "paper"):
        for text in load_profile(profile).prompts.values():
            for names in re.findall(r"environment\.name not in (\([^)]*\))", text):
                assert set(ast.literal_eval(names)) <= {entry.name for entry in SHIPPED}
            for name in re.findall(r'environment\.name == "([^"]*)"', text):
                assert name in {entry.name for entry in SHIPPED}


def install(site: Path, name: str, target: str, module: str, code: str) -> None:
    """An installed package with an entry point, as `pip install` leaves it."""
    (site / f"{module}.py").write_text(code)
    about = site / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {target}\n")


ENTRY = """
from envs.registry import Entry
ENTRY = Entry(name={name!r}, package={name!r}, port={port}, about='', settings='S')
"""
SHOW = """
import json
from espalier.serve import FACTORIES, PORTS
from espalier.stack.settings import StackSettings
print(json.dumps([PORTS['chess'], FACTORIES['chess'], StackSettings().start_environments]))
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    load_environments.cache_clear()
    yield tmp_path
    load_environments.cache_clear()
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_an_installed_package_adds_its_environment(site: Path) -> None:
    install(site, "chess", "chess_entry:ENTRY", "chess_entry", ENTRY.format(name="chess", port=8306))
    assert load_environments()["chess"].factory == "chess.server:create"
    assert list_standalone()[-1] == "chess"
    shown = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(shown) == [
        8306,
        "chess.server:create",
        [*(entry.name for entry in STANDALONE), "chess"],
    ]


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("chess", "raise RuntimeError('no board')", "RuntimeError: no board"),
        ("chess", "ENTRY = 'chess'", "is a str"),
        ("chess", ENTRY.format(name="go", port=8306), "its entry is named 'go'"),
        ("webshop", ENTRY.format(name="webshop", port=8306), "there is an environment of this name"),
        ("chess", ENTRY.format(name="chess", port=8201), "alfworld has its port, 8201"),
    ],
)
def test_an_entry_that_cannot_be_used_is_left_out_with_its_reason(
    site: Path, name: str, code: str, reason: str
) -> None:
    install(site, name, f"{name}_entry:ENTRY", f"{name}_entry", code)
    with pytest.warns(RegistryWarning, match=re.escape(reason)):
        found = load_environments()
    assert list(found.values()) == list(SHIPPED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_environments()  # the warning comes once
