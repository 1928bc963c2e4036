"""Planner's, judge's and subtask records out of solved runs."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from services.contracts.context import Context, TriedPath, Turn
from training.construct.record import Kind, Record, append_records, read_records
from training.construct.stages import Stage, stages
from training.construct.stumbling import mistakes

Derive = Callable[[Sequence[Record], int, int], Iterator[Record]]
TRIED = 0.3
"""The share of subtask records with a path that was tried before."""
OPTIONS = (2, 3, 4)
"""How many candidates a selection has."""
MOMENTS = 3
"""Steps of a run at most that a selection is made of: each teaches one token."""


def plans(records: Sequence[Record], limit: int, seed: int) -> Iterator[Record]:
    """Return the planner's record at the start of a task."""
    for record, found in _staged(records, limit, seed):
        text = "\n".join(f"{number}. {stage.subtask}" for number, stage in enumerate(found, 1))
        context = record.context.model_copy(update={"turns": []})
        yield _made(record, "plan", context, {"num_subtasks": len(found)}, text)


def subtask_verdicts(records: Sequence[Record], limit: int, seed: int) -> Iterator[Record]:
    """Return the judge's records of a subtask: Yes where it is done, No before; as many of each."""
    draw = random.Random(f"verdicts/{seed}")  # noqa: S311
    for record, found in _staged(records, (limit + 1) // 2, seed):
        plan = [stage.subtask for stage in found]
        place = draw.randrange(len(found))
        begun = found[place - 1].done_after if place else 0
        done = found[place].done_after
        questions = [(done, found[place], "Yes")]
        if done - 1 > begun:
            # Just before it is done is the hardest moment.
            before = done - 1 if draw.random() < 0.5 else draw.randint(begun + 1, done - 1)
            questions.append((before, found[place], "No"))
        elif place + 1 < len(found) and found[place + 1].done_after > done:
            questions.append((done, found[place + 1], "No"))
        for after, stage, answer in questions:
            yield _made(record, "subtask", _until(record, after, plan), {"subtask": stage.subtask}, answer)


def subtask_steps(records: Sequence[Record], limit: int, seed: int) -> Iterator[Record]:
    """What the actor should do in a subtask: the step taken then; sometimes a path was tried before."""
    draw = random.Random(f"steps/{seed}")  # noqa: S311
    for record, found in _staged(records, limit, seed):
        at = draw.choice(_good(record))
        stage = next((stage for stage in found if stage.done_after > at), found[-1])
        plan = [one.subtask for one in found]
        context = _until(record, at + 1, plan)
        if draw.random() < TRIED:
            actions = [turn.action for turn in record.context.turns[: draw.randint(at, at + 3)]]
            wrong = [*actions, *draw.choices(actions, k=2)] if actions else []
            context = context.model_copy(update={"tried": [TriedPath(actions=wrong)] if wrong else []})
        yield _made(record, "step", context, {"subtask": stage.subtask}, "")


def selections(records: Sequence[Record], limit: int, seed: int) -> Iterator[Record]:
    """Which candidate the judge should pick: the step that was taken, among steps that lead nowhere."""
    draw = random.Random(f"selections/{seed}")  # noqa: S311
    for record in _drawn(records, limit, f"selections/{seed}"):
        good = _good(record)
        found = stages(record) or []
        for at in sorted(draw.sample(good, min(MOMENTS, len(good)))):
            made = _selection(record, at, found, draw)
            if made is not None:
                yield made


def _selection(record: Record, at: int, found: Sequence[Stage], draw: random.Random) -> Record | None:
    right = record.context.turns[at]
    context = _until(record, at, [])
    wrong = _distractors(record, context, right, draw)
    if not wrong:
        return None
    actions = [right.action, *wrong[: draw.choice(OPTIONS) - 1]]
    draw.shuffle(actions)
    subtask = ""
    if found and draw.random() < 0.7:
        subtask = next((stage.subtask for stage in found if stage.done_after > at), found[-1].subtask)
        context = context.model_copy(update={"plan": [stage.subtask for stage in found]})
    question = {"subtask": subtask, "options": [{"action": action} for action in actions]}
    return _made(record, "selection", context, question, ascii_uppercase[actions.index(right.action)])


def path_verdicts(records: Sequence[Record], limit: int, seed: int) -> Iterator[Record]:
    """Whether a path is good enough: Yes at the end of a solved run, No somewhere before; as many of each."""
    draw = random.Random(f"paths/{seed}")  # noqa: S311
    for record in _drawn(records, (limit + 1) // 2, f"paths/{seed}"):
        length = len(record.context.turns)
        yield _made(record, "path", _plan_or_not(record, length, draw), {}, "Yes")
        if length > 1:
            before = length - 1 if draw.random() < 0.3 else draw.randint(1, length - 1)
            yield _made(record, "path", _plan_or_not(record, before, draw), {}, "No")


def _plan_or_not(record: Record, after: int, draw: random.Random) -> Context:
    found = stages(record) if draw.random() < 0.7 else None
    return _until(record, after, [stage.subtask for stage in found or []])


def _distractors(record: Record, context: Context, right: Turn, draw: random.Random) -> list[str]:
    """Actions that are not the right one: mistakes that players make, and steps of other moments."""
    made = [turn.action for turn in record.context.turns]
    if record.environment == "alfworld":
        made = [
            *(action for _, action in mistakes(context, right.thought)),
            *draw.sample(made, min(2, len(made))),
        ]
    others = list(dict.fromkeys(action for action in made if action != right.action))
    return draw.sample(others, len(others))


def _good(record: Record) -> list[int]:
    """The steps that are worth learning: valid ones, and an expert's where others played as well."""
    every = [True] * len(record.context.turns)
    pairs = zip(record.valid or every, record.taught or every, strict=True)
    return [at for at, (valid, taught) in enumerate(pairs) if valid and taught] or [0]


def _until(record: Record, after: int, plan: Sequence[str]) -> Context:
    return record.context.model_copy(update={"turns": record.context.turns[:after], "plan": list(plan)})


def _drawn(records: Sequence[Record], limit: int, seed: str) -> list[Record]:
    chosen = random.Random(seed).sample(list(records), len(records))  # noqa: S311
    return [record for record in chosen if record.context.turns][:limit]


def _staged(records: Sequence[Record], limit: int, seed: int) -> Iterator[tuple[Record, list[Stage]]]:
    chosen = random.Random(f"staged/{seed}").sample(list(records), len(records))  # noqa: S311
    count = 0
    for record in chosen:
        if count == limit:
            return
        found = stages(record)
        if found is not None:
            count += 1
            yield record, found


def _made(record: Record, kind: Kind, context: Context, question: dict[str, Any], answer: str) -> Record:
    return record.model_copy(
        update={
            "kind": kind,
            "context": context,
            "question": question,
            "answer": answer,
            "valid": [],
            "taught": [],
        }
    )


@dataclass(frozen=True, slots=True)
class Runs:
    """Which runs records are derived from."""

    environment: str
    source: str
    split: str
    seed: int
    least: float
    """The least reward of one."""

    def hold(self, record: Record) -> bool:
        """Whether a record is of these runs."""
        origin = record.provenance
        return (origin.source, origin.split, origin.seed) == (self.source, self.split, self.seed)


KINDS: dict[Kind, tuple[Derive, int]] = {
    "plan": (plans, 1),
    "subtask": (subtask_verdicts, 2),
    "step": (subtask_steps, 1),
    "selection": (selections, 1),
    "path": (path_verdicts, 2),
}
"""What makes each kind, and how many of it to one plan."""


def add_derived(out: Path, runs: Runs, wanted: int) -> int:
    """Add what is still wanted of planner's, judge's and subtask records to a file, out of its own runs.

    Args:
        out: The file of records.
        runs: Which of its runs.
        wanted: How many plans and steps, and out of how many runs selections; twice as many verdicts.

    Returns:
        How many were added.
    """
    if not wanted or not out.is_file():
        return 0
    solved: list[Record] = []
    there: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for record in read_records(out):
        if record.environment != runs.environment or not runs.hold(record):
            continue
        if record.kind in there:
            there[record.kind].add(record.task_id)
        elif record.kind == "trajectory" and record.reward >= runs.least:
            solved.append(record)
    solved.sort(key=lambda record: record.task_id)
    count = 0
    for kind, (derive, each) in KINDS.items():
        left = [record for record in solved if record.task_id not in there[kind]]
        count += append_records(out, derive(left, each * max(0, wanted - len(there[kind])), runs.seed))
    return count
