"""Events: the log of an episode. Tree, stream, figures, metrics and replay are folds of it.

Each type of event has a model; `Event` is their union. An event with a `seq` is the answer to a port call.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from services.contracts.action import Actions
from services.contracts.base import Message
from services.contracts.event_data import (
    Backtrack,
    CallFailure,
    Cancelling,
    Closing,
    Commitment,
    Compared,
    Completed,
    Created,
    Cut,
    Draw,
    Exhausted,
    Failed,
    Fallback,
    First,
    Forking,
    Leaving,
    Opening,
    Parking,
    PathEnd,
    Repeated,
    Showing,
    Stepping,
    Subtask,
    Taking,
)
from services.contracts.plan import Plan
from services.contracts.reflection import Reflection
from services.contracts.verdict import Choice, PathVerdict, Values, Verdict


class EventType(StrEnum):
    """Every type of event."""

    EPISODE_CREATED = "episode.created"
    EPISODE_STARTED = "episode.started"
    EPISODE_COMPLETED = "episode.completed"
    EPISODE_FAILED = "episode.failed"
    EPISODE_CANCELLED = "episode.cancelled"
    PLAN_MADE = "plan.made"
    BRANCH_OPENED = "branch.opened"
    BRANCH_TAKEN = "branch.taken"
    BRANCH_PARKED = "branch.parked"
    BRANCH_FIRST = "branch.first"
    BRANCH_CANCELLED = "branch.cancelled"
    BRANCH_CLOSED = "branch.closed"
    SESSION_OPENED = "session.opened"
    SESSION_FORKED = "session.forked"
    SESSION_CLOSED = "session.closed"
    CANDIDATES_PROPOSED = "candidates.proposed"
    CANDIDATES_REPEATED = "candidates.repeated"
    CANDIDATES_COMPARED = "candidates.compared"
    VERDICT_SUBTASK = "verdict.subtask"
    VERDICT_SELECTION = "verdict.selection"
    VERDICT_PATH = "verdict.path"
    VERDICT_VALUE = "verdict.value"
    REFLECTION_MADE = "reflection.made"
    STEP_TAKEN = "step.taken"
    SUBTASK_DONE = "subtask.done"
    SUBTASK_EXPIRED = "subtask.expired"
    PATH_ENDED = "path.ended"
    PATH_COMMITTED = "path.committed"
    PATH_DIVERGED = "path.diverged"
    BACKTRACKED = "backtracked"
    WINDOW_CUT = "window.cut"
    FELL_BACK = "fell_back"
    NUMBERS_DRAWN = "numbers.drawn"
    CALL_FAILED = "call.failed"
    BUDGET_EXHAUSTED = "budget.exhausted"

    @property
    def terminal(self) -> bool:
        """Whether it ends the episode's log."""
        return self in (EventType.EPISODE_COMPLETED, EventType.EPISODE_FAILED, EventType.EPISODE_CANCELLED)


class Entry(Message):
    """What every event has."""

    id: str = ""
    """The Redis stream entry's id, and the SSE `id:`."""
    at: float
    """Unix seconds."""
    branch: str = ""
    """The branch that wrote it; empty for events of the episode."""
    seq: int | None = None
    """The number of the port call within its branch that this answers; replay looks up by it."""
    digest: str = ""
    """Of the port call's request."""


class EpisodeCreated(Entry):
    """`episode.created`."""

    type: Literal[EventType.EPISODE_CREATED]
    data: Created


class EpisodeStarted(Entry):
    """`episode.started`."""

    type: Literal[EventType.EPISODE_STARTED]
    data: Message = Message()


class EpisodeCompleted(Entry):
    """`episode.completed`."""

    type: Literal[EventType.EPISODE_COMPLETED]
    data: Completed


class EpisodeFailed(Entry):
    """`episode.failed`."""

    type: Literal[EventType.EPISODE_FAILED]
    data: Failed


class EpisodeCancelled(Entry):
    """`episode.cancelled`."""

    type: Literal[EventType.EPISODE_CANCELLED]
    data: Message = Message()


class PlanMade(Entry):
    """`plan.made`."""

    type: Literal[EventType.PLAN_MADE]
    data: Plan


class BranchOpened(Entry):
    """`branch.opened`."""

    type: Literal[EventType.BRANCH_OPENED]
    data: Opening


class BranchTaken(Entry):
    """`branch.taken`."""

    type: Literal[EventType.BRANCH_TAKEN]
    data: Taking


class BranchParked(Entry):
    """`branch.parked`."""

    type: Literal[EventType.BRANCH_PARKED]
    data: Parking


class BranchFirst(Entry):
    """`branch.first`."""

    type: Literal[EventType.BRANCH_FIRST]
    data: First


class BranchCancelled(Entry):
    """`branch.cancelled`."""

    type: Literal[EventType.BRANCH_CANCELLED]
    data: Cancelling


class BranchClosed(Entry):
    """`branch.closed`."""

    type: Literal[EventType.BRANCH_CLOSED]
    data: Closing


class SessionOpened(Entry):
    """`session.opened`."""

    type: Literal[EventType.SESSION_OPENED]
    data: Showing


class SessionForked(Entry):
    """`session.forked`."""

    type: Literal[EventType.SESSION_FORKED]
    data: Forking


class SessionClosed(Entry):
    """`session.closed`."""

    type: Literal[EventType.SESSION_CLOSED]
    data: Leaving


class CandidatesProposed(Entry):
    """`candidates.proposed`."""

    type: Literal[EventType.CANDIDATES_PROPOSED]
    data: Actions


class CandidatesRepeated(Entry):
    """`candidates.repeated`."""

    type: Literal[EventType.CANDIDATES_REPEATED]
    data: Repeated


class CandidatesCompared(Entry):
    """`candidates.compared`."""

    type: Literal[EventType.CANDIDATES_COMPARED]
    data: Compared


class SubtaskJudged(Entry):
    """`verdict.subtask`."""

    type: Literal[EventType.VERDICT_SUBTASK]
    data: Verdict


class CandidateSelected(Entry):
    """`verdict.selection`."""

    type: Literal[EventType.VERDICT_SELECTION]
    data: Choice


class PathJudged(Entry):
    """`verdict.path`."""

    type: Literal[EventType.VERDICT_PATH]
    data: PathVerdict


class StatesValued(Entry):
    """`verdict.value`."""

    type: Literal[EventType.VERDICT_VALUE]
    data: Values


class ReflectionMade(Entry):
    """`reflection.made`."""

    type: Literal[EventType.REFLECTION_MADE]
    data: Reflection


class StepTaken(Entry):
    """`step.taken`."""

    type: Literal[EventType.STEP_TAKEN]
    data: Stepping


class SubtaskOver(Entry):
    """`subtask.done` or `subtask.expired`."""

    type: Literal[EventType.SUBTASK_DONE, EventType.SUBTASK_EXPIRED]
    data: Subtask


class PathEnded(Entry):
    """`path.ended`."""

    type: Literal[EventType.PATH_ENDED]
    data: PathEnd


class PathCommitted(Entry):
    """`path.committed`."""

    type: Literal[EventType.PATH_COMMITTED]
    data: Commitment


class Backtracked(Entry):
    """`backtracked`."""

    type: Literal[EventType.BACKTRACKED]
    data: Backtrack


class WindowCut(Entry):
    """`window.cut`."""

    type: Literal[EventType.WINDOW_CUT]
    data: Cut


class FellBack(Entry):
    """`fell_back`."""

    type: Literal[EventType.FELL_BACK]
    data: Fallback


class NumbersDrawn(Entry):
    """`numbers.drawn`."""

    type: Literal[EventType.NUMBERS_DRAWN]
    data: Draw


class CallFailed(Entry):
    """`call.failed` or `path.diverged`."""

    type: Literal[EventType.CALL_FAILED, EventType.PATH_DIVERGED]
    data: CallFailure


class BudgetExhausted(Entry):
    """`budget.exhausted`."""

    type: Literal[EventType.BUDGET_EXHAUSTED]
    data: Exhausted


Event = Annotated[
    EpisodeCreated
    | EpisodeStarted
    | EpisodeCompleted
    | EpisodeFailed
    | EpisodeCancelled
    | PlanMade
    | BranchOpened
    | BranchTaken
    | BranchParked
    | BranchFirst
    | BranchCancelled
    | BranchClosed
    | SessionOpened
    | SessionForked
    | SessionClosed
    | CandidatesProposed
    | CandidatesRepeated
    | CandidatesCompared
    | SubtaskJudged
    | CandidateSelected
    | PathJudged
    | StatesValued
    | ReflectionMade
    | StepTaken
    | SubtaskOver
    | PathEnded
    | PathCommitted
    | Backtracked
    | WindowCut
    | FellBack
    | NumbersDrawn
    | CallFailed
    | BudgetExhausted,
    Field(discriminator="type"),
]
"""One entry of an episode's log."""
EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads an event of any type."""
