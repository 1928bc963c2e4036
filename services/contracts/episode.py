"""Episodes: one attempt at a task by one policy, which commits exactly one result."""

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from services.contracts.base import Float, Int, Message, Request
from services.contracts.task import InlineTask
from services.contracts.usage import Usage

EPISODE_ID = r"^ep_[0-9a-z]{26}$"


class State(StrEnum):
    """Where an episode is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self in (State.COMPLETED, State.FAILED, State.CANCELLED)


class Feedback(StrEnum):
    """What the search may know of the environment's judgement."""

    JUDGE = "judge"
    """Nothing: the judge reads the transcript alone."""
    DONE = "done"
    """Where `done` means success, the search may count it so."""
    ENV = "env"
    """The reward too."""


class Priority(StrEnum):
    """How soon an episode's work is done where there is more than can be done at once."""

    INTERACTIVE = "interactive"
    """Before all batch work: someone waits for it."""
    BATCH = "batch"


class Budget(Request):
    """Limits of a whole episode; None is no limit but the method's own."""

    model_calls: Int | None = Field(default=None, ge=1, le=1_000_000)
    tokens: Int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Prompt and completion tokens together."""
    seconds: Float | None = Field(default=None, gt=0, le=7 * 86400)


class EpisodeCreate(Request):
    """`POST /v1/episodes`."""

    environment: str = Field(min_length=1, max_length=100)
    task_id: str | None = Field(default=None, min_length=1, max_length=500)
    task: InlineTask | None = None
    method: str = Field(default="tmbr", min_length=1, max_length=50)
    adapter: str | None = Field(default=None, min_length=1, max_length=200)
    num_branch: Int = Field(default=2, ge=1, le=16)
    """Candidates an expansion (paper, Table 3: 2 is best)."""
    num_path: Int = Field(default=2, ge=1, le=16)
    """Root-to-end attempts (paper, Table 3: 2 is best)."""
    num_subtasks: Int = Field(default=3, ge=0, le=16)
    """k, the subtasks of a plan (paper, section 3.3: usually 3); 0: the task is not split."""
    max_steps: Int | None = Field(default=None, ge=1, le=200)
    """Environment steps of a path; None: the environment's own."""
    seed: Int = Field(default=0, ge=0, le=2**31 - 1)
    feedback: Feedback = Feedback.JUDGE
    subtask_threshold: Float = Field(default=0.5, ge=0, le=1)
    path_threshold: Float = Field(default=0.5, ge=0, le=1)
    budget: Budget = Budget()
    priority: Priority = Priority.INTERACTIVE
    params: dict[str, Any] = Field(default_factory=dict)
    """The method's own parameters; unknown ones are refused."""

    @model_validator(mode="after")
    def _one_task(self) -> "EpisodeCreate":
        if (self.task_id is None) == (self.task is None):
            raise ValueError("give exactly one of task_id and task")
        return self


class WallTime(Message):
    """Where an episode's time went, seconds."""

    total: float = 0.0
    """From creation to end."""
    model: float = 0.0
    """The engine's requests to answer, as the role services see them."""
    environment: float = 0.0
    """The environment's requests to answer, as the worker sees them."""
    queueing: float = 0.0
    """From enqueueing to the start."""
    orchestration: float = 0.0
    """Everything else, the role services' hops included."""


class Figures(Message):
    """What an episode did and cost, folded from its log."""

    steps: int = 0
    """Environment steps on all paths."""
    paths: int = 0
    candidates: int = 0
    """Answers of the actor, equal ones counted each."""
    malformed: int = 0
    """Of them, those without the form that was asked for."""
    invalid_actions: int = 0
    """Steps that the environment did not understand or could not do."""
    repeated: int = 0
    """Steps whose action and observation stood in the same path before: loops."""
    refused_followed: int = 0
    """Steps that the environment refused and that another step followed on the same path."""
    refused_repeated: int = 0
    """Of them, those that the same action followed at once."""
    backtracks: int = 0
    forks: int = 0
    """Sessions that began in the state of another one."""
    window_cuts: int = 0
    usage: Usage = Usage()
    wall: WallTime = WallTime()


class Result(Message):
    """What an episode committed."""

    branch: str
    """The branch whose path is committed."""
    score: float = Field(ge=0, le=1)
    """The committed path's reward."""
    success: bool
    """Whether the reward is the full one."""
    good_enough: bool | None = None
    """The judge's verdict on it; None where the method has no judge."""
    ended: str
    """Why the committed path ended."""
    steps: int
    """Environment steps of the committed path."""


class Failure(Message):
    """Why an episode failed; never a score."""

    reason: str
    """The part that broke (`planner`, `judge`, `actor`, an environment's name), or `diverged`,
    `nondeterministic`, `limit`, `error`."""
    detail: str = ""


class Episode(Message):
    """An episode as clients see it."""

    id: str
    state: State
    request: EpisodeCreate
    instruction: str = ""
    version: str = ""
    """The method's version."""
    profile: str = ""
    model: str = ""
    adapter: str | None = None
    created_at: float
    """Unix seconds, as all times."""
    started_at: float | None = None
    ended_at: float | None = None
    result: Result | None = None
    failure: Failure | None = None
    figures: Figures | None = None


class EpisodePage(Message):
    """`GET /v1/episodes`: the newest first."""

    episodes: list[Episode]
    next: str | None = None


class Replay(Message):
    """`POST /v1/episodes/{id}/replay`: the method run again on the recorded answers."""

    id: str
    calls: int
    """Port calls that were answered from the log."""
    identical: bool
    """Whether every request had the recorded digest and the same path was committed."""
    detail: str = ""
    """The first difference, where there is one."""
    result: Result | None = None
