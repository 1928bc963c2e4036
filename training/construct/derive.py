"""Planner's, judge's and subtask records out of solved runs."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from services.contracts.context import Context
from training.construct.record import Kind, Record
from training.construct.stages import Stage, stages


def plans(records: Sequence[Record], limit: int, seed: int) -> Iterator[Record]:
    """What the planner should say, at the start of a task."""
    for record, found in _staged(records, limit, seed):
        text = "\n".join(f"{number}. {stage.subtask}" for number, stage in enumerate(found, 1))
        context = record.context.model_copy(update={"turns": []})
        yield _made(record, "plan", context, {"num_subtasks": len(found)}, text)


def subtask_verdicts(records: Sequence[Record], limit: int, seed: int) -> Iterator[Record]:
    """What the judge should say of a subtask: Yes where it is done, No before; as many of each."""
    draw = random.Random(f"verdicts/{seed}")  # noqa: S311
    for record, found in _staged(records, (limit + 1) // 2, seed):
        plan = [stage.subtask for stage in found]
        place = draw.randrange(len(found))
        begun = found[place - 1].done_after if place else 0
        done = found[place].done_after
        asked = [(done, found[place], "Yes")]
        if done - 1 > begun:
            # Just before it is done is the hardest moment.
            before = done - 1 if draw.random() < 0.5 else draw.randint(begun + 1, done - 1)
            asked.append((before, found[place], "No"))
        elif place + 1 < len(found) and found[place + 1].done_after > done:
            asked.append((done, found[place + 1], "No"))
        for after, stage, answer in asked:
            context = record.context.model_copy(update={"turns": record.context.turns[:after], "plan": plan})
            yield _made(record, "subtask", context, {"subtask": stage.subtask}, answer)


def subtask_steps(records: Sequence[Record], limit: int, seed: int) -> Iterator[Record]:
    """What the actor should do in a subtask: the step that was taken then."""
    draw = random.Random(f"steps/{seed}")  # noqa: S311
    for record, found in _staged(records, limit, seed):
        at = draw.randrange(len(record.context.turns))
        stage = next((stage for stage in found if stage.done_after > at), found[-1])
        plan = [one.subtask for one in found]
        context = record.context.model_copy(update={"turns": record.context.turns[: at + 1], "plan": plan})
        yield _made(record, "step", context, {"subtask": stage.subtask}, "")


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
        update={"kind": kind, "context": context, "question": question, "answer": answer, "valid": []}
    )
