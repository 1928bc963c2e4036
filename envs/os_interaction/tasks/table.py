"""Tasks of the OS environment, and the table of its splits."""

from collections.abc import Mapping
from dataclasses import dataclass

from envs.serving.tasks import UNSEEN, Shown, TaskTable, halve, list_split

GENERATED_TRAIN, GENERATED_VALID = "generated_train", "generated_valid"
GENERATED_UNSEEN = UNSEEN


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
    """A task: how its machine is made, what is to be done, and how the end is judged."""

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
    """A solution: it prints the answer, or does the task."""
    explanation: str = ""
    """Why the solution is right, in the record's words."""
    user: str = "root"
    """Whose home the agent starts in."""
    kind: str = ""


def make_table(splits: Mapping[str, Mapping[str, OsTask]]) -> TaskTable[OsTask]:
    """Return the table of all splits and of the halves of `dev`.

    A split that is named like a half is played in its place.

    Args:
        splits: The tasks of each split by name, in order.
    """
    halves = halve(splits.get("dev", {}), lambda task: task.instruction)
    added = {name: half for name, half in halves.items() if name not in splits}
    return TaskTable({name: list_split(tasks, _show) for name, tasks in {**splits, **added}.items()})


def _show(task: OsTask) -> Shown:
    return Shown(task.instruction, task.kind)
