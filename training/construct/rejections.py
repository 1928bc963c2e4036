"""What was not kept, and why: a file `<out>.rejected.jsonl` beside a file of records."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from services.contracts.base import Message
from training.construct.record import Record, RecordError


class Rejection(Message):
    """One thing that was not kept."""

    task_id: str
    by: str
    """A role, a filter, or `expert`."""
    reason: str
    """Why (of a filter: what it requires), in words that many rejections share; they are counted by it."""
    detail: str = ""
    """What it was in this one."""
    environment: str = ""
    record: Record | None = None
    """What was rejected, where there was a whole record."""


def rejected_file(out: Path) -> Path:
    """Where the rejections of a file of records are."""
    return out.with_name(f"{out.name}.rejected.jsonl")


def append_rejection(out: Path, rejection: Rejection) -> None:
    """Keep a rejection beside a file of records."""
    path = rejected_file(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(rejection.model_dump_json(exclude_defaults=True) + "\n")


def read_rejections(out: Path) -> Iterable[Rejection]:
    """The rejections of a file of records; none where there is no file.

    Raises:
        RecordError: A line is no rejection.
    """
    path = rejected_file(out)
    if not path.is_file():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield Rejection.model_validate_json(line)
            except ValidationError as error:
                raise RecordError(f"{path}, line {number}: it is no rejection") from error
