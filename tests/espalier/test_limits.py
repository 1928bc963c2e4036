"""Clients and evaluations at a limit: 429 with `Retry-After` is waited for, within a time."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from espalier.client import Espalier, EspalierError
from espalier.client.errors import read_retry_after
from evaluation import run
from services.contracts.episode import Episode, EpisodeCreate, State
from services.contracts.problem import PROBLEM_MEDIA_TYPE
from tests.support import served

EPISODE = "ep_01m8rwvhhm6341kq9fhteke5m9"


class Orchestrator:
    """As much of an orchestrator as an evaluation needs; it refuses as often as a test says."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.refusals = 0
        self.retry_after: str | None = "0"
        self.status = 429
        self.calls = 0
        self.body = EpisodeCreate(environment="twin", task_id="a")
        self.app.post("/v1/episodes", status_code=202)(self.create)
        self.app.get("/v1/episodes/{episode}")(self.get)
        self.app.get("/v1/environments/twin/tasks")(self.tasks)

    def reset(self, refusals: int, retry_after: str | None = "0", status: int = 429) -> None:
        self.refusals, self.retry_after, self.status, self.calls = refusals, retry_after, status, 0

    async def create(self, request: Request) -> Response:
        self.calls += 1
        if self.calls <= self.refusals:
            problem = {"type": "x#too-many", "title": "A limit is reached", "status": self.status}
            headers = {} if self.retry_after is None else {"retry-after": self.retry_after}
            return Response(json.dumps(problem), self.status, headers, PROBLEM_MEDIA_TYPE)
        self.body = EpisodeCreate.model_validate_json(await request.body())
        return Response(self.episode().model_dump_json(), 202, media_type="application/json")

    async def get(self, episode: str) -> Response:
        return Response(self.episode().model_dump_json(), media_type="application/json")

    async def tasks(self) -> dict[str, object]:
        return {"tasks": [{"id": "a", "split": "all", "instruction": "go"}], "next": None}

    def episode(self) -> Episode:
        return Episode(id=EPISODE, state=State.COMPLETED, request=self.body, created_at=1.0, ended_at=2.0)


@pytest.fixture(scope="module")
def orchestrator() -> Orchestrator:
    return Orchestrator()


@pytest.fixture(scope="module")
def url(orchestrator: Orchestrator) -> Iterator[str]:
    with served(orchestrator.app) as address:
        yield address


BODY = EpisodeCreate(environment="twin", task_id="a")


def test_a_client_waits_and_sends_the_call_again(orchestrator: Orchestrator, url: str) -> None:
    orchestrator.reset(50)
    with Espalier(url) as client:
        assert client.create(BODY).id == EPISODE
    assert orchestrator.calls == 51


@pytest.mark.parametrize(("retry_after", "expected"), [("30", 30.0), (None, None), ("soon", None)])
def test_a_wait_that_is_too_long_or_unknown_raises_at_once(
    orchestrator: Orchestrator, url: str, retry_after: str | None, expected: float | None
) -> None:
    orchestrator.reset(50, retry_after)
    with Espalier(url, patience=5) as client, pytest.raises(EspalierError) as refused:
        client.create(BODY)
    assert (refused.value.problem.status, refused.value.retry_after) == (429, expected)
    assert orchestrator.calls == 1


@pytest.mark.parametrize("text", ["", "-1", "1.5", "²", "9" * 40, "Fri, 31 Dec 1999 23:59:59 GMT"])
def test_what_is_no_number_of_seconds_is_no_wait(text: str) -> None:
    assert read_retry_after(httpx.Response(429, headers=[(b"retry-after", text.encode())])) is None


async def evaluate(url: str, out: Path) -> list[Episode]:
    body = EpisodeCreate.model_construct(environment="twin", method="react")
    return await run.run_split(body, split="all", out=out, limit=None, concurrency=2, url=url)


@pytest.mark.parametrize(("status", "retry_after"), [(429, "0"), (503, "0"), (429, None), (503, None)])
async def test_an_evaluation_counts_time_and_not_tries(
    orchestrator: Orchestrator,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    retry_after: str | None,
) -> None:
    monkeypatch.setattr(run, "OUTAGE_PAUSE", 0.0)
    orchestrator.reset(60, retry_after, status)
    [episode] = await evaluate(url, tmp_path)
    assert (episode.state, episode.request.task_id) == (State.COMPLETED, "a")
    assert orchestrator.calls == 61
    assert len((tmp_path / "episodes.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(("status", "bound"), [(429, "BUSY_PATIENCE"), (503, "OUTAGE_PATIENCE")])
async def test_an_evaluation_ends_when_its_patience_does(
    orchestrator: Orchestrator,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    bound: str,
) -> None:
    monkeypatch.setattr(run, bound, 0.0)
    orchestrator.reset(1_000_000, "1", status)
    with pytest.raises(EspalierError):
        await evaluate(url, tmp_path)
