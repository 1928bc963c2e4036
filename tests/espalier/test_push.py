"""Adapters are pushed to actors over HTTP, seen to answer, and those before them retired."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from espalier import tuning
from espalier.client import Actor, EspalierError
from espalier.stack.embedded import MODEL
from espalier.stack.pinned import list_pinned
from services.actor.api import create as create_actor
from services.contracts.adapter import PinnedAdapters
from services.contracts.card import Card
from services.contracts.episode import Episode, EpisodeCreate, EpisodePage, State
from services.kit.settings import RoleSettings
from services.prompting import load_profile
from services.scripted.api import create_app
from services.scripted.model import ScriptedModel
from tests.espalier.test_adapters import make
from tests.support import free_port, served

OLD, OTHER = "agent@aaaaaaaa", "judge@bbbbbbbb"


@dataclass
class Site:
    """Two actors, each with an engine, and what the orchestrator says is live."""

    engines: list[ScriptedModel]
    actors: list[str]
    orchestrator: str
    pinned: list[str] = field(default_factory=list[str])

    def push(self, *words: object) -> Any:
        actors = [word for url in self.actors for word in ("--actor", url)]
        given = [*map(str, words), *actors, "--url", self.orchestrator]
        return CliRunner().invoke(tuning.adapters, ["push", *given])


def orchestrator(pinned: list[str], *, counts: bool = True) -> FastAPI:
    """An orchestrator with live episodes, one fewer after each look; without `counts` it only lists them."""
    app = FastAPI()

    @app.get("/v1/episodes")
    async def episodes(state: str) -> EpisodePage:
        assert not counts, "the episodes are listed though they are counted"
        if state != "running":
            return EpisodePage(episodes=[])
        live = [
            Episode(
                id=f"ep_{number}",
                state=State.RUNNING,
                request=EpisodeCreate(environment="alfworld", task_id="t", adapter=name),
                adapter=name,
                created_at=0.0,
            )
            for number, name in enumerate(pinned)
        ]
        pinned[:1] = []
        return EpisodePage(episodes=live)

    if counts:

        @app.get("/v1/adapters/pinned")
        async def pinned_adapters() -> PinnedAdapters:
            live = Counter(pinned)
            pinned[:1] = []
            return PinnedAdapters(adapters=dict(live))

    return app


@pytest.mark.parametrize("counts", [True, False])
def test_pinned_adapters_are_counted_by_the_orchestrator_where_it_can(counts: bool) -> None:
    with served(orchestrator([OLD, OLD, OTHER], counts=counts)) as url:
        assert [list_pinned(url) for _ in range(4)] == [{OLD, OTHER}, {OLD, OTHER}, {OTHER}, set()]


def test_pinned_adapters_of_an_orchestrator_that_is_away_are_an_error() -> None:
    with pytest.raises(EspalierError):
        list_pinned(f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as running:
        loaded = {OLD: "/adapters/old", OTHER: "/adapters/judge"}
        engines = [ScriptedModel(name=f"org/{MODEL}", adapters=loaded) for _ in range(2)]
        actors: list[str] = []
        for engine in engines:
            url = running.enter_context(served(create_app(engine)))
            app = create_actor(RoleSettings(model_url=url, prompt_profile="compact"))
            actors.append(running.enter_context(served(app)))
        pinned: list[str] = []
        yield Site(engines, actors, running.enter_context(served(orchestrator(pinned))), pinned)


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return make(tmp_path / "mine", profile=load_profile("compact").id)


def test_every_engine_serves_what_was_pushed(site: Site, card: Card, tmp_path: Path) -> None:
    done = site.push(tmp_path / "mine", "--path", "/adapters/mine")
    assert done.exit_code == 0, done.output
    assert card.name in done.output
    for engine in site.engines:
        assert engine.adapters == {
            OLD: "/adapters/old",
            OTHER: "/adapters/judge",
            card.name: "/adapters/mine",
        }
        chats = [entry.call for entry in engine.log if entry.path == "/v1/chat/completions"]
        assert [call.adapter for call in chats] == [card.name], "it was seen to answer"
    assert site.push(tmp_path / "mine", "--path", "/adapters/mine").exit_code == 0, "again changes nothing"


def test_the_old_are_retired_when_no_episode_uses_them(site: Site, card: Card, tmp_path: Path) -> None:
    site.pinned[:] = [OLD]
    done = site.push(tmp_path / "mine", "--retire")
    assert done.exit_code == 0, done.output
    for engine in site.engines:
        assert set(engine.adapters) == {OTHER, card.name}
    assert "no longer serves" in done.output


def test_one_that_is_in_use_stays(site: Site, card: Card, tmp_path: Path) -> None:
    site.pinned[:] = [OLD] * 20
    done = site.push(tmp_path / "mine", "--retire", "--patience", "0")
    assert done.exit_code == 0, done.output
    assert f"still serves {OLD}" in done.output
    assert OLD in site.engines[0].adapters


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"base": "Llama-2-7b"}, "an adapter of Llama-2-7b"),
        ({"profile": "paper@0123456789ab"}, "ESPALIER_PROMPT_PROFILE=paper"),
    ],
)
def test_what_does_not_fit_is_refused(
    site: Site, tmp_path: Path, changes: dict[str, str], found: str
) -> None:
    make(tmp_path / "mine", b"weights", **{"profile": load_profile("compact").id, **changes})
    done = site.push(tmp_path / "mine")
    assert done.exit_code == 1
    assert found in done.output
    assert set(site.engines[0].adapters) == {OLD, OTHER}


def test_an_engine_that_cannot_take_it_is_told(site: Site, card: Card, tmp_path: Path) -> None:
    site.engines[0].fail(path="/v1/load_lora_adapter", status=400)
    done = site.push(tmp_path / "mine")
    assert done.exit_code == 1
    assert "did not load" in done.output
    site.actors[:] = [f"http://127.0.0.1:{free_port()}"]
    away = site.push(tmp_path / "mine")
    assert away.exit_code == 1
    assert "does not answer" in away.output
    assert card.name not in site.engines[1].adapters


def test_a_merged_engine_takes_none(site: Site, card: Card, tmp_path: Path) -> None:
    with served(create_app(site.engines[0])) as engine:
        settings = RoleSettings(model_url=engine, prompt_profile="compact", merged_adapter=OLD)
        with served(create_actor(settings)) as url, Actor(url) as actor:
            site.actors[:] = [url]
            done = site.push(tmp_path / "mine")
            assert done.exit_code == 1
            assert "an adapter merged into its weights" in done.output
            with pytest.raises(EspalierError, match="merged"):
                actor.unload(OLD)
            with pytest.raises(EspalierError, match="serves no adapter"):
                actor.unload("agent@cccccccc")
    assert card.name not in site.engines[0].adapters
