"""The tasks of an environment: splits of listed or numbered tasks, found by id and paged by position.

A task's id is its split and its name, `valid/17`. A split is either a list of items with names of their own,
or so many tasks that are made from their numbers when they are needed.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from envs.serving.environment import UnknownTaskError
from services.contracts.task import Task

T = TypeVar("T")
NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
DEVELOPMENT, REPORTED = "development", "reported"
"""The halves of a benchmark's file: one may be read and trained on, the other is only ever scored."""
UNSEEN = "generated_unseen"
"""The split of generated tasks whose kinds are in no other generated split."""
UNSEEN_SHARE = 4
"""One kind of so many is unseen."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a list of tasks shows of one."""

    instruction: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Split(Generic[T]):
    """The tasks of one split."""

    count: int
    names: Callable[[int, int], Iterable[str]]
    """The names from one position to another."""
    has: Callable[[str], bool]
    """Whether there is a task of a name. The next two are called with such names only."""
    find: Callable[[str], T]
    """What it is played from."""
    describe: Callable[[str], Shown]
    """What lists show of it."""


def list_split(items: Mapping[str, T], describe: Callable[[T], Shown]) -> Split[T]:
    """Return a split of items by their names.

    Args:
        items: The items in order.
        describe: What is shown of one.
    """
    order = list(items)
    return Split(
        count=len(order),
        names=lambda start, stop: order[start:stop],
        has=items.__contains__,
        find=items.__getitem__,
        describe=lambda name: describe(items[name]),
    )


def number_split(count: int, make: Callable[[int], T], describe: Callable[[int], Shown]) -> Split[T]:
    """Return a split of tasks that are named by their numbers, from 0, and made when they are needed.

    Args:
        count: How many there are.
        make: Makes the item of a number.
        describe: What is shown of a number; it may cost less than `make`.
    """
    return Split(
        count=count,
        names=lambda start, stop: (str(number) for number in range(start, min(stop, count))),
        has=lambda name: bool(NUMBER.fullmatch(name)) and int(name) < count,
        find=lambda name: make(int(name)),
        describe=lambda name: describe(int(name)),
    )


def halve(tasks: Mapping[str, T], key: Callable[[T], str]) -> dict[str, dict[str, T]]:
    """Return the halves of a benchmark's tasks, `development` and `reported`, under the names that they have.

    A task is in `development` where the SHA-256 of its key, as a number, is even. Equal keys stay together.

    Args:
        tasks: The tasks by name, in order.
        key: What must not be in both halves: a task's text, or the id of the visit that it is a step of.
    """
    halves: dict[str, dict[str, T]] = {DEVELOPMENT: {}, REPORTED: {}}
    for name, task in tasks.items():
        halves[DEVELOPMENT if falls_in(key(task), 2) else REPORTED][name] = task
    return halves


def is_unseen(kind: str) -> bool:
    """Return whether tasks of a kind are in `generated_unseen` alone: its SHA-256 is divisible by four.

    Args:
        kind: The name of a kind of task, as its generator has it.
    """
    return falls_in(kind, UNSEEN_SHARE)


def falls_in(key: str, share: int) -> bool:
    """Return whether the SHA-256 of a key is divisible by a number: one key of so many is."""
    return int.from_bytes(hashlib.sha256(key.encode(errors="surrogatepass")).digest(), "big") % share == 0


class TaskTable(Generic[T]):
    """The splits of an environment. Splits without tasks are left out.

    Args:
        splits: The splits by name, in the order in which they are listed.
    """

    def __init__(self, splits: Mapping[str, Split[T]]) -> None:
        self._splits = {name: split for name, split in splits.items() if split.count}

    def splits(self) -> list[str]:
        """Return the names of the splits that have tasks."""
        return list(self._splits)

    def count(self, split: str) -> int:
        """Return how many tasks a split has."""
        return self._splits[split].count if split in self._splits else 0

    def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Return the tasks of a split by position, `start` inclusive, `stop` exclusive."""
        if split not in self._splits:
            return []
        return [self._describe(split, name) for name in self._splits[split].names(start, stop)]

    def task(self, task_id: str) -> Task:
        """Return a task as lists show it.

        Raises:
            UnknownTaskError: There is no task of this id.
        """
        return self._describe(*self._place(task_id))

    def find(self, task_id: str) -> T:
        """Return what a task is played from.

        Raises:
            UnknownTaskError: There is no task of this id.
        """
        split, name = self._place(task_id)
        return self._splits[split].find(name)

    def _place(self, task_id: str) -> tuple[str, str]:
        split, _, name = task_id.partition("/")
        if split not in self._splits or not self._splits[split].has(name):
            raise UnknownTaskError(task_id)
        return split, name

    def _describe(self, split: str, name: str) -> Task:
        shown = self._splits[split].describe(name)
        return Task(id=f"{split}/{name}", split=split, instruction=shown.instruction, kind=shown.kind)
