"""The default script under the prompts that Espalier really sends: each role service understands it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import services.actor.api as actor_api
import services.judge.api as judge_api
import services.planner.api as planner_api
from envs.alfworld import actions
from services.kit.settings import RoleSettings
from services.scripted.api import serving
from services.scripted.model import ScriptedModel

CONTEXT = {
    "environment": {"name": "alfworld", "description": actions.DESCRIPTION, "actions": actions.LANGUAGE},
    "task": "put a pencil on shelf",
    "observation": (
        "You are in the middle of a room. Looking quickly around you, you see a desk 1, a drawer 1, "
        "a drawer 2, and a shelf 1."
    ),
}
PLAN = ["find a pencil", "take the pencil", "put the pencil on a shelf"]
TURNS = [
    {
        "thought": "look there",
        "action": "go to desk 1",
        "observation": "You arrive at desk 1. On the desk 1, you see a pencil 3, and a mug 1.",
    }
]
Ask = Callable[..., dict[str, Any]]
Create = Callable[[RoleSettings], FastAPI]


@pytest.fixture
def settings() -> Iterator[RoleSettings]:
    with serving(ScriptedModel()) as url:
        yield RoleSettings(model_url=url)


def _asking(create: Create, settings: RoleSettings) -> Ask:
    def ask(path: str, **body: Any) -> dict[str, Any]:
        with TestClient(create(settings)) as client:
            answer = client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

    return ask


def test_plans_are_read_at_once(settings: RoleSettings) -> None:
    ask = _asking(planner_api.create, settings)
    for k in (1, 3, 5):
        plan = ask("/v1/plans", context=CONTEXT, num_subtasks=k)
        assert plan["origin"] == "model"
        assert len(plan["subtasks"]) == k


@pytest.mark.parametrize("form", ["io", "cot", "react"])
@pytest.mark.parametrize("grammar", [False, True])
@pytest.mark.parametrize("turns", [[], TURNS])
def test_actions_are_well_formed_and_differ(
    settings: RoleSettings, form: str, grammar: bool, turns: list[dict[str, str]]
) -> None:
    ask = _asking(actor_api.create, settings)
    context = {**CONTEXT, "plan": PLAN, "turns": turns}
    found = ask("/v1/actions", context=context, form=form, n=4, grammar=grammar, subtask=PLAN[0])
    candidates = found["candidates"]
    assert len(candidates) == 4
    assert all(candidate["well_formed"] for candidate in candidates)
    verbs = ("go to ", "take ", "open ", "examine ", "look", "inventory")
    assert all(candidate["action"].startswith(verbs) for candidate in candidates)
    assert all(candidate["logprob"] < 0 for candidate in candidates)


def test_verdicts(settings: RoleSettings) -> None:
    ask = _asking(judge_api.create, settings)
    context = {**CONTEXT, "plan": PLAN}
    said = [
        ask("/v1/verdicts/subtask", context={**context, "turns": TURNS * turns}, subtask=PLAN[0])["p_yes"]
        for turns in range(12)
    ]
    assert min(said) < 0.5 < max(said)
    assert ask("/v1/verdicts/subtask", context=context, subtask=PLAN[0])["p_yes"] == said[0]

    options = [{"action": action} for action in ("look", "go to desk 1")]
    choice = ask("/v1/verdicts/selection", context=context, options=options, subtask=PLAN[0])
    assert len(set(choice["scores"])) == 2
    assert sum(choice["scores"]) == pytest.approx(1)
    assert choice["index"] == choice["scores"].index(max(choice["scores"]))

    ended = [{**context, "turns": TURNS}, {**context, "turns": TURNS * 2}]
    assert 0 < ask("/v1/verdicts/path", paths=ended[:1])["scores"][0] < 1
    assert len(set(ask("/v1/verdicts/path", paths=ended)["scores"])) == 2
