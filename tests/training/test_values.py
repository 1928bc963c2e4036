"""States of the actor's own paths are valued by rollouts; one that did better is a run for the actor."""

from pathlib import Path

from fastapi import FastAPI

from services.contracts.action import ActionRequest, Actions, Candidate
from services.contracts.verdict import ValueQuestion
from services.prompting import Renderer, load_profile
from tests.support import served
from training.construct.experts import guide
from training.construct.making import Made
from training.construct.record import Record, read_records
from training.construct.rejections import read_rejections
from training.construct.values import Effort, make_values
from training.sft.examples import spoken

ALL_STATES = Effort(states=20, rollouts=2)


def mislead() -> FastAPI:
    """An actor whose greedy first action is `look`, after which it never does anything else.

    Of its samples at the start one is what the expert does; after that it plays as the expert.
    """
    app = FastAPI()
    steady = guide("alfworld")

    @app.post("/v1/actions")
    async def act(request: ActionRequest) -> Actions:
        context = request.context
        expert = steady(context.observation, context.task, None)
        for turn in context.turns:
            expert.follow(turn.action, turn.observation)
        right = next(expert.play(), "look")
        lost = bool(context.turns) and context.turns[0].action == "look"
        actions = ["look"] if lost or not context.turns else [right]
        if not context.turns and request.n > 1:
            actions = ["look", right]
        return Actions(
            candidates=[Candidate(action=action, thought="So.", well_formed=True) for action in actions]
        )

    return app


async def value(houses: str, out: Path, actor: str, limit: int = 4, effort: Effort = ALL_STATES) -> Made:
    return await make_values(
        "alfworld",
        houses,
        actor,
        "generated_train",
        out,
        print,
        limit=limit,
        seed=0,
        effort=effort,
        concurrency=2,
    )


async def test_what_leads_to_success_is_worth_more_and_is_learned_by_the_actor(
    houses: str, tmp_path: Path
) -> None:
    out = tmp_path / "values.jsonl"
    with served(mislead()) as actor:
        made = await value(houses, out, actor)
        again = await value(houses, out, actor)
    records = list(read_records(out))
    values = [one for one in records if one.kind == "value"]
    runs = [one for one in records if one.kind == "trajectory"]
    assert made.kept > 0
    assert again.there == made.kept + made.rejected.total()
    assert {one.provenance.source for one in records} == {"rollouts"}
    for one in values:
        won = one.context.turns[-1].action != "look"
        assert one.question["own"] is not won
        assert (one.question["share"], one.answer) == ((1.0, "Yes") if won else (0.0, "No"))
        assert len(one.context.turns) == 1, "at later states the samples are the actor's own action"
    assert sum(one.answer == "Yes" for one in values) == len(runs) == made.kept
    for one in runs:
        assert one.reward == 1.0
        assert all(one.taught)
        assert one.context.turns[0].action != "look"


async def test_visited_states_are_worth_how_the_path_ended(houses: str, tmp_path: Path) -> None:
    out = tmp_path / "values.jsonl"
    with served(mislead()) as actor:
        await value(houses, out, actor, limit=2, effort=Effort(states=0, visited=3))
    records = list(read_records(out))
    assert len(records) == 6
    assert {(one.kind, one.answer, one.question["share"], one.question["own"]) for one in records} == {
        ("value", "No", 0.0, True)
    }
    assert len({(one.task_id, len(one.context.turns)) for one in records}) == 6


async def test_an_actor_without_other_candidates_gives_no_values(houses: str, tmp_path: Path) -> None:
    app = FastAPI()

    @app.post("/v1/actions")
    async def act(request: ActionRequest) -> Actions:
        return Actions(candidates=[Candidate(action="look", thought="So.", well_formed=True)])

    out = tmp_path / "values.jsonl"
    with served(app) as actor:
        made = await value(houses, out, actor, limit=2)
    assert (made.kept, made.rejected.total()) == (0, 2)
    assert {one.reason for one in read_rejections(out)} == {"no other candidate"}


def test_a_value_is_learned_as_the_judge_that_serves_gets_it() -> None:
    renderer = Renderer(load_profile("compact"))
    record = Record.model_validate(
        {
            "environment": "house",
            "task_id": "a",
            "kind": "value",
            "context": {
                "environment": {"name": "house"},
                "task": "put a mug on a shelf",
                "observation": "A room.",
                "turns": [{"action": "look", "thought": "so", "observation": "A mug."}],
            },
            "question": {"share": 0.5},
            "answer": "Yes",
            "provenance": {"source": "rollouts"},
        }
    )
    before = record.context.model_copy(update={"turns": []})
    question = ValueQuestion.model_validate(
        {"context": before, "reached": [{"action": "look", "thought": "so", "observation": "A mug."}]}
    )
    [state] = question.states
    learned = spoken(record, renderer)
    assert learned.messages[:-1] == renderer.messages(state, renderer.value(state))
    assert learned.messages[-1] == {"role": "assistant", "content": "Yes"}
    assert learned.learned == [len(learned.messages) - 1]
