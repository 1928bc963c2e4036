"""Why a run of a branch stops before its end."""

from services.contracts.event import Parking


class NondeterministicError(Exception):
    """The method requested something else than it did when the log was written."""


class ReplayEndError(Exception):
    """A replay without live ports came to the end of what is recorded."""


class Parked(BaseException):
    """The branch waits for branches that run elsewhere, and gives its slot back."""

    def __init__(self, waits: Parking) -> None:
        super().__init__()
        self.waits = waits
