"""The live instances of an environment, by their handles."""

import itertools
from typing import Generic, TypeVar

from envs.serving.environment import InstanceLostError

T = TypeVar("T")


class Instances(Generic[T]):
    """A table of instances. An instance may be a value that a step replaces, or an object that it changes.

    Args:
        prefix: What handles begin with: `visit` for `visit-1`, `visit-2` and so on.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._instances: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._instances)

    def handles(self) -> list[str]:
        """Return the handles of all instances."""
        return list(self._instances)

    def add(self, instance: T) -> str:
        """Add an instance and return its handle."""
        handle = f"{self._prefix}-{next(self._numbers)}"
        self._instances[handle] = instance
        return handle

    def put(self, handle: str, instance: T) -> None:
        """Set the instance of a handle: after a step, or under a handle that an engine gave."""
        self._instances[handle] = instance

    def get(self, handle: str) -> T:
        """Return the instance of a handle.

        Raises:
            InstanceLostError: There is none.
        """
        try:
            return self._instances[handle]
        except KeyError:
            raise InstanceLostError(f"no instance {handle}") from None

    def pop(self, handle: str) -> T | None:
        """Remove an instance and return it; None where there is none."""
        return self._instances.pop(handle, None)

    def clear(self) -> list[T]:
        """Remove all instances and return them."""
        removed = list(self._instances.values())
        self._instances.clear()
        return removed
