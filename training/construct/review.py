"""A person's review: each record is accepted or rejected with a key; decisions are kept as they are made.

Decisions are lines of `<file>.review.jsonl`, by the record's id, so that a review goes on where it was, and
stands when the file is filtered again. An undo is a line too.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from rich.console import Console, Group
from rich.text import Text

from services.contracts.base import Message
from training.construct.cards import write_card
from training.construct.making import mend
from training.construct.record import Record, RecordError, append_records, read_records
from training.construct.viewer import parts

Verdict = Literal["accept", "reject", "undo"]
NAME = "review"
KEYS: dict[str, Verdict] = {"a": "accept", "y": "accept", "r": "reject", "n": "reject"}
HELP = "a accept  r reject  s skip  u undo  q quit"


class Decision(Message):
    """What a person decided of a record."""

    id: str
    verdict: Verdict


@dataclass(frozen=True)
class Reviewed:
    """Where a review stands."""

    records: int
    accepted: int
    rejected: int

    @property
    def left(self) -> int:
        """Records without a decision."""
        return self.records - self.accepted - self.rejected


class Review:
    """The review of a file.

    Args:
        path: The records; those of equal content are one.

    Raises:
        RecordError: The file, or its decisions, hold something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = list({record.id: record for record in read_records(path)}.values())
        self._file = path.with_name(f"{path.name}.review.jsonl")
        mend(self._file, '{"id":')
        self._decided: dict[str, Verdict] = {}
        for decision in self._read():
            self._take(decision)

    def reviewed(self) -> Reviewed:
        """Where it stands."""
        decided = [self._decided.get(record.id) for record in self.records]
        return Reviewed(len(decided), decided.count("accept"), decided.count("reject"))

    def accepted(self) -> list[Record]:
        """What was accepted, marked so."""
        kept = (record for record in self.records if self._decided.get(record.id) == "accept")
        return [_marked(record) for record in kept]

    def decide(self, record: Record, verdict: Verdict) -> None:
        """Decide, or take a decision back."""
        decision = Decision(id=record.id, verdict=verdict)
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(decision.model_dump_json() + "\n")
        self._take(decision)

    def is_decided(self, record: Record) -> bool:
        """Whether a person has decided."""
        return record.id in self._decided

    def _take(self, decision: Decision) -> None:
        self._decided.pop(decision.id, None)
        if decision.verdict != "undo":
            self._decided[decision.id] = decision.verdict

    def last(self) -> Record | None:
        """The record that was decided last; None where nothing is decided."""
        known = {record.id: record for record in self.records}
        return next((known[name] for name in reversed(self._decided) if name in known), None)

    def _read(self) -> Iterator[Decision]:
        if not self._file.is_file():
            return
        for number, line in enumerate(self._file.read_text(encoding="utf-8").split("\n"), 1):
            if not line:
                continue
            try:
                yield Decision.model_validate_json(line)
            except ValidationError as error:
                raise RecordError(f"{self._file}, line {number}: it is no decision") from error


def review(path: Path, pressed: Iterator[str], console: Console) -> Review:
    """Show each record without a decision and read one, until all are decided or a person quits.

    Args:
        path: The file of records.
        pressed: The keys; their end quits.
        console: Where records are shown.

    Raises:
        RecordError: The file, or its decisions, hold something else.
    """
    state = Review(path)
    queue = [record for record in state.records if not state.is_decided(record)]
    place = 0
    while place < len(queue):
        record = queue[place]
        now = state.reviewed()
        console.rule(f"{now.left} of {now.records} left, {now.accepted} accepted, {now.rejected} rejected")
        console.print(Group(*parts(record)))
        console.print(Text(HELP, style="bold"))
        key = _key(pressed)
        if key == "q":
            break
        if key == "u":
            place = _undone(state, queue, place)
        elif key in KEYS:
            state.decide(record, KEYS[key])
            place += 1
        else:
            place += 1
    return state


def write_accepted(state: Review, out: Path) -> int:
    """Write what was accepted, anew, with its card; how many.

    Raises:
        RecordError: `out` is the file that is reviewed.
    """
    if out.resolve() == state.path.resolve():
        raise RecordError(f"{out} is reviewed itself: give another --out")
    kept = state.accepted()
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    append_records(partial, kept)
    partial.replace(out)
    write_card(out)
    return len(kept)


def _key(pressed: Iterator[str]) -> str:
    for key in pressed:
        if key in (*KEYS, "s", "u", "q"):
            return key
    return "q"


def _undone(state: Review, queue: list[Record], place: int) -> int:
    """Take the last decision back, and go to its record."""
    last = state.last()
    if last is None:
        return place
    state.decide(last, "undo")
    here = next((number for number, record in enumerate(queue) if record.id == last.id), None)
    if here is None:
        queue.insert(place, last)
        return place
    return here


def _marked(record: Record) -> Record:
    passed = [*(name for name in record.provenance.filters if name != NAME), NAME]
    return record.model_copy(update={"provenance": record.provenance.model_copy(update={"filters": passed})})
