"""How good judge and planner are: `python -m evaluation.roles FILE ... --out DIR` compares them with records.

The records are held-out ones, made by `espalier construct experts --derived N`: each holds a question and
its true answer. Writes `roles.json`, and `reliability.png` for the verdicts on subtasks.
"""

import argparse
import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import TypeVar

from pydantic import BaseModel

from espalier.client import AsyncJudge, AsyncPlanner
from evaluation.calibration import Calibration, Judged, calibration
from evaluation.intervals import wilson
from services.contracts.plan import PlanRequest
from services.contracts.verdict import PathQuestion, SelectionQuestion, SubtaskQuestion
from training.construct.record import Kind, Record, read_records

Answer = TypeVar("Answer")
CONCURRENCY = 8
TIMEOUT = 300.0


class Share(BaseModel):
    """How often an answer was right."""

    n: int
    right: float
    ci95: tuple[float, float]
    """Wilson's."""
    by_chance: float | None = None
    """How often a random answer would be."""


class Roles(BaseModel):
    """What was found; a kind of which there was no record is left out."""

    subtask: Calibration | None = None
    path: Calibration | None = None
    selection: Share | None = None
    plan: Share | None = None
    splits: list[str]
    """Where the records are of, `environment/split`."""


async def measure(
    records: Sequence[Record], judge: AsyncJudge, planner: AsyncPlanner, concurrency: int = CONCURRENCY
) -> Roles:
    """Put the questions of records to judge and planner, and compare the answers.

    Args:
        records: Any; trajectories and steps are left out.
        judge: The judge's service.
        planner: The planner's.
        concurrency: Questions at once.

    Raises:
        EspalierError: A service refuses, or is away.
        ValueError: Verdicts of one truth only.
    """
    places = asyncio.Semaphore(concurrency)
    by_kind: dict[Kind, list[Record]] = defaultdict(list)
    for record in records:
        by_kind[record.kind].append(record)

    async def answer(kind: Kind, call: Callable[[Record], Awaitable[Answer]]) -> list[Answer]:
        async def one(record: Record) -> Answer:
            async with places:
                return await call(record)

        return await asyncio.gather(*(one(record) for record in by_kind[kind]))

    async def subtask(record: Record) -> Judged:
        question = SubtaskQuestion.model_validate({"context": record.context, **record.question})
        return Judged((await judge.subtask(question)).p_yes, record.answer == "Yes")

    async def path(record: Record) -> Judged:
        verdict = await judge.path(PathQuestion(paths=[record.context]))
        return Judged(verdict.scores[0], record.answer == "Yes")

    async def selection(record: Record) -> bool:
        question = SelectionQuestion.model_validate({"context": record.context, **record.question})
        return ascii_uppercase[(await judge.selection(question)).index] == record.answer

    async def plan(record: Record) -> bool:
        request = PlanRequest.model_validate({"context": record.context, **record.question})
        return stages((await planner.plan(request)).subtasks) == stages(record.answer.split("\n"))

    options = [1 / len(record.question["options"]) for record in by_kind["selection"]]
    return Roles(
        subtask=_calibration(await answer("subtask", subtask)),
        path=_calibration(await answer("path", path)),
        selection=_share(await answer("selection", selection), sum(options) / max(1, len(options))),
        plan=_share(await answer("plan", plan), None),
        splits=sorted({f"{record.environment}/{record.provenance.split}" for record in records}),
    )


def stages(lines: Sequence[str]) -> list[str]:
    """Subtasks without numbers, blanks and full stops, in lower case: what makes two plans the same."""
    return [line.lstrip("0123456789.) ").strip(" .").lower() for line in lines]


def _calibration(verdicts: Sequence[Judged]) -> Calibration | None:
    return calibration(verdicts) if verdicts else None


def _share(right: Sequence[bool], by_chance: float | None) -> Share | None:
    interval = wilson(sum(right), len(right))
    if interval is None:
        return None
    return Share(n=len(right), right=sum(right) / len(right), ci95=interval, by_chance=by_chance)


def plot(found: Calibration, path: Path) -> None:
    """The reliability plot: how often yes was true, by P(yes)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="lightgrey", linestyle="--")
    axes.plot([one.p_yes for one in found.bins], [one.yes for one in found.bins], marker="o")
    for one in found.bins:
        axes.annotate(str(one.n), (one.p_yes, one.yes), textcoords="offset points", xytext=(6, -10))
    axes.set(
        xlabel="P(yes)",
        ylabel="share of yes",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        title=f"balanced accuracy {found.balanced_accuracy:.3f}\ncalibration error "
        f"{found.calibration_error:.3f}, n = {found.n}",
    )
    figure.savefig(path, dpi=110)


async def _run(records: Sequence[Record], judge: str, planner: str, concurrency: int) -> Roles:
    async with (
        AsyncJudge(judge, timeout=TIMEOUT) as verdicts,
        AsyncPlanner(planner, timeout=TIMEOUT) as plans,
    ):
        return await measure(records, verdicts, plans, concurrency)


def main() -> None:
    """Measure the services that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judge", default="http://127.0.0.1:8002")
    parser.add_argument("--planner", default="http://127.0.0.1:8001")
    parser.add_argument("--limit", type=int, default=1000, help="records of each kind, drawn by a fixed seed")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY)
    options = parser.parse_args()
    by_kind: dict[Kind, list[Record]] = defaultdict(list)
    for record in (record for path in options.files for record in read_records(path)):
        by_kind[record.kind].append(record)
    chosen: list[Record] = []
    for kind in ("plan", "subtask", "selection", "path"):
        held = by_kind[kind]
        chosen += random.Random(kind).sample(held, min(options.limit, len(held)))  # noqa: S311
    found = asyncio.run(_run(chosen, options.judge, options.planner, options.concurrency))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "roles.json").write_text(found.model_dump_json(indent=1) + "\n")
    if found.subtask:
        plot(found.subtask, options.out / "reliability.png")
    print(found.model_dump_json(indent=1, exclude={"subtask": {"bins"}, "path": {"bins"}}))


if __name__ == "__main__":
    main()
