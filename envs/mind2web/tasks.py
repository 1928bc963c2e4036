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
        return [
            _task(self._generator.record(split, number))
            for number in range(start, min(stop, self.count(split)))
        ]

    def get(self, task_id: str) -> Task:
        """One task.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        return _task(self.record(task_id))

    def record(self, task_id: str) -> Record:
        """A task's step.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        if task_id in self._by_id:
            return self._by_id[task_id]
        split, _, number = task_id.partition("/")
        if split in SPLITS and NUMBER.fullmatch(number) and int(number) < self._generated:
            return self._generator.record(split, int(number))
        raise UnknownTaskError(task_id)

    def most_candidates(self) -> int:
        """The most candidates that a step has."""
        return max((len(record.candidates) for record in self._by_id.values()), default=30)


def _task(record: Record) -> Task:
    return Task(id=record.id, split=record.split, instruction=record.task, kind=record.operation)
