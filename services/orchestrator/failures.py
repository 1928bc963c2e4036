"""Classifies what ends a run of an episode: in one place, each kind once (docs/reliability.md)."""

from enum import StrEnum

from services.kit.failures import BusyError, OutageError
from services.orchestrator.store.errors import FencedError, OverError
from services.orchestrator.store.transient import is_transient

SHORTEST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Between these a branch waits for a part that is at its limit, seconds."""


class Fate(StrEnum):
    """What becomes of a run."""

    OUTAGE = "outage"
    """A part is away: the branch is laid aside, and fails where the outage lasts."""
    BUSY = "busy"
    """A part is at its limit: the branch is laid aside for as long as its budget allows."""
    REDIS = "redis"
    """Redis is away: the branch is laid aside."""
    TAKEN = "taken"
    """Another worker has the branch, or the episode is over."""
    BUG = "bug"
    """Anything else: the episode ends as `failed: error`."""


def classify(error: BaseException) -> Fate:
    """Return what becomes of a run that ended with an exception."""
    match error:
        case OutageError():
            return Fate.OUTAGE
        case BusyError():
            return Fate.BUSY
        case FencedError() | OverError():
            return Fate.TAKEN
        case _:
            return Fate.REDIS if is_transient(error) else Fate.BUG


def choose_pause(error: BusyError) -> float:
    """Return how long a branch waits for a part that is at its limit, seconds."""
    return min(max(error.retry_after, SHORTEST_WAIT), LONGEST_WAIT)
