"""What a method may request of the world.

A method is deterministic given the answers of these ports. Each answer is recorded before the next
environment step, so that a method can be run again from its log. No port shows a reward.
"""

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.action import ActionRequest, Actions
from services.contracts.answer import RoleAnswer
from services.contracts.context import Brief
from services.contracts.episode import EpisodeCreate, Feedback
from services.contracts.event import EventType
from services.contracts.plan import Plan, PlanRequest
from services.contracts.reflection import Reflection, ReflectionRequest
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    ValueQuestion,
    Values,
    Verdict,
)

RequestT = TypeVar("RequestT", bound=BaseModel)
AnswerT = TypeVar("AnswerT", bound=RoleAnswer)


@dataclass(frozen=True)
class Question(Generic[RequestT, AnswerT]):
    """A kind of model call: which role answers it, how, and the event that records the answer."""

    event: EventType
    role: str
    path: str
    """Of the role's HTTP endpoint."""
    request: type[RequestT]
    answer: type[AnswerT]


PLAN = Question(EventType.PLAN_MADE, "planner", "/v1/plans", PlanRequest, Plan)
"""Split the task into subtasks."""
ACT = Question(EventType.CANDIDATES_PROPOSED, "actor", "/v1/actions", ActionRequest, Actions)
"""Propose candidates for the next action."""
JUDGE_SUBTASK = Question(EventType.VERDICT_SUBTASK, "judge", "/v1/verdicts/subtask", SubtaskQuestion, Verdict)
"""Is the subtask done?"""
SELECT = Question(EventType.VERDICT_SELECTION, "judge", "/v1/verdicts/selection", SelectionQuestion, Choice)
"""Which candidate is the best next action?"""
JUDGE_PATH = Question(EventType.VERDICT_PATH, "judge", "/v1/verdicts/path", PathQuestion, PathVerdict)
"""Is a path good enough, or which of several is best?"""
JUDGE_VALUE = Question(EventType.VERDICT_VALUE, "judge", "/v1/verdicts/value", ValueQuestion, Values)
"""How likely is success from each of several states?"""
REFLECT = Question(EventType.REFLECTION_MADE, "judge", "/v1/reflections", ReflectionRequest, Reflection)
"""What does a path that was not good enough teach?"""
QUESTIONS: tuple[Question[Any, Any], ...] = (
    PLAN,
    ACT,
    JUDGE_SUBTASK,
    SELECT,
    JUDGE_PATH,
    JUDGE_VALUE,
    REFLECT,
)
"""Every kind of model call."""


class Answer(BaseModel):
    """What the ports of the environment answer."""

    model_config = ConfigDict(frozen=True)


class Spec(Answer):
    """What a method is given of its episode."""

    request: EpisodeCreate
    instruction: str
    brief: Brief
    max_steps: int
    needs_submit: bool
    """Whether the environment wants an action that submits the result."""
    margin: float | None = None
    """What was calibrated for the adapter and this environment: see `Card.margins`; None: nothing was."""
    planned: bool | None = None
    """Whether the adapter learned plans of this environment; None: it is not recorded."""
    done_means_success: bool = False
    """Whether the environment ends a session at success alone, and not at a submission."""

    @property
    def hides_ends(self) -> bool:
        """Whether a method may not prefer a path for being done: that would be the hidden reward."""
        return self.done_means_success and self.request.feedback is Feedback.JUDGE


class Opened(Answer):
    """A session that a branch may step: opened at the task's start, forked, or handed to it."""

    session: str
    """The method's handle; the environment's own id stays behind the port."""
    observation: str
    """What it showed last."""
    done: bool = False
    steps: int = 0
    """Steps taken in it so far, its ancestors' included."""


class Seen(Answer):
    """What a step answered."""

    observation: str
    done: bool
    valid: bool
    success: bool | None = None
    """None unless `feedback` lets the search know."""
    outcome: str = ""
    """What an end amounts to, for votes; empty where the environment has none."""


class BranchOutcome(Answer):
    """How a branch that was opened ended."""

    branch: str
    result: dict[str, Any] | None = None
    """The body's result; None where it failed."""
    failure: str = ""
    """The part that broke, `diverged`, `budget` or `cancelled`; empty where it did not fail."""
    detail: str = ""


class Committed(Answer):
    """What a method returns: the branch whose path is the episode's result."""

    branch: str
    good_enough: bool | None = None
    ended: str
    steps: int = Field(ge=0)


class InfrastructureError(Exception):
    """A part of the stack broke for longer than is waited for; recorded, and seen again on replay."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BudgetExhaustedError(Exception):
    """The episode's budget leaves no room for this call; recorded, and seen again on replay."""


class World(Protocol):
    """The ports, as one branch sees them.

    Every method may raise InfrastructureError; those that cost model calls or open branches may raise
    BudgetExhaustedError. A branch makes one call at a time: what runs concurrently is branches.
    """

    @property
    def branch(self) -> str:
        """This branch's id."""
        ...

    @property
    def inherited(self) -> Opened | None:
        """The session that the branch was opened with; None where it opens its own."""
        ...

    async def query(
        self, question: Question[RequestT, AnswerT], request: RequestT, session: str | None = None
    ) -> AnswerT:
        """Return a role's answer.

        Args:
            question: Which.
            request: Its request.
            session: Where the request has a `grammar`: the session whose valid actions are its `language`,
                read when the call is made. It is neither recorded nor part of the request's digest.
        """
        ...

    async def open(self) -> Opened:
        """Open a session at the task's start."""
        ...

    async def step(self, session: str, action: str) -> Seen:
        """Take a step."""
        ...

    async def fork(self, session: str, at_step: int | None = None) -> Opened:
        """Open a session in the state of another one.

        Args:
            session: A session of this branch, or `<branch>/<handle>` of a branch that has closed.
            at_step: The state after this many steps; None: as it is now.
        """
        ...

    async def close(self, session: str) -> None:
        """Close a session."""
        ...

    async def spawn(self, body: str, arguments: BaseModel, session: str | None = None, parts: int = 1) -> str:
        """Open a branch and return its id. It begins at once and runs beside this one.

        Args:
            body: The name of a registered body.
            arguments: Its arguments.
            session: A session of this branch that is handed over to it.
            parts: The branch gets one part in so many of what is left of this one's budget.

        Raises:
            BudgetExhaustedError: The episode has as many branches as it may have.
        """
        ...

    async def gather(self, branches: list[str]) -> list[BranchOutcome]:
        """Wait for branches and return their outcomes in the order given."""
        ...

    async def first(self, branches: list[str]) -> BranchOutcome:
        """Wait for the first of several branches to close and return its outcome. The others go on."""
        ...

    async def cancel(self, branches: list[str]) -> None:
        """End branches early. What is left of their budgets returns to this branch."""
        ...

    async def draw(self, n: int) -> list[float]:
        """Return random numbers in [0, 1), from the episode's seed and the number of the call."""
        ...

    async def note(self, event: EventType, **data: Any) -> None:
        """Write something into the log that only people and folds read."""
        ...
