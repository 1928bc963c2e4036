"""Tenants over the API: whose key it is, 429 with Retry-After, and clients and evaluations that honour it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from espalier.client import Espalier, EspalierError
from evaluation.run import run_split
from services.contracts.episode import EpisodeCreate, State
from services.orchestrator.api import create as create_orchestrator
from services.orchestrator.settings import OrchestratorSettings
from tests.integration.conftest import Stack
from tests.support import served

TASK = {"environment": "twin", "task_id": "corridors/2", "method": "react"}
LIMITS = {"small": {"episodes": 1}, "spender": {"tokens_per_minute": 1_000_000}}


@pytest.fixture(scope="module")
def door(stack: Stack) -> Iterator[str]:
    """An orchestrator with keys and limits beside the stack's own."""
    given = stack.worker_environment
    names = ("redis_url", "planner_url", "judge_url", "actor_url")
    settings: dict[str, Any] = {name: given[f"ESPALIER_{name.upper()}"] for name in names}
    settings |= {"environments": json.loads(given["ESPALIER_ENVIRONMENTS"]), "tenant_limits": LIMITS}
    keys = SecretStr("small=one,small=two,spender=three,plain")
    with served(create_orchestrator(OrchestratorSettings(**settings, api_keys=keys))) as url:
        yield url


def post(door: str, key: str) -> httpx.Response:
    return httpx.post(
        f"{door}/v1/episodes", json=TASK, headers={"authorization": f"Bearer {key}"}, timeout=60
    )


def test_a_tenant_at_its_limit_is_answered_429_and_others_are_not(door: str) -> None:
    assert post(door, "small=one").status_code == 401
    first = post(door, "one")
    assert first.status_code == 202
    refused = post(door, "two")
    assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["type"].endswith("#too-many")
    for part in ("small", "1 episodes", "may have 1", "ESPALIER_TENANT_LIMITS"):
        assert part in refused.json()["detail"]
    others = [post(door, key) for key in ("three", "plain", "plain")]
    assert [answer.status_code for answer in others] == [202] * 3
    counted = 'espalier_rejected_total{reason="tenant_episodes",tenant="small"} 1.0'
    assert counted in httpx.get(f"{door}/metrics").text
    with Espalier(door, api_key="one", patience=0) as client:
        with pytest.raises(EspalierError) as error:
            client.create(EpisodeCreate.model_validate(TASK))
        assert error.value.problem.status == 429
        assert error.value.retry_after is not None
        for answer in (first, *others):
            client.cancel(answer.json()["id"])


async def test_an_evaluation_goes_on_at_a_limit(
    door: str, worker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPALIER_API_KEYS", "small=one,plain")
    monkeypatch.setattr("services.orchestrator.api.admission.FULL_WAIT", 1.0)
    body = EpisodeCreate.model_construct(environment="twin", method="react")
    found = await run_split(body, split="corridors", out=tmp_path, limit=3, concurrency=3, url=door)
    assert [episode.state for episode in found] == [State.COMPLETED] * 3
    assert len((tmp_path / "episodes.jsonl").read_text().splitlines()) == 3
    async with httpx.AsyncClient() as client:
        shown = (await client.get(f"{door}/metrics")).text
    count = shown.partition('espalier_rejected_total{reason="tenant_episodes",tenant="small"} ')[2]
    assert float(count.split("\n")[0]) > 2, "the limit was met"
