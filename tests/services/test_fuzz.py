"""Requests that schemathesis makes of each part's OpenAPI: seeded, bounded, against real servers."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from envs.serving.server import serve as serve_environment
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from services.actor.api import create as create_actor
from services.judge.api import create as create_judge
from services.kit.settings import RoleSettings
from services.orchestrator.api import create as create_orchestrator
from services.orchestrator.settings import OrchestratorSettings
from services.planner.api import create as create_planner
from services.scripted.api import create_app as create_model
from services.scripted.model import ScriptedModel
from tests.support import served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
PARTS = ("planner", "judge", "actor", "environment", "orchestrator")
BOUNDED = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=UNHURRIED,
)
"""The same few requests of each operation in every run."""


@pytest.fixture(scope="module")
def addresses(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home: Path = tmp_path_factory.mktemp("fuzzed")
    with ExitStack() as running:
        engine = running.enter_context(served(create_model(ScriptedModel())))
        roles = RoleSettings(model_url=engine)
        found = {
            "planner": running.enter_context(served(create_planner(roles))),
            "judge": running.enter_context(served(create_judge(roles))),
            "actor": running.enter_context(served(create_actor(roles))),
            "environment": running.enter_context(
                served(serve_environment(TwinEnvironment(), EnvironmentSettings(home=home)))
            ),
        }
        options: dict[str, Any] = {
            "redis_url": valkey,
            **{f"{role}_url": found[role] for role in ("planner", "judge", "actor")},
            "environments": {"twin": found["environment"]},
        }
        found["orchestrator"] = running.enter_context(
            served(create_orchestrator(OrchestratorSettings(**options)))
        )
        yield found
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_answers_what_it_declares(addresses: dict[str, str], part: str) -> None:
    schema = schemathesis.openapi.from_url(f"{addresses[part]}/openapi.json")
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # pyright: ignore[reportAttributeAccessIssue]
    assert operations
    for operation in operations:
        if operation.path.endswith("/events"):  # it does not end while an episode lives
            continue
        if operation.path == "/v1/drain":  # sessions are refused after it, as a 503
            continue

        @BOUNDED
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS, timeout=60)

        check()
