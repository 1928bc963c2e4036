"""Judge and planner measured against what records know."""

from pathlib import Path

import pytest
from fastapi import FastAPI

from espalier.client import AsyncJudge, AsyncPlanner
from evaluation.calibration import Judged, calibration
from evaluation.roles import Roles, measure, plot, stages
from services.contracts.context import Brief, Context
from services.contracts.plan import Plan, PlanRequest
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    Verdict,
)
from tests.support import served
from training.construct.record import Kind, Provenance, Record


def service() -> FastAPI:
    """A judge and planner: sure of `done` subtasks, picks the longest action, likes the task `good`."""
    app = FastAPI()

    @app.post("/v1/verdicts/subtask")
    def subtask(body: SubtaskQuestion) -> Verdict:
        return Verdict(p_yes=0.9 if body.subtask == "done" else 0.2)

    @app.post("/v1/verdicts/selection")
    def selection(body: SelectionQuestion) -> Choice:
        lengths = [len(option.action) for option in body.options]
        return Choice(index=lengths.index(max(lengths)), scores=[1 / len(lengths)] * len(lengths))

    @app.post("/v1/verdicts/path")
    def path(body: PathQuestion) -> PathVerdict:
        return PathVerdict(scores=[0.6 if body.paths[0].task == "good" else 0.4], best=0)

    @app.post("/v1/plans")
    def plan(body: PlanRequest) -> Plan:
        return Plan(subtasks=["Find it.", body.context.task])

    return app


def record(kind: Kind, answer: str, task: str = "good", **question: object) -> Record:
    return Record(
        environment="alfworld",
        task_id="valid/1",
        kind=kind,
        context=Context(environment=Brief(name="alfworld"), task=task),
        question=question,
        answer=answer,
        provenance=Provenance(source="expert", split="valid"),
    )


OPTIONS = [{"action": "look"}, {"action": "go to desk 1"}]
RECORDS = [
    record("subtask", "Yes", subtask="done"),
    record("subtask", "Yes", subtask="begun"),
    record("subtask", "No", subtask="begun"),
    record("subtask", "No", subtask="begun"),
    record("path", "Yes"),
    record("path", "No", "bad"),
    record("selection", "B", options=OPTIONS),
    record("selection", "A", options=OPTIONS),
    record("plan", "1. find it\n2. take it", "take it", num_subtasks=2),
    record("trajectory", ""),
]


async def asked(records: list[Record]) -> Roles:
    with served(service()) as url:
        async with AsyncJudge(url) as judge, AsyncPlanner(url) as planner:
            return await measure(records, judge, planner)


async def test_judge_and_planner_are_asked_what_records_know(tmp_path: Path) -> None:
    found = await asked(RECORDS)
    assert found.splits == ["alfworld/valid"]
    assert found.subtask is not None
    assert (found.subtask.n, found.subtask.balanced_accuracy, found.subtask.always_yes) == (4, 0.75, 0.5)
    assert found.subtask.calibration_error == pytest.approx((1 * 0.1 + 3 * (1 / 3 - 0.2)) / 4)
    assert found.path is not None
    assert found.path.accuracy == 1.0
    assert found.selection is not None
    assert (found.selection.n, found.selection.right, found.selection.by_chance) == (2, 0.5, 0.5)
    assert found.plan is not None
    assert found.plan.right == 1.0
    plot(found.subtask, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


async def test_kinds_without_records_are_left_out() -> None:
    found = await asked([record("plan", "1. find another", num_subtasks=1)])
    assert (found.subtask, found.path, found.selection) == (None, None, None)
    assert found.plan is not None
    assert found.plan.right == 0.0


def test_always_the_same_answer_is_worth_half() -> None:
    found = calibration([Judged(0.99, truth) for truth in [True] * 9 + [False]])
    assert (found.accuracy, found.balanced_accuracy, found.always_yes) == (0.9, 0.5, 0.9)
    assert found.calibration_error == pytest.approx(0.09)
    low, high = found.ci95
    assert low <= 0.5 <= high


def test_verdicts_of_one_truth_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        calibration([Judged(0.5, truth=True)])


def test_plans_are_the_same_but_for_numbers_and_stops() -> None:
    assert stages(["1. Find a cup.", "2) take it"]) == stages(["find a cup", "Take it "])
    assert stages(["find a cup"]) != stages(["find a mug"])
