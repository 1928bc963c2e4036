"""What a task is, and which tasks there are, by split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envs.serving.environment import UnknownTaskError
from services.contracts.task import Task

GENERATED_TRAIN, GENERATED_VALID = "generated_train", "generated_valid"


@dataclass(frozen=True, slots=True)
class Script:
    """A script that prepares or checks a task."""

    code: str
    language: str = "bash"
    """`bash`, `python`, `c` or `c++`."""


@dataclass(frozen=True, slots=True)
class Named:
    """A check that `scoring.CHECKS` has by this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Example:
    """In a chain of checks: the task's example, run to print what is expected."""


Check = Script | Named | Example


@dataclass(frozen=True, slots=True)
class Match:
    """The answer that is expected, or a pattern that must be found in it."""

    answer: str | None = None
    regex: str | None = None
    strip: bool = True


@dataclass(frozen=True, slots=True)
class Programs:
    """Which of the programs that `start` started must run at the end, and which must not."""

    running: tuple[str, ...] = ()
    """Words of command lines."""
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OsTask:
    """A task: how its machine is made, what is asked, and how the end is judged."""

    instruction: str
    init: tuple[Script, ...] = ()
    """Run one after the other before the agent comes."""
    start: Script | None = None
    """Programs in the background."""
    match: Match | None = None
    check: tuple[Check, ...] = ()
    """Each is called with the answer and with what the ones before it printed."""
    programs: Programs | None = None
    example: Script | None = None
    """A solution: it prints the answer, or does what is asked."""
    user: str = "root"
    """Whose home the agent starts in."""
    kind: str = ""


class OsTasks:
    """All tasks; a split that has none is not there.

    Args:
        splits: The splits by name, in the order in which they are listed; a task's id is its split and name.
    """

    def __init__(self, splits: Mapping[str, Mapping[str, OsTask]]) -> None:
        self._splits = {name: dict(tasks) for name, tasks in splits.items() if tasks}
        self._names = {name: list(tasks) for name, tasks in self._splits.items()}

    def splits(self) -> list[str]:
        """The splits that can be played."""
        return list(self._splits)

    def count(self, split: str) -> int:
        """How many tasks a split has."""
        return len(self._names.get(split, ()))

    def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        return [self._listed(split, name) for name in self._names.get(split, [])[start:stop]]

    def get(self, task_id: str) -> Task:
        """One task as it is listed.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        self.whole(task_id)
        split, _, name = task_id.partition("/")
        return self._listed(split, name)

    def whole(self, task_id: str) -> OsTask:
        """One task with all that the agent is not told.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        split, _, name = task_id.partition("/")
        try:
            return self._splits[split][name]
        except KeyError:
            raise UnknownTaskError(task_id) from None

    def _listed(self, split: str, name: str) -> Task:
        task = self._splits[split][name]
        return Task(id=f"{split}/{name}", split=split, instruction=task.instruction, kind=task.kind)
