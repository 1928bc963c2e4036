"""The port: what an environment implements so that the session server can serve it.

An environment knows nothing of sessions, keys, epochs or lifetimes. It starts instances, steps them
and ends them; an instance that it lost (`InstanceLostError`) is rebuilt by the server from its history.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.contracts.session import Metadata
from services.contracts.task import InlineTask, Task


class InstanceLostError(Exception):
    """The instance is gone (its process died or was recycled); a replay can bring it back."""


class EngineUnavailableError(Exception):
    """No instance can be run now: the engine is not installed or does not start."""


class UnknownTaskError(LookupError):
    """There is no task of this id."""


class BadTaskError(ValueError):
    """The inline task cannot be played; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What an environment shows after a start or a step."""

    observation: str
    reward: float = 0.0
    """The reward so far, 0 to 1."""
    done: bool = False
    valid: bool = True
    """Whether the action was understood and possible."""
    info: dict[str, Any] = field(default_factory=dict)
    """For graders and people; never given to a method."""
    outcome: str = ""
    """What an end amounts to: equal for ends that are the same, whatever led to them. It says nothing of
    whether the end is right. Empty where the environment has none."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A started instance."""

    handle: str
    """The environment's own name of the instance."""
    frame: Frame
    instruction: str


class Environment(Protocol):
    """What an environment implements. All coroutines may be cancelled at any await."""

    @property
    def metadata(self) -> Metadata:
        """What it is and what it can do."""
        ...

    async def open(self) -> None:
        """Get ready to serve: index tasks, start processes."""
        ...

    async def close(self) -> None:
        """Stop every process that was started."""
        ...

    async def ready(self) -> str | None:
        """None where instances can be started, else why not."""
        ...

    def count(self, split: str) -> int:
        """How many tasks a split of `metadata.splits` has."""
        ...

    async def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """The tasks of a split by position, `start` inclusive, `stop` exclusive."""
        ...

    async def task(self, task_id: str) -> Task:
        """One task.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        ...

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Start an instance.

        Raises:
            BadTaskError: An inline task cannot be played.
            EngineUnavailableError: No instance can be started now.
            InstanceLostError: The instance went while it started.
        """
        ...

    async def step(self, handle: str, action: str) -> Frame:
        """Take one action.

        Raises:
            InstanceLostError: The instance is gone.
        """
        ...

    async def fork(self, handle: str) -> str:
        """The handle of a copy; asked for only where `metadata.fork` is `native`.

        Raises:
            InstanceLostError: The instance is gone.
        """
        ...

    async def end(self, handle: str) -> None:
        """Let an instance go; a handle that is not known is no error."""
        ...

    def normalise(self, observation: str) -> str:
        """The observation without what may differ between two runs (process ids, times, inode order)."""
        ...
