"""Events: the log of an episode, of which all else is a fold."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from services.contracts.base import Message


class EventType(StrEnum):
    """Every type of event."""

    EPISODE_CREATED = "episode.created"
    EPISODE_STARTED = "episode.started"
    EPISODE_COMPLETED = "episode.completed"
    EPISODE_FAILED = "episode.failed"
    EPISODE_CANCELLED = "episode.cancelled"
    PLAN_MADE = "plan.made"
    BRANCH_OPENED = "branch.opened"
    BRANCH_CLOSED = "branch.closed"
    SESSION_OPENED = "session.opened"
    SESSION_CLOSED = "session.closed"
    CANDIDATES_PROPOSED = "candidates.proposed"
    VERDICT_SUBTASK = "verdict.subtask"
    VERDICT_SELECTION = "verdict.selection"
    VERDICT_PATH = "verdict.path"
    STEP_TAKEN = "step.taken"
    SUBTASK_DONE = "subtask.done"
    SUBTASK_EXPIRED = "subtask.expired"
    PATH_ENDED = "path.ended"
    PATH_COMMITTED = "path.committed"
    PATH_DIVERGED = "path.diverged"
    BACKTRACKED = "backtracked"
    WINDOW_CUT = "window.cut"
    CALL_FAILED = "call.failed"
    CALL_DROPPED = "call.dropped"
    BUDGET_EXHAUSTED = "budget.exhausted"

    @property
    def terminal(self) -> bool:
        """Whether it ends the episode's log."""
        return self in (EventType.EPISODE_COMPLETED, EventType.EPISODE_FAILED, EventType.EPISODE_CANCELLED)


class Event(Message):
    """One entry of an episode's log."""

    id: str = ""
    """The Redis stream entry's id, and the SSE `id:`."""
    type: EventType
    at: float
    """Unix seconds."""
    branch: str = ""
    seq: int | None = None
    """The number of the port call within its branch that this answers; replay looks up by it."""
    digest: str = ""
    """Of the port call's request."""
    data: dict[str, Any] = Field(default_factory=dict)
