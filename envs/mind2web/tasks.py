"""Which steps there are: recorded ones under `ESPALIER_MIND2WEB_DATA`, and generated ones."""

import re
from collections.abc import Sequence

from envs.mind2web.generator import SPLITS, Generator
from envs.mind2web.record import Record
from envs.serving.environment import UnknownTaskError
from services.contracts.task import Task

NUMBER = re.compile(r"(0|[1-9]\d{0,8})")


class Mind2webTasks:
    """All steps; a split that has none is not there.

    Args:
        recorded: Recorded steps by split.
        generated: How many steps each generated split has.
    """

    def __init__(self, recorded: dict[str, list[Record]], generated: int) -> None:
        self._recorded = {split: records for split, records in recorded.items() if records}
        self._by_id = {record.id: record for records in recorded.values() for record in records}
        self._generated = generated
        self._generator = Generator()

    def splits(self) -> list[str]:
        """The splits that can be played."""
        return [*self._recorded, *(SPLITS if self._generated else ())]

    def count(self, split: str) -> int:
        """How many steps a split has."""
        if split in self._recorded:
            return len(self._recorded[split])
        return self._generated if split in SPLITS else 0

    def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        if split in self._recorded:
            return [_task(record) for record in self._recorded[split][start:stop]]
        return [self._generated_task(split, number) for number in range(start, min(stop, self.count(split)))]

    def get(self, task_id: str) -> Task:
        """One task.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        place = self._place(task_id)
        return self._generated_task(*place) if place else _task(self.record(task_id))

    def record(self, task_id: str) -> Record:
        """A task's step.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        if task_id in self._by_id:
            return self._by_id[task_id]
        place = self._place(task_id)
        if place is None:
            raise UnknownTaskError(task_id)
        return self._generator.record(*place)

    def most_candidates(self) -> int:
        """The most candidates that a step has."""
        return max((len(record.candidates) for record in self._by_id.values()), default=30)

    def _place(self, task_id: str) -> tuple[str, int] | None:
        """Split and number of a generated step."""
        split, _, number = task_id.partition("/")
        if split in SPLITS and NUMBER.fullmatch(number) and int(number) < self._generated:
            return split, int(number)
        return None

    def _generated_task(self, split: str, number: int) -> Task:
        """A generated step's task; its page need not be made."""
        flow, at, _, _ = self._generator.visit(split, number)
        return Task(id=f"{split}/{number}", split=split, instruction=flow.task, kind=flow.steps[at].operation)


def _task(record: Record) -> Task:
    return Task(id=record.id, split=record.split, instruction=record.task, kind=record.operation)
