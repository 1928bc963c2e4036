"""The data of events: what each type of event holds."""

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from services.contracts.base import Message
from services.contracts.episode import Failure, Figures, Result


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
    trace: str = ""
    """The span of the run that opened it, as W3C `traceparent`; empty unless it is a traced job."""


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
    outcome: str = ""
    """What an end amounts to; empty before the end, and where the environment has none."""
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


class Repeated(Message):
    """Candidates that were passed over, because they would repeat what had no effect."""

    actions: list[str]
    avoided: list[str]
    """All actions that may not be taken now."""


class Outcome(Message):
    """A candidate that was taken to see what it leads to."""

    session: str
    """The branch's handle of the session that it was taken in."""
    action: str
    value: float | None = None
    """The judge's P(success) from there; None where nothing had to be compared."""
    dead: bool = False
    """Whether it was refused or showed nothing new, so that it lost at once."""


class Compared(Message):
    """Candidates that were taken in forks; the branch goes on in the session of the chosen one."""

    outcomes: list[Outcome] = Field(min_length=1)
    chosen: int = Field(ge=0)
    """The index of the chosen one."""

    @model_validator(mode="after")
    def _has_chosen(self) -> "Compared":
        if self.chosen >= len(self.outcomes):
            raise ValueError("chosen is the index of an outcome")
        return self


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
    to_step: int = 0
    """The step of that path after which the next one begins; 0: the task's start."""


class Cut(Message):
    """Turns that left the window."""

    first_turn: int
    turns: int


class Fallback(Message):
    """Something that a method would do, and does not."""

    what: str
    detail: str
    """Why, and what to do about it."""


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
