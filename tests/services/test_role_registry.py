"""A role is one folder and one entry: all that lists roles follows the registry."""

import importlib
from pathlib import Path
from typing import get_args

import pytest

from espalier.serve import FACTORIES, PORTS
from espalier.stack.settings import StackSettings
from services.kit.settings import RoleSettings
from services.orchestrator.settings import OrchestratorSettings
from services.roles.registry import ROLES, Role
from training.construct.record import Role as LearnedRole

SERVICES = Path(__file__).parents[2] / "services"
ENTRIES = [pytest.param(role, id=role.name) for role in ROLES.values()]


@pytest.mark.parametrize("role", ENTRIES)
def test_an_entry_names_what_its_folder_has(role: Role) -> None:
    module, _, factory = role.factory.partition(":")
    assert callable(getattr(importlib.import_module(module), factory))
    assert (PORTS[role.name], FACTORIES[role.name]) == (role.port, role.factory)


def test_every_folder_of_a_role_has_its_entry() -> None:
    folders = {path.parent.name for path in SERVICES.glob("*/api.py") if "create_role" in path.read_text()}
    assert folders == ROLES.keys()


@pytest.mark.parametrize("role", ENTRIES)
def test_settings_have_its_addresses(role: Role) -> None:
    assert OrchestratorSettings.model_fields[f"{role.name}_url"].default == f"http://127.0.0.1:{role.port}"
    for settings in (RoleSettings, StackSettings):
        assert settings.model_fields[f"{role.name}_model_url"].default == ""


def test_every_role_can_be_learned() -> None:
    assert set(get_args(LearnedRole)) == ROLES.keys()
