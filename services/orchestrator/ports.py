"""What a method may ask of the world.

A method is deterministic given the answers of these ports; each answer is recorded before the next
environment step, so that a method can be run again from its log. No port tells a reward.
"""

from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.action import ActionRequest, Actions
from services.contracts.context import Brief
from services.contracts.episode import EpisodeCreate
from services.contracts.event import EventType
from services.contracts.plan import Plan, PlanRequest
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    Verdict,
)


class Answer(BaseModel):
    """What the ports of the environment answer."""

    model_config = ConfigDict(frozen=True)


class Spec(Answer):
    """What a method knows of its episode from the start."""

    request: EpisodeCreate
    instruction: str
    brief: Brief
    max_steps: int
    needs_submit: bool
    """Whether the environment wants an action that submits the result."""


class Opened(Answer):
    """A new session of the environment, at the task's start."""

    session: str
    """The method's handle; the environment's own id stays behind the port."""
    observation: str


class Seen(Answer):
    """What a step answered."""

    observation: str
    done: bool
    valid: bool
    success: bool | None = None
    """None unless `feedback` lets the search know."""


class BranchOutcome(Answer):
    """How a branch that was opened ended."""

    branch: str
    result: dict[str, Any] | None = None
    """The body's result; None where it failed."""
    failure: str = ""
    """`model`, `environment`, `diverged` ...; empty where it did not fail."""
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

    Every method may raise InfrastructureError; those that ask a model, BudgetExhaustedError too.
    """

    @property
    def branch(self) -> str:
        """This branch's id."""
        ...

    async def plan(self, request: PlanRequest) -> Plan:
        """Ask the planner."""
        ...

    async def act(self, request: ActionRequest) -> Actions:
        """Ask the actor."""
        ...

    async def judge_subtask(self, question: SubtaskQuestion) -> Verdict:
        """Ask the judge whether a subtask is done."""
        ...

    async def select(self, question: SelectionQuestion) -> Choice:
        """Ask the judge which candidate is best."""
        ...

    async def judge_path(self, question: PathQuestion) -> PathVerdict:
        """Ask the judge whether a path is good enough, or which is best."""
        ...

    async def open(self) -> Opened:
        """Open a session at the task's start."""
        ...

    async def step(self, session: str, action: str) -> Seen:
        """Take a step."""
        ...

    async def close(self, session: str) -> None:
        """Close a session."""
        ...

    async def spawn(self, body: str, arguments: BaseModel) -> str:
        """Open a branch that runs a registered body; its id."""
        ...

    async def gather(self, branches: list[str]) -> list[BranchOutcome]:
        """Wait for branches, in the order given."""
        ...

    async def note(self, event: EventType, **data: Any) -> None:
        """Write something into the log that only people and folds read."""
        ...
