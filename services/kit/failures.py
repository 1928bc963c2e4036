"""What a call to another part may end with, each kind classified once.

`OutageError` and `BusyError` are transient: the caller may try again later. `RefusedError` will not change.
Every other exception is a bug.
"""

from services.contracts.problem import Problem


class OutageError(Exception):
    """Raised when a part cannot be reached or cannot work now; a later try may succeed.

    Args:
        part: Its name.
        reason: What happened, for people.
        problem: What the part answered, if it answered.
    """

    def __init__(self, part: str, reason: str, problem: Problem | None = None) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason
        self.problem = problem


class BusyError(Exception):
    """Raised when a part is at a limit of its own (429): backpressure, which is no outage.

    Args:
        part: Its name.
        reason: What happened, for people.
        retry_after: When to try again, seconds.
        answered: Whether the part answered so itself; False where the call never left this process.
    """

    def __init__(self, part: str, reason: str, retry_after: float, *, answered: bool = True) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason
        self.retry_after = retry_after
        self.answered = answered


class RefusedError(Exception):
    """Raised when a part refuses a request or answers it wrongly; another try will not help."""

    def __init__(self, part: str, problem: Problem) -> None:
        super().__init__(f"{part}: {problem.status} {problem.detail or problem.title}")
        self.part = part
        self.problem = problem
