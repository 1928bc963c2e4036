"""The loss on held-out records while an adapter is learned: when it is taken, which is best, when to stop.

Each evaluation is an entry of the trainer's log, which every checkpoint holds. A new best is saved as a
checkpoint at once, and the best checkpoint outlives the others, so that a resumed run has both.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers.trainer_callback import TrainerCallback

from training.construct.record import Record, Role, read_records
from training.sft.examples import Example
from training.sft.mix import MixError

LOGGED = "held_out_loss"
"""The key of an evaluation's loss in the trainer's log."""
LEAST_GAIN = 0.001
"""A new best is lower than the best before it by more than this, nats a token."""

Evaluation = tuple[int, float]
"""Step and loss a token."""


@dataclass(frozen=True)
class HeldOut:
    """What is held out, and how it is used.

    Raises:
        MixError: A number is out of range, or patience is given without records.
    """

    paths: Sequence[Path] = ()
    """Files of agent records of tasks that are not learned; by default nothing is evaluated."""
    every: int = 25
    """Steps from one evaluation to the next; the last step is evaluated too."""
    most: int = 200
    """So many sequences are evaluated at most, drawn by the seed."""
    patience: int = 0
    """The run stops after so many evaluations in a row without a new best; 0: never."""

    def __post_init__(self) -> None:
        if self.every < 1 or self.most < 1 or self.patience < 0:
            raise MixError(
                "held-out records are evaluated every 1 step or more, on 1 sequence or more, with a patience "
                f"of 0 or more; got {self.every}, {self.most}, {self.patience}"
            )
        if self.patience and not self.paths:
            raise MixError(
                "patience needs held-out records: give them with --held-out, or leave --patience out"
            )


@dataclass
class HeldOutRecords:
    """The records of the held-out files that a run's roles would learn from."""

    records: list[Record] = field(default_factory=list[Record])
    tasks: dict[tuple[str, str], Path] = field(default_factory=dict[tuple[str, str], Path])
    """The file that first holds a task, by environment and task id."""

    def check_apart(self, record: Record, path: Path) -> None:
        """Raise `MixError` where a record that is learned is of a held-out task.

        A record's id covers its environment and task, so that equal records are found too.
        """
        held = self.tasks.get((record.environment, record.task_id))
        if held is not None:
            task = f"{record.environment}/{record.task_id}"
            raise MixError(
                f"the task {task} is held out by {held}, and {path} teaches it: "
                "take its records out of one of the two files, or hold out other tasks"
            )


def read_held_out(paths: Iterable[Path], roles: Sequence[Role]) -> HeldOutRecords:
    """Return the held-out records of some roles.

    Raises:
        RecordError: A line is no record.
        OSError: A file cannot be read.
    """
    found = HeldOutRecords()
    for path in paths:
        for record in read_records(path):
            if record.role in roles:
                found.records.append(record)
                found.tasks.setdefault((record.environment, record.task_id), path)
    return found


def draw_held_out(
    records: Sequence[Record], encode: Callable[[Record], Example | None], most: int, seed: int
) -> list[Example]:
    """Return at most so many of the records as sequences, drawn by the seed.

    Args:
        records: What to draw from.
        encode: Makes a record a sequence, or None where it is too long.
        most: How many sequences.
        seed: Which ones.

    Raises:
        MixError: No record is left.
    """
    order = random.Random(f"held out/{seed}").sample(records, len(records))  # noqa: S311
    drawn: list[Example] = []
    for record in order:
        if len(drawn) == most:
            break
        example = encode(record)
        if example is not None:
            drawn.append(example)
    if not drawn:
        raise MixError(
            "no held-out record can be evaluated: each is of another role or too long; give other records "
            "with --held-out, or raise --longest"
        )
    return drawn


def list_evaluations(log: Iterable[dict[str, Any]]) -> list[Evaluation]:
    """Return the evaluations of a trainer's log, in order."""
    return [(int(entry["step"]), float(entry[LOGGED])) for entry in log if LOGGED in entry]


def find_best(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """Return the best evaluation; None where no loss is a number.

    A loss must be lower than the best before it by more than `LEAST_GAIN`.
    """
    best: Evaluation | None = None
    for step, loss in evaluations:
        if math.isfinite(loss) and (best is None or loss < best[1] - LEAST_GAIN):
            best = (step, loss)
    return best


def is_exhausted(evaluations: Sequence[Evaluation], patience: int) -> bool:
    """Whether the last so many evaluations brought no new best; never with a patience of 0."""
    best = find_best(evaluations)
    since = sum(best is None or step > best[0] for step, _ in evaluations)
    return 0 < patience <= since


class Evaluator(TrainerCallback):
    """Evaluates held-out records while a trainer learns, keeps the best checkpoint, and stops the run.

    Args:
        measure: Computes the loss a token on the held-out records with the weights as they are.
        held_out: When, and the patience.
        report: Takes a line of progress.
    """

    def __init__(
        self, measure: Callable[[], float], held_out: HeldOut, report: Callable[[str], None]
    ) -> None:
        self._measure, self._held_out, self._report = measure, held_out, report

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Evaluate where it is time; the trainer saves after this, so that a checkpoint has the result."""
        step = state.global_step
        if step % self._held_out.every and step < state.max_steps:
            return
        loss = self._measure()
        state.log_history.append({"step": step, LOGGED: loss})
        evaluations = list_evaluations(state.log_history)
        best = find_best(evaluations)
        shown = f", best {best[1]:.3f} at {best[0]}" if best else ""
        self._report(f"step {step} of {state.max_steps}, held-out loss {loss:.3f}{shown}")
        if best and best[0] == step:
            # the trainer removes old checkpoints, but never that of the best step
            state.best_metric, state.best_global_step = loss, step
            control.should_save = True
        if step < state.max_steps and is_exhausted(evaluations, self._held_out.patience):
            why = f"no new best since step {best[0]}" if best else "no held-out loss was a number"
            self._report(f"stopped at step {step} of {state.max_steps}: {why}")
            control.should_save = control.should_training_stop = True
