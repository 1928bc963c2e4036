"""Notes: events that a method writes for people and folds to read, and the data of each."""

from services.contracts.base import Message
from services.contracts.event import EventType
from services.contracts.event_data import (
    Backtrack,
    Commitment,
    Compared,
    Cut,
    Fallback,
    PathEnd,
    Repeated,
    Subtask,
)

NOTES: dict[EventType, type[Message]] = {
    EventType.CANDIDATES_REPEATED: Repeated,
    EventType.CANDIDATES_COMPARED: Compared,
    EventType.SUBTASK_DONE: Subtask,
    EventType.SUBTASK_EXPIRED: Subtask,
    EventType.PATH_ENDED: PathEnd,
    EventType.PATH_COMMITTED: Commitment,
    EventType.BACKTRACKED: Backtrack,
    EventType.WINDOW_CUT: Cut,
    EventType.FELL_BACK: Fallback,
}
"""What a method may write down."""
