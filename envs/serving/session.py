"""One session: an instance, what was done in it, and who may touch it.

The history is the truth and the instance only its present form: whoever holds the history can build
the instance again.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from envs.serving.environment import Frame
from services.contracts.session import SessionEntry, SessionState
from services.contracts.task import InlineTask, Task
from services.kit.problems import Kind, ProblemError


@dataclass(frozen=True, slots=True)
class Past:
    """A step that was taken."""

    action: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class Origin:
    """What a session was started from; with the history it determines the state."""

    task: Task | InlineTask
    seed: int
    instruction: str
    first: Frame

    @property
    def task_id(self) -> str:
        """The task's id; empty for a task of the client's own."""
        return self.task.id if isinstance(self.task, Task) else ""


@dataclass(frozen=True, slots=True)
class OnceKey:
    """The key under which creating or forking a session is remembered."""

    field: str
    """The field of the request that holds it: `session_key` or `fork_key`."""
    key: str
    parent: str | None = None
    """The session that a fork is of: its keys live in it."""


@dataclass
class Session:
    """A live session. Everything but `admit` is done under `lock`."""

    id: str
    origin: Origin
    handle: str | None
    """The environment's instance; None where it is lost and is to be rebuilt."""
    born: float
    touched: float
    history: list[Past] = field(default_factory=list)
    epoch: int = 0
    number: int = 0
    """Its place in the order in which sessions were made."""
    parent: str | None = None
    """The session that it was forked from."""
    once_key: OnceKey | None = None
    answers: dict[str, tuple[str, SessionState]] = field(default_factory=dict)
    """Step keys: the action and the first answer. Bounded by the session's steps."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def present(self) -> Frame:
        """What the environment showed last."""
        return self.history[-1].frame if self.history else self.origin.first

    def admit(self, epoch: int | None) -> None:
        """Remember the highest epoch and refuse a lower one.

        Raises:
            ProblemError: 409 `fenced`.
        """
        if epoch is None:
            return
        if epoch < self.epoch:
            raise ProblemError(
                Kind.FENCED,
                f"Epoch {epoch} is behind {self.epoch}: another worker has this session now; stop using it.",
            )
        self.epoch = epoch

    def answered(self, key: str | None, action: str) -> SessionState | None:
        """The first answer to a step key.

        Raises:
            ProblemError: 422, the key belongs to another action.
        """
        if key is None or key not in self.answers:
            return None
        first, answer = self.answers[key]
        if first != action:
            raise ProblemError.field("step_key", f"{key} was used with another action; use a new key")
        return answer

    def expires_at(self, idle: float, total: float) -> float:
        """When it goes if it is left alone, Unix seconds."""
        return min(self.touched + idle, self.born + total)

    def entry(self) -> SessionEntry:
        """Return what a list of sessions shows of it."""
        key = self.once_key
        return SessionEntry(
            session_id=self.id,
            session_key=key.key if key and key.parent is None else None,
            fork_key=key.key if key and key.parent is not None else None,
            parent=self.parent,
            created_at=self.born,
            touched_at=self.touched,
            epoch=self.epoch,
        )

    def state(self, expires_at: float, normalise: Callable[[str], str]) -> SessionState:
        """What it answers now; `normalise` takes out what may differ between two runs."""
        frame = self.present
        return SessionState(
            session_id=self.id,
            observation=frame.observation,
            reward=frame.reward,
            done=frame.done,
            valid=frame.valid,
            step_count=len(self.history),
            expires_at=expires_at,
            instruction=self.origin.instruction,
            task_id=self.origin.task_id,
            outcome=_digest(frame.outcome) if frame.outcome else "",
            essence=_digest(normalise(frame.observation)),
            info=frame.info,
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
