"""Experts play real environments; planner's and judge's records are made out of what they did."""

import re
from pathlib import Path

import pytest

from espalier.client import EspalierError
from services.contracts.context import Turn
from services.prompting import parse_plan
from tests.support import free_port
from tests.training.support import SOLVED, record, turn
from training.construct import collect as collecting
from training.construct.cards import DataCard, card_file
from training.construct.collect import Collected, collect
from training.construct.derive import KINDS, plans, subtask_steps, subtask_verdicts
from training.construct.experts import Move, Play, UnknownEnvironmentError, player, players
from training.construct.record import Record, append_records, read_records
from training.construct.rejections import read_rejections
from training.construct.stages import Stage, plan_of, stages

SPLIT = "generated_train"


async def played_to(out: Path, url: str, limit: int, derived: int = 0) -> Collected:
    return await collect("alfworld", url, SPLIT, out, print, limit=limit, derived=derived)


def kinds(out: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in read_records(out):
        found[one.kind] = found.get(one.kind, 0) + 1
    return found


def derived_tasks(out: Path) -> dict[str, int]:
    """Of how many tasks there are records of each derived kind."""
    return {kind: len({one.task_id for one in read_records(out) if one.kind == kind}) for kind in KINDS}


def test_what_an_expert_did_is_a_record(played: Path, trajectories: list[Record]) -> None:
    assert kinds(played) == {
        "trajectory": 10,
        "plan": 6,
        "subtask": 12,
        "step": 6,
        "selection": 18,
        "path": 12,
    }
    assert len({one.task_id for one in trajectories}) == 10
    for one in trajectories:
        assert (one.environment, one.reward, one.done) == ("alfworld", 1.0, True)
        assert (one.provenance.source, one.provenance.split) == ("expert", SPLIT)
        assert len(one.valid) == len(one.context.turns)
        assert all(turn.thought for turn in one.context.turns)
        assert one.context.environment.actions
        assert one.context.task in one.context.observation


async def test_the_same_command_makes_nothing_twice(houses: str, tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    first = await played_to(out, houses, 3, derived=2)
    assert (first.played, first.kept) == (3, 3)
    assert derived_tasks(out) == {"plan": 2, "subtask": 2, "step": 2, "selection": 2, "path": 2}
    before = out.read_bytes()
    again = await played_to(out, houses, 3, derived=2)
    assert (again.played, again.kept, again.derived) == (0, 0, 0)
    assert out.read_bytes() == before
    more = await played_to(out, houses, 5, derived=3)
    assert (more.played, more.kept) == (2, 2)
    assert derived_tasks(out) == {"plan": 3, "subtask": 3, "step": 3, "selection": 3, "path": 3}
    ids = [one.id for one in read_records(out)]
    assert len(ids) == len(set(ids))


async def test_a_run_that_was_killed_goes_on(houses: str, tmp_path: Path) -> None:
    """Killed before anything was derived, in the middle of a line."""
    out = tmp_path / "runs.jsonl"
    await played_to(out, houses, 4, derived=2)
    lines = [line for line in out.read_bytes().splitlines(keepends=True) if b'"kind"' not in line]
    out.write_bytes(b"".join(lines[:3]) + lines[3][:200])
    again = await played_to(out, houses, 4, derived=2)
    assert (again.played, again.kept) == (1, 1)
    assert kinds(out)["trajectory"] == 4
    assert derived_tasks(out) == {"plan": 2, "subtask": 2, "step": 2, "selection": 2, "path": 2}


async def test_what_fails_is_rejected_once(
    houses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_up(seen: str, task: str, reference: object) -> Play:
        yield Move("I look.", "look")

    def does_not_know(seen: str, task: str, reference: object) -> Play:
        raise ValueError("never heard of it")
        yield

    out = tmp_path / "runs.jsonl"
    monkeypatch.setattr(collecting, "player", lambda name: gives_up)
    found = await played_to(out, houses, 2, derived=2)
    assert (found.played, found.kept, found.derived) == (2, 0, 0)
    monkeypatch.setattr(collecting, "player", lambda name: does_not_know)
    found = await played_to(out, houses, 3)
    assert (found.played, found.unknown) == (1, 1)
    reasons = [one.reason for one in read_rejections(out)]
    assert reasons == ["reward below 0.99"] * 2 + ["does not know this kind of task"]
    card = DataCard.model_validate_json(card_file(out).read_text())
    assert (card.records, card.rejected["expert: reward below 0.99"]) == (0, 2)
    assert (await played_to(out, houses, 3)).played == 0


async def test_what_is_not_there_is_told(houses: str, tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    with pytest.raises(UnknownEnvironmentError, match="there are: alfworld"):
        await collect("kitchen", houses, SPLIT, out, print, limit=1)
    with pytest.raises(EspalierError, match="no split"):
        await collect("alfworld", houses, "no_such", out, print, limit=1)
    with pytest.raises(EspalierError):
        await collect("alfworld", f"http://127.0.0.1:{free_port()}", SPLIT, out, print, limit=1)


def test_every_environment_has_an_expert() -> None:
    assert set(players()) == {"alfworld", "webshop", "mind2web", "os_interaction", "dbbench"}
    assert player("dbbench") is not None


# Stages

PICKED = re.compile(r"You pick up the")


def test_stages_of_a_run() -> None:
    assert stages(record(*SOLVED)) == [
        Stage("find a mug", 1),
        Stage("take the mug", 2),
        Stage("put the mug in shelf", 4),
    ]
    assert plan_of(record(*SOLVED)) == ["find a mug", "take the mug", "put the mug in shelf"]


@pytest.mark.parametrize(
    ("task", "turns", "expected"),
    [
        (
            "clean some mug and put it in shelf.",
            [*SOLVED[:2], turn("clean", "You clean the mug 1 using the sink 1."), *SOLVED[2:]],
            [("find a mug and take it", 2), ("clean the mug", 3), ("put the mug in shelf", 5)],
        ),
        (
            "look at mug under the desklamp.",
            [*SOLVED[:2], turn("use desklamp 1", "You turn on the desklamp 1.")],
            [("find a mug", 1), ("take the mug", 2), ("use the desklamp", 3)],
        ),
        (
            "find two mug and put them in shelf.",
            [*SOLVED, *SOLVED],
            [
                ("find a mug and take it", 2),
                ("put the mug in shelf", 4),
                ("find another mug, take it and put it in shelf", 8),
            ],
        ),
        ("put some mug in shelf.", [SOLVED[0]], None),
        ("put some mug in shelf.", SOLVED[1:], None),
        ("clean some mug and put it in shelf.", SOLVED, None),
        ("dance.", SOLVED, None),
    ],
)
def test_stages_by_the_goal(task: str, turns: list[Turn], expected: list[tuple[str, int]] | None) -> None:
    found = stages(record(*turns, task=task))
    assert (found and [(stage.subtask, stage.done_after) for stage in found]) == expected


def test_stages_in_the_shop() -> None:
    bought = [turn("search[mug]"), turn("click[b1]"), turn("click[red]"), turn("click[buy now]")]
    found = stages(record(*bought, environment="webshop"))
    assert found
    assert [stage.done_after for stage in found] == [1, 3, 4]
    assert stages(record(*bought, environment="webshop", done=False)) is None
    assert stages(record(*bought[:2], environment="webshop")) is None
    assert stages(record(*bought, environment="dbbench")) is None


def made(played: Path, kind: str) -> list[Record]:
    return [one for one in read_records(played) if one.kind == kind]


def test_plans_are_asked_before_anything_is_done(played: Path) -> None:
    for one in made(played, "plan"):
        assert one.context.turns == []
        assert one.question == {"num_subtasks": 3}
        assert parse_plan(one.answer, 3)
        assert one.role == "planner"


def test_verdicts_are_true(played: Path, trajectories: list[Record]) -> None:
    """Seen from the run alone: the thing is in hand, or it is not."""
    runs = {one.task_id: one for one in trajectories}
    verdicts = made(played, "subtask")
    answers = [one.answer for one in verdicts]
    assert set(answers) == {"Yes", "No"}
    assert answers.count("Yes") == answers.count("No") == 6
    taking = 0
    for one in verdicts:
        run, count = runs[one.task_id], len(one.context.turns)
        assert one.context.turns == run.context.turns[:count]
        assert one.context.plan == plan_of(run)
        assert one.question["subtask"] in one.context.plan
        if re.fullmatch(r"(take the \w+|find a \w+ and take it)", one.question["subtask"]):
            taking += 1
            in_hand = any(PICKED.match(step.observation) for step in one.context.turns)
            assert one.answer == ("Yes" if in_hand else "No")
        if one.question["subtask"] == one.context.plan[-1]:
            assert one.answer == ("Yes" if count == len(run.context.turns) else "No")
            taking += 1
    assert taking, "the sample holds verdicts that the run alone can tell"


@pytest.mark.parametrize("seed", range(5))
def test_no_is_said_before_a_subtask_is_done(trajectories: list[Record], seed: int) -> None:
    runs = {one.task_id: stages(one) or [] for one in trajectories}
    for one in subtask_verdicts(trajectories, 20, seed):
        [done] = [stage.done_after for stage in runs[one.task_id] if stage.subtask == one.question["subtask"]]
        assert one.answer == ("Yes" if len(one.context.turns) == done else "No")
        assert len(one.context.turns) <= done


def test_steps_are_of_the_run_and_know_their_subtask(played: Path, trajectories: list[Record]) -> None:
    runs = {one.task_id: one for one in trajectories}
    for one in made(played, "step"):
        run, count = runs[one.task_id], len(one.context.turns)
        assert one.context.turns == run.context.turns[:count]
        found = stages(run)
        assert found
        begun = [stage.subtask for stage in found if stage.done_after >= count]
        assert one.question["subtask"] == (begun[0] if begun else found[-1].subtask)


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 50])
def test_no_more_is_derived_than_asked(trajectories: list[Record], limit: int) -> None:
    assert len(list(plans(trajectories, limit, 0))) == min(limit, 10)
    assert len(list(subtask_steps(trajectories, limit, 0))) == min(limit, 10)
    assert len(list(subtask_verdicts(trajectories, 2 * limit, 0))) <= 2 * min(limit, 10)


def test_what_is_derived_depends_on_the_seed_alone(trajectories: list[Record]) -> None:
    def ids(seed: int) -> list[str]:
        return [one.id for one in subtask_verdicts(trajectories, 8, seed)]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


async def test_one_file_holds_several_environments(houses: str, tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    taken = await played_to(tmp_path / "first.jsonl", houses, 1)
    assert taken.kept == 1
    [one] = read_records(tmp_path / "first.jsonl")
    append_records(out, [one.model_copy(update={"environment": "dbbench"})])
    assert (await played_to(out, houses, 1)).kept == 1
