"""The parts that run in containers, as the code has them: compose and Kubernetes are checked against it."""

import importlib
from collections.abc import Mapping

import pytest
from pydantic_settings import BaseSettings

from envs.registry import SHIPPED
from services.kit.settings import RoleSettings
from services.orchestrator.settings import OrchestratorSettings
from services.roles import registry
from services.router.settings import RouterSettings
from services.scripted.settings import ScriptedSettings

ENVIRONMENTS = {entry.name: entry for entry in SHIPPED if entry.standalone}
ROLES = {role.name: role.port for role in registry.ROLES.values()}
SETTINGS: dict[str, type[BaseSettings]] = {
    **dict.fromkeys(ROLES, RoleSettings),
    **{
        name: getattr(importlib.import_module(f"{entry.package}.settings"), entry.settings)
        for name, entry in ENVIRONMENTS.items()
    },
    "orchestrator": OrchestratorSettings,
    "worker": OrchestratorSettings,
    "router": RouterSettings,
    "scripted-model": ScriptedSettings,
}


def read_settings(part: str, given: Mapping[str, str]) -> BaseSettings:
    """Return a part's settings from its variables; fail for one that the part does not read or take."""
    settings = SETTINGS[part]
    known = {f"ESPALIER_{field}".upper() for field in settings.model_fields}
    assert given.keys() <= known, f"{part}: {given.keys() - known}"
    with pytest.MonkeyPatch.context() as patch:
        for key, value in given.items():
            patch.setenv(key, str(value))
        return settings()
