"""The worker's port to environments, and its errors; `environment_servers.py` implements it over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from services.contracts.episode import EpisodeCreate
from services.contracts.session import SessionEntry, SessionState


class SessionLostError(Exception):
    """Raised when a session is gone: it expired, or its server lost it or went away."""


class SessionAheadError(SessionLostError):
    """Raised when a session has taken a step that the caller's log does not have.

    It happens when Redis loses the tail of a log while environments live on. The session is of no use to
    the log, which is rebuilt in another one.
    """


class DivergedError(Exception):
    """Raised when a rebuilt session answers otherwise than the recorded one."""


@dataclass(frozen=True)
class Timed:
    """A session's answer and how long it took."""

    state: SessionState
    seconds: float


class EnvironmentPort(Protocol):
    """What a worker needs of an environment.

    Calls raise `OutageError`, `BusyError` and `RefusedError` (`services.kit.failures`), and `FencedError`
    for an epoch below one that the session has seen.
    """

    async def open(self, request: EpisodeCreate, key: str, epoch: int) -> Timed:
        """Open a session; the same key gets the same session."""
        ...

    async def step(self, session: str, action: str, key: str, epoch: int) -> Timed:
        """Take a step; the same key gets the first answer.

        Raises:
            SessionLostError: The session is gone.
            SessionAheadError: The key was used with another action.
        """
        ...

    async def fork(self, session: str, at_step: int, key: str, epoch: int | None) -> Timed:
        """Open a session in the state that this one had after `at_step` steps; the same key gets the same.

        Raises:
            SessionLostError: The session is gone, or its server takes no new ones while others do.
            SessionAheadError: The key was used with another step.
            DivergedError: The replay of the steps showed something else than before.
        """
        ...

    async def read(self, session: str) -> SessionState:
        """Return a session as it is now, with the language of its valid actions.

        Raises:
            SessionLostError: The session is gone.
        """
        ...

    async def close(self, session: str, epoch: int | None) -> None:
        """Close a session; one that is gone already is fine."""
        ...

    def sessions(self) -> AsyncIterator[SessionEntry]:
        """Iterate over the live sessions of all servers; servers that are away are passed over."""
        ...
