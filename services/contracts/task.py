"""Tasks of an environment."""

from typing import Any

from pydantic import Field

from services.contracts.base import Message, Request


class Task(Message):
    """One task as an environment lists it."""

    id: str
    split: str
    instruction: str
    kind: str = ""
    """The environment's own type of task (ALFWorld: `pick_and_place_simple`, ...)."""


class TaskPage(Message):
    """`GET /v1/tasks?split=&cursor=`."""

    tasks: list[Task]
    next: str | None = None
    """The cursor of the next page; None on the last."""
    total: int | None = None


class InlineTask(Request):
    """A task of the client's own, where the environment takes them (`/metadata`)."""

    instruction: str = Field(min_length=1, max_length=20_000)
    data: dict[str, Any] = Field(default_factory=dict)
    """What the environment needs besides (see its README)."""
