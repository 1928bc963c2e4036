"""Keeps evaluation tasks out of training data: records whose task stands in a file of them, or is nearly one.

Two texts are compared by their words, without case and punctuation. They are near each other by the Jaccard
similarity of their sets of three words in a row. Every such three of an evaluation task is in an index, and
only tasks that share one of a text's rarest are compared with it.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.construct.filters import Filter
from training.construct.record import ROLES, Record, RecordError

FIELDS = ("description", "instruction", "question", "query", "confirmed_task", "task")
"""Where records hold the text of their task; `context` of our records is looked into."""
NEAR = 0.8
MOST_BYTES = 1 << 29
"""The largest file that is read."""
DEEPEST = 3
"""How far mappings are looked into for texts."""
RUN = 3
"""Words of a shingle."""
_WORD = re.compile(r"[^\W_]+")

Shingle = tuple[str, ...]


class ExclusionError(RecordError):
    """Raised when a file of evaluation tasks cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """An evaluation task that a text is, or nearly is."""

    file: str
    place: int
    """Which record of the file, from 1."""
    similarity: float
    """1 where the words are the same."""

    def __str__(self) -> str:
        """Return the reason of a rejection."""
        like = "is" if self.similarity == 1 else f"is near ({self.similarity:.2f})"
        return f"the task {like} that of record {self.place} of {self.file}"


@dataclass(frozen=True, slots=True)
class _Task:
    file: str
    place: int
    shingles: frozenset[Shingle]


class Exclusions:
    """The tasks of evaluation files, found by their words.

    Args:
        near: The least Jaccard similarity, above 0 and up to 1, that counts as near.
    """

    def __init__(self, near: float = NEAR) -> None:
        if not 0 < near <= 1:
            raise ValueError("near is above 0 and at most 1")
        self.near = near
        self._same: dict[str, _Task] = {}
        """Tasks by their words."""
        self._index: dict[Shingle, list[_Task]] = {}

    def __len__(self) -> int:
        return len(self._same)

    def add(self, text: str, file: str, place: int) -> bool:
        """Add a task, and return whether its text has words."""
        words = _words(text)
        key = " ".join(words)
        if key and key not in self._same:
            task = self._same[key] = _Task(file, place, _shingles(words))
            for shingle in task.shingles:
                self._index.setdefault(shingle, []).append(task)
        return bool(words)

    def find(self, text: str) -> Excluded | None:
        """Return the evaluation task that a text is or is most like, or None where none is near."""
        words = _words(text)
        same = self._same.get(" ".join(words))
        if same is not None:
            return Excluded(same.file, same.place, 1.0)
        shingles = _shingles(words)
        found = max(
            ((_similarity(shingles, task.shingles), task) for task in self._candidates(shingles)),
            key=lambda one: one[0],
            default=None,
        )
        if found is None or found[0] < self.near:
            return None
        return Excluded(found[1].file, found[1].place, found[0])

    def _candidates(self, shingles: frozenset[Shingle]) -> Iterable[_Task]:
        """Return the tasks that can be near."""
        # A near one lacks so few of the shingles that it has at least one of the rarest of them.
        lacking = len(shingles) - math.ceil(self.near * len(shingles) - 1e-9)
        rarest = sorted(shingles, key=lambda one: len(self._index.get(one, ())))[: lacking + 1]
        return {id(task): task for one in rarest for task in self._index.get(one, ())}.values()


def read_exclusions(paths: Sequence[Path], near: float = NEAR) -> Exclusions:
    """Return the tasks of files: JSON or JSON lines of a benchmark's records, or of our own.

    Args:
        paths: The files.
        near: The least similarity that counts as near.

    Raises:
        ExclusionError: A file cannot be read, is too large, or holds no text of a task.
    """
    exclusions = Exclusions(near)
    for path in paths:
        texts = ((text, place) for place, record in enumerate(_read(path), 1) for text in _texts(record))
        added = Counter(exclusions.add(text, path.name, place) for text, place in texts)
        if not added[True]:
            raise ExclusionError(
                f"{path} has no text of a task: its records need one of the fields {', '.join(FIELDS)}"
            )
    return exclusions


def make_filter(exclusions: Exclusions) -> Filter:
    """Return the filter that refuses records of evaluation tasks, whatever their kind."""

    def check(record: Record) -> str | None:
        found = exclusions.find(record.context.task)
        return str(found) if found else None

    about = f"none of {len(exclusions)} evaluation tasks, nor near one ({exclusions.near:g})"
    return Filter("excluded", about, check, tuple(ROLES))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _shingles(words: Sequence[str]) -> frozenset[Shingle]:
    starts = range(max(1, len(words) - RUN + 1)) if words else ()
    return frozenset(tuple(words[start : start + RUN]) for start in starts)


def _similarity(one: frozenset[Shingle], other: frozenset[Shingle]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _read(path: Path) -> list[Any]:
    """Return the records of a file: of a list, of JSON lines, or of an object that holds lists or records."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ExclusionError(f"{path} is larger than {MOST_BYTES >> 20} MiB: give a part of it")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExclusionError(f"{path} cannot be read: {error}") from error
    try:
        whole = json.loads(text)
    except ValueError:
        return list(_read_lines(path, text))
    except RecursionError as error:
        raise ExclusionError(f"{path} is nested too deeply") from error
    if not isinstance(whole, dict):
        return whole if isinstance(whole, list) else [whole]
    lists = [value for value in whole.values() if isinstance(value, list)]
    held = [record for value in lists for record in value if isinstance(record, dict)]
    if any(map(any, map(_texts, held))):
        # `{"version": 1, "task": "os", "data": [...]}` is a wrapper, whatever its own fields are called.
        return held
    return [whole] if any(_texts(whole)) else list(whole.values())


def _read_lines(path: Path, text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ExclusionError(
                    f"{path} is neither JSON nor JSON lines: line {number}: {error}"
                ) from error


def _texts(record: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts of a record's task."""
    if not isinstance(record, dict) or depth > DEEPEST:
        return
    for name in (*FIELDS, "context"):
        value = record.get(name)
        if isinstance(value, str) and name != "context":
            yield value
        else:
            yield from _texts(value, depth + 1)
