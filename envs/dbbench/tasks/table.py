"""Which tasks there are: AgentBench's own under `ESPALIER_AGENTBENCH_DATA`, and generated ones."""

from collections.abc import Sequence

from envs.dbbench.tasks.generator import Generator
from envs.dbbench.tasks.questions import Question
from envs.serving.environment import UnknownTaskError
from services.contracts.task import Task

GENERATED_TRAIN, GENERATED_VALID = "generated_train", "generated_valid"
GENERATED = (GENERATED_TRAIN, GENERATED_VALID)
MOST_DIGITS = 9


class DbTasks:
    """All tasks. A task's id is its split and its position, from 0.

    Args:
        official: The official splits by name.
        generated: How many tasks each generated split has.
        seed: What they are generated from.
    """

    def __init__(self, official: dict[str, list[Question]], generated: int, seed: int) -> None:
        self._official = official
        self._generated = generated
        self._generator = Generator(seed)

    def splits(self) -> list[str]:
        """The splits that can be played, the official ones first."""
        return [*self._official, *(GENERATED if self._generated else ())]

    def count(self, split: str) -> int:
        """How many tasks a split has."""
        if split in GENERATED:
            return self._generated
        return len(self._official.get(split, ()))

    def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        stop = min(stop, self.count(split))
        return [self._task(split, number) for number in range(start, stop)]

    def get(self, task_id: str) -> Task:
        """One task.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        return self._task(*self._place(task_id))

    def question(self, task_id: str) -> Question:
        """A task with what makes an answer right.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        return self._question(*self._place(task_id))

    def _place(self, task_id: str) -> tuple[str, int]:
        split, _, number = task_id.partition("/")
        known = number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
        if not known or int(number) >= self.count(split) or str(int(number)) != number:
            raise UnknownTaskError(task_id)
        return split, int(number)

    def _question(self, split: str, number: int) -> Question:
        if split in GENERATED:
            return self._generator.question(split, number)
        return self._official[split][number]

    def _task(self, split: str, number: int) -> Task:
        question = self._question(split, number)
        return Task(id=f"{split}/{number}", split=split, instruction=question.text, kind=question.kind)
