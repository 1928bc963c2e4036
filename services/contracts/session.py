"""Environment sessions: one instance of an environment that is stepped, forked and closed.

Keys make every call safe to repeat: the same `session_key`, `fork_key` or `step_key` gets the
first answer again. The epoch fences a worker that lost its lease (`fenced`, 409).
"""

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from services.contracts.base import Int, Message, Request
from services.contracts.task import InlineTask

KEY = Field(default=None, min_length=1, max_length=200)
EPOCH = Field(default=None, ge=0)
MAX_ACTION = 20_000
"""The longest action, characters."""


class SessionCreate(Request):
    """`POST /v1/sessions`."""

    task_id: str | None = Field(default=None, min_length=1, max_length=500)
    task: InlineTask | None = None
    seed: Int = Field(default=0, ge=0, le=2**63 - 1)
    session_key: str | None = KEY
    epoch: Int | None = EPOCH

    @model_validator(mode="after")
    def _one_task(self) -> "SessionCreate":
        if (self.task_id is None) == (self.task is None):
            raise ValueError("give exactly one of task_id and task")
        return self


class StepRequest(Request):
    """`POST /v1/sessions/{id}/steps`."""

    action: str = Field(max_length=MAX_ACTION)
    step_key: str | None = KEY
    """`<branch>/<n>`; lives in this one session."""
    epoch: Int | None = EPOCH


class ForkRequest(Request):
    """`POST /v1/sessions/{id}/forks`."""

    fork_key: str | None = KEY
    at_step: Int | None = Field(default=None, ge=0)
    """Fork the state after this many steps; None: as it is now."""
    epoch: Int | None = EPOCH


class SessionState(Message):
    """What creating, stepping, forking and getting a session answer."""

    session_id: str
    observation: str
    reward: float = Field(default=0.0, allow_inf_nan=False)
    """The reward so far, 0 to 1. The search does not see it unless `feedback` says so."""
    done: bool = False
    valid: bool = True
    """Whether the last action was one that the environment understood and could do."""
    step_count: int = 0
    expires_at: float = 0.0
    """When the session goes if it is left alone, Unix seconds."""
    instruction: str = ""
    """The task's instruction."""
    task_id: str = ""
    essence: str = ""
    """A digest of the observation without what may differ between two runs (process ids, times): what a
    rebuilt session is compared by. Empty where the environment gives none."""
    outcome: str = ""
    """What a session that is done amounts to, as a digest: equal for ends that are the same, such as the same
    answer, or tables that were left the same. Votes count it. Empty where the environment has none."""
    grammar: str = ""
    """The language of the valid actions, a regular expression; empty where the environment has none. It is in
    the answer of `GET /v1/sessions/{id}` only: it may be long, and few callers need it."""
    info: dict[str, Any] = Field(default_factory=dict)
    """What graders and people may look at; never given to a method."""


class SessionEntry(Message):
    """A live session in a list of sessions."""

    session_id: str
    session_key: str | None = None
    """The key that it was created under, if any."""
    fork_key: str | None = None
    """The key that it was forked under, if any."""
    parent: str | None = None
    """The session that it was forked from, if it is a fork."""
    created_at: float
    """Unix seconds, by the server's clock."""
    touched_at: float
    """When it was created, stepped or forked last, Unix seconds."""
    epoch: int = 0
    """The highest epoch that it was shown."""


class SessionPage(Message):
    """`GET /v1/sessions`: live sessions, the oldest first."""

    sessions: list[SessionEntry]
    next: str | None = None
    """The cursor of the next page; None on the last."""


class ServerLoad(Message):
    """`GET /v1/load`: how full an environment server is."""

    sessions: int = Field(ge=0)
    """Sessions that are live or being started."""
    limit: int = Field(ge=1)
    """How many it takes (`ESPALIER_MAX_SESSIONS`)."""
    draining: bool = False
    """Whether it takes no new sessions."""


class Fork(StrEnum):
    """How an environment forks."""

    NATIVE = "native"
    REPLAY = "replay"


class DoneMeans(StrEnum):
    """What `done` says in an environment."""

    SUCCESS = "success"
    END = "end"


class TerminalAction(StrEnum):
    """Whether an episode must end with an action that submits."""

    REQUIRED = "required"
    NONE = "none"


class Metadata(Message):
    """`GET /metadata` of an environment."""

    name: str
    version: str
    fork: Fork
    done_means: DoneMeans
    terminal_action: TerminalAction
    splits: list[str]
    takes_tasks: bool = False
    """Whether a task may be given inline."""
    max_steps: int = 30
    """The benchmark's own limit of steps a path."""
    description: str = ""
    """What it is, as prompts have it."""
    actions: str = ""
    """The action language, as prompts have it."""
    terminal_example: str = ""
    """The form of the terminal action, where one is required."""
    engine: str = ""
