"""Failures that a test sets: the next requests to a path answer an error, or break off."""

from collections import deque
from dataclasses import dataclass

DROP = 0
"""The status of a fault that breaks the connection in the middle of the answer."""


@dataclass(frozen=True)
class Fault:
    """One failure of one request."""

    status: int
    """The HTTP status, or `DROP`."""
    path: str = "/v1/chat/completions"
    message: str = "The scripted engine was set to fail."


class Faults:
    """Failures that are due, in order."""

    def __init__(self) -> None:
        self._due: deque[Fault] = deque()

    def add(self, fault: Fault, times: int = 1) -> None:
        """Make the next `times` requests to the fault's path fail."""
        self._due.extend([fault] * times)

    def take(self, path: str) -> Fault | None:
        """The failure that is due for a request to this path, which then is no longer due."""
        fault = next((due for due in self._due if due.path == path), None)
        if fault:
            self._due.remove(fault)
        return fault

    def clear(self) -> None:
        """Make nothing fail any more."""
        self._due.clear()
