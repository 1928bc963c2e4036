"""Tasks of a client's own, as clients get them wrong: a field's error, never a bug."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from envs.dbbench.environment import DbEnvironment
from envs.dbbench.settings import DbSettings
from envs.os_interaction.environment import OsEnvironment
from envs.os_interaction.settings import OsSettings
from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from tests.support import running

UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = {
    "twin": ["length"],
    "dbbench": ["table", "label", "type", "sql", "answer_md5", "evidence", "columns", "rows"],
    "os_interaction": ["create", "start", "evaluation", "match", "check", "example", "init", "local"],
}
BOUNDED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=UNHURRIED,
)
GOOD: dict[str, dict[str, Any]] = {
    "twin": {"length": 2},
    "dbbench": {
        "type": "other",
        "label": ["1"],
        "table": {
            "table_name": "t",
            "table_info": {"columns": [{"name": "a", "type": "TEXT"}], "rows": [["1"]]},
        },
    },
    "os_interaction": {"evaluation": {"match": "1"}},
}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    home: Path = tmp_path_factory.mktemp("home")
    tables = DbSettings(home=home, dbbench_generated=5)
    machines = OsSettings(home=home, os_generated=5)
    apps: dict[str, FastAPI] = {
        "twin": serve(TwinEnvironment(), EnvironmentSettings(home=home)),
        "dbbench": serve(DbEnvironment(tables), tables),
        "os_interaction": serve(OsEnvironment(machines), machines),
    }
    with ExitStack() as stack:
        yield {name: stack.enter_context(running(app)) for name, app in apps.items()}


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a value."""
    found = [prefix] if prefix else []
    if isinstance(value, dict):
        items: Any = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        found += paths(inner, (*prefix, name))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a value in which one place holds something else."""
    if not path:
        return new
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    changed = [(name, replaced(inner, path[1:], new) if name == path[0] else inner) for name, inner in items]
    return dict(changed) if isinstance(value, dict) else [inner for _, inner in changed]


@pytest.mark.parametrize("name", GOOD)
def test_an_inline_task_that_is_wrong_is_a_fields_error(clients: dict[str, httpx.Client], name: str) -> None:
    client = clients[name]

    def post(data: Any) -> int:
        answer = client.post("/v1/sessions", json={"task": {"instruction": "do", "data": data}})
        if answer.status_code == 201:
            client.delete(f"/v1/sessions/{answer.json()['session_id']}")
        assert answer.status_code in (201, 400, 422), (data, answer.text)
        return answer.status_code

    assert post(GOOD[name]) == 201

    @BOUNDED
    @given(data=st.dictionaries(st.sampled_from(NAMES[name]), VALUES, max_size=4))
    def wrong(data: dict[str, Any]) -> None:
        post(data)

    @BOUNDED
    @given(path=st.sampled_from(paths(GOOD[name])), new=VALUES)
    def nearly(path: tuple[Any, ...], new: Any) -> None:
        post(replaced(GOOD[name], path, new))

    wrong()
    nearly()
