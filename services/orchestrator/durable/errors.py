"""Why a run of a branch stops before its end."""

from services.contracts.event_data import Parking
from services.kit.failures import BusyError, OutageError


class NondeterministicError(Exception):
    """The method requested something else than it did when the log was written."""


class ReplayEndError(Exception):
    """A replay without live ports came to the end of what is recorded."""


class BrokenError(Exception):
    """A branch that was waited for has ended by a bug: so does the episode."""


class LaidAside(BaseException):
    """A part is away or at its limit, and the branch is tried again later.

    Args:
        error: `OutageError` or `BusyError`.
    """

    def __init__(self, error: OutageError | BusyError) -> None:
        super().__init__(str(error))
        self.error = error


class Parked(BaseException):
    """The branch waits for branches that run elsewhere, and gives its slot back."""

    def __init__(self, waits: Parking) -> None:
        super().__init__()
        self.waits = waits
