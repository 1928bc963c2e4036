"""Bearer tokens."""

import hmac
from collections.abc import Iterable

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/health"})
"""What needs no token: health and metrics tell nothing secret, and probes hold no keys."""


def authorised(header: str | None, keys: Iterable[str]) -> bool:
    """Whether an `Authorization` header carries one of the keys; compared in constant time."""
    if not header:
        return False
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        return False
    given = token.strip().encode()
    matches = [hmac.compare_digest(given, key.encode()) for key in keys]
    return any(matches)


def bearer(key: str) -> dict[str, str]:
    """The header to send; none without a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}
