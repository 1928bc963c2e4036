"""Environments in memory whose instances are values: a step gives the next one, and a fork keeps the same."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from envs.serving.environment import BadTaskError, Frame, Opening
from envs.serving.instances import Instances
from envs.serving.tasks import TaskTable
from services.contracts.session import Metadata
from services.contracts.task import InlineTask, Task

Item = TypeVar("Item")
"""What a task is played from."""
Value = TypeVar("Value")
"""The state of an instance; a step never changes it."""


class ValueEnvironment(ABC, Generic[Item, Value]):
    """Base of environments that compute a step at once, in the server's process.

    It has all of `Environment` but `metadata`. A subclass gives `begin` and `act`, and may prepare in `open`.

    Args:
        prefix: What handles begin with.
        tasks: The tasks; `open` may set others.
    """

    no_inline = "this environment takes no inline tasks"
    """Why an inline task is refused."""

    def __init__(self, prefix: str, tasks: TaskTable[Item]) -> None:
        self._tasks = tasks
        self._instances: Instances[Value] = Instances(prefix)

    @property
    @abstractmethod
    def metadata(self) -> Metadata:
        """What it is and what it can do; `fork` is `native`."""

    @abstractmethod
    def begin(self, item: Item, seed: int) -> tuple[Value, Frame]:
        """Return the first state of a task and what it shows."""

    @abstractmethod
    def act(self, value: Value, action: str) -> tuple[Value, Frame]:
        """Return the state after an action and what it shows; an action that is not valid changes nothing."""

    async def open(self) -> None:
        """Prepare nothing."""

    async def close(self) -> None:
        """Forget every instance."""
        self._instances.clear()

    async def ready(self) -> str | None:
        """Return None where instances can be started, else why not."""
        return None

    def count(self, split: str) -> int:
        """Return how many tasks a split has."""
        return self._tasks.count(split)

    async def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Return tasks by position."""
        return self._tasks.page(split, start, stop)

    async def task(self, task_id: str) -> Task:
        """Return one task."""
        return self._tasks.task(task_id)

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Start an instance of a listed task."""
        if isinstance(task, InlineTask):
            raise BadTaskError(self.no_inline)
        value, frame = self.begin(self._tasks.find(task.id), seed)
        return Opening(self._instances.add(value), frame, task.instruction)

    async def step(self, handle: str, action: str) -> Frame:
        """Take one action."""
        value, frame = self.act(self._instances.get(handle), action)
        self._instances.put(handle, value)
        return frame

    async def fork(self, handle: str) -> str:
        """Return the handle of a copy: the same value, which no step changes."""
        return self._instances.add(self._instances.get(handle))

    async def end(self, handle: str) -> None:
        """Remove an instance."""
        self._instances.pop(handle)

    def normalise(self, observation: str) -> str:
        """Return the observation: two runs show the same text."""
        return observation.strip()
