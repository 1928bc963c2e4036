"""Events: the log of an episode. Tree, stream, figures, metrics and replay are folds of it.

Each type of event has a model; `Event` is their union. An event with a `seq` is the answer to a port call.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from services.contracts.action import Actions
from services.contracts.base import Message
from services.contracts.episode import Failure, Figures, Result
from services.contracts.plan import Plan
from services.contracts.verdict import Choice, PathVerdict, Verdict


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


class Spent(Message):
    """What a branch spent of a budget, its children's part included."""

    calls: int = 0
    """Requests to the engine."""
    tokens: int = 0
    """Prompt and completion tokens."""


class Share(Message):
    """A branch's part of the episode's budget; None is no limit."""

    calls: int | None = None
    tokens: int | None = None


class Created(Message):
    """The episode's start."""

    instruction: str = ""


class Completed(Message):
    """The episode's result."""

    result: Result | None = None
    """None in a stream that leaves out what shows the reward."""
    figures: Figures


class Failed(Message):
    """Why the episode failed."""

    failure: Failure
    figures: Figures


class Place(StrEnum):
    """Where a branch runs."""

    LOCAL = "local"
    """In the process that runs its parent."""
    JOB = "job"
    """As a job that any worker takes."""


class SessionRef(Message):
    """A session that a branch hands to another one."""

    session: str
    """`<branch>/<handle>` of the branch that opened or forked it."""
    session_id: str
    """The environment's id."""
    observation: str
    done: bool = False
    steps: int = 0
    """Steps taken in it and, for a fork, in its ancestors up to the fork."""


class Opening(Message):
    """A branch that the event's branch opened."""

    opened: str
    """The new branch's id."""
    body: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    session: SessionRef | None = None
    """The session that it starts from; None: it opens its own."""
    share: Share = Share()
    place: Place = Place.LOCAL


class Taking(Message):
    """A worker that runs the event's branch from now on."""

    worker: str
    epoch: int


class Parking(Message):
    """The branch waits for others and holds no slot."""

    branches: list[str]
    first: bool = False
    """Whether one of them is enough."""


class First(Message):
    """Which of several branches closed first."""

    first: str


class Cancelling(Message):
    """Branches that were ended early, and what they had spent."""

    branches: list[str]
    spent: dict[str, Spent] = Field(default_factory=dict)


class Closing(Spent):
    """How the event's branch ended, and what it spent."""

    result: dict[str, Any] | None = None
    """The body's result; None where it failed."""
    failure: str = ""
    """The part that broke, `diverged`, `budget`, `cancelled` or `error`; empty where it did not fail."""
    detail: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_nested(cls, data: Any) -> Any:
        """Read the form of release 0.1, which held result, failure and detail in `outcome`."""
        if isinstance(data, dict) and isinstance(data.get("outcome"), dict):  # pyright: ignore[reportUnknownMemberType]
            return {**data, **data["outcome"]}  # pyright: ignore[reportUnknownVariableType]
        return data  # pyright: ignore[reportUnknownVariableType]


class Showing(Message):
    """What a session showed."""

    session: str
    """The branch's handle of it."""
    session_id: str
    """The environment's id; another one after a rebuild."""
    observation: str
    essence: str = ""
    """What a rebuilt session is compared by; empty: the observation itself."""
    done: bool = False
    valid: bool = True
    score: float = 0.0
    """The reward so far. Shown to people and to no method."""
    seconds: float = 0.0
    """From the request to the answer."""


class Forking(Showing):
    """A session in the state of another one."""

    of: str
    """The session that was forked, `<branch>/<handle>`."""
    at_step: int
    """Steps of that session that the fork shares."""


class Stepping(Showing):
    """A step that was taken."""

    n: int
    """The step's number in its session, from 1; a fork counts on."""
    action: str


class Leaving(Message):
    """A session that the branch is done with."""

    session: str
    left: str = ""
    """Why it could not be closed; it expires by itself."""


class Subtask(Message):
    """A subtask that is over."""

    index: int
    subtask: str
    steps: int


class PathEnd(Message):
    """Why a path ended."""

    reason: str
    steps: int


class Commitment(Message):
    """The branch whose path is the episode's result."""

    branch: str
    good_enough: bool | None = None


class Backtrack(Message):
    """A path that was not good enough, so that another one begins."""

    path: int
    from_branch: str


class Cut(Message):
    """Turns that left the window."""

    first_turn: int
    turns: int


class Draw(Message):
    """Random numbers from the episode's seed, in [0, 1)."""

    numbers: list[float]


class CallFailure(Message):
    """A call that failed for good: a part is away for too long, or refuses."""

    reason: str
    """The part's name, or `diverged`."""
    detail: str = ""


class Exhausted(Message):
    """A call that was not made."""

    limit: str
    """`model_calls`, `tokens`, `seconds`, `log` or `branches`."""


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
    | SubtaskJudged
    | CandidateSelected
    | PathJudged
    | StepTaken
    | SubtaskOver
    | PathEnded
    | PathCommitted
    | Backtracked
    | WindowCut
    | NumbersDrawn
    | CallFailed
    | BudgetExhausted,
    Field(discriminator="type"),
]
"""One entry of an episode's log."""
EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads an event of any type."""
