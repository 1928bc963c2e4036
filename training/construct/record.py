"""One training conversation, with where it came from.

A record keeps what was seen and done, not a prompt: the same renderer that serves makes the messages out of
it, so that training and serving have the same prompts.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from services.contracts.base import Message
from services.contracts.context import Context

Role = Literal["actor", "judge", "planner"]
Kind = Literal["trajectory", "step", "subtask", "selection", "path", "plan", "value"]
ROLES: dict[str, Role] = {
    "trajectory": "actor",
    "step": "actor",
    "subtask": "judge",
    "selection": "judge",
    "path": "judge",
    "plan": "planner",
    "value": "judge",
}
"""Which role learns from a kind."""


class RecordError(ValueError):
    """Raised when a line is not a record; the message has its place and the reason."""


class Provenance(Message):
    """Where a record came from."""

    source: str
    """`expert`, `corrected`, `rollouts`, `grounded`, `imagined` or `in_context`."""
    models: dict[str, str] = Field(default_factory=dict[str, str])
    """Models by their role, where models made it."""
    split: str = ""
    seed: int = 0
    filters: list[str] = Field(default_factory=list[str])
    """The filters that it passed."""
    licence: str = ""
    """Of the data that its task is from, such as `Apache-2.0`; empty where none is stated."""


class Record(Message):
    """One conversation."""

    environment: str
    task_id: str
    kind: Kind = "trajectory"
    context: Context
    """The path; a trajectory's last turn is its last action."""
    question: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The question of judge or planner: `subtask`, `options`, `num_subtasks`; of a value the `share` of
    rollouts that succeeded (`wins`), the number of the `state` on the path, the actor's `logprob` of the
    action, whether it is its `own` greedy one, and whether the state was only `visited`."""
    answer: str = ""
    """What the judge or planner answers; empty for a trajectory."""
    reward: float = 0.0
    done: bool = False
    valid: list[bool] = Field(default_factory=list[bool])
    """Whether the environment took each action."""
    taught: list[bool] = Field(default_factory=list[bool])
    """Whether each action is to be learned; by default all are."""
    provenance: Provenance

    @property
    def id(self) -> str:
        """The first twelve hexadecimal digits of a SHA-256 over the record's content, defaults left out."""
        content = self.model_dump_json(exclude={"provenance"}, exclude_defaults=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def role(self) -> Role:
        """Which role learns from it."""
        return ROLES[self.kind]


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file of JSON lines.

    Raises:
        RecordError: A line is no record.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield Record.model_validate_json(line)
                except ValidationError as error:
                    first = error.errors()[0]
                    where = ".".join(map(str, first["loc"])) or "the line"
                    raise RecordError(f"{path}, line {number}: {where}: {first['msg']}") from error


def append_records(path: Path, records: Iterable[Record]) -> int:
    """Add records to a file of JSON lines; how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("a", encoding="utf-8") as lines:
        for record in records:
            lines.write(record.model_dump_json(exclude_defaults=True) + "\n")
            count += 1
    return count
