"""Where a request comes from: its episode and its urgency, carried in headers from part to part.

`X-Session-ID` names the episode. A router that hashes it sends all requests of an episode's branches to one
engine, whose prefix cache holds what the branches share. `Priority: u=N` is the urgency (RFC 9218).
"""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

SESSION_HEADER = "x-session-id"
PRIORITY_HEADER = "priority"
URGENCY = 3
"""The urgency of a request that names none; 0 comes first, 7 comes last (RFC 9218, section 4.1)."""
_SESSION = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_URGENCY = re.compile(r"(?:^|,)\s*u=([0-7])\s*(?:$|[,;])")


@dataclass(frozen=True)
class Origin:
    """Where a request comes from."""

    session: str = ""
    """The episode; empty: none."""
    urgency: int = URGENCY

    def headers(self) -> dict[str, str]:
        """Return the headers that carry it to the next part."""
        headers = {SESSION_HEADER: self.session} if self.session else {}
        return headers if self.urgency == URGENCY else {**headers, PRIORITY_HEADER: f"u={self.urgency}"}

    @property
    def engine_priority(self) -> int:
        """The urgency as vLLM's `priority`: lower values come first, 0 is the default."""
        return self.urgency - URGENCY


UNNAMED = Origin()
_current: ContextVar[Origin] = ContextVar("origin", default=UNNAMED)


def current_origin() -> Origin:
    """Return where the work of this task comes from."""
    return _current.get()


@contextmanager
def carry(origin: Origin) -> Generator[None]:
    """Send an origin along with every call that is made inside the block."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)


def read_origin(header: Callable[[str], str]) -> Origin:
    """Return the origin that a request's headers name; what is malformed counts as absent.

    Args:
        header: Returns a header by its name in lower case; empty: absent.
    """
    session = header(SESSION_HEADER)
    urgency = _URGENCY.search(header(PRIORITY_HEADER)[:100])
    return Origin(
        session if _SESSION.fullmatch(session) else "", int(urgency.group(1)) if urgency else URGENCY
    )
