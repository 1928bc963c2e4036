"""Which errors of Redis pass by themselves, so that the same call may be repeated."""

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

REDIS_TRANSIENT = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    OutOfMemoryError,
    ClusterDownError,
    TryAgainError,
)
REDIS_WORDS = ("LOADING", "MISCONF", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "BUSY ", "READONLY", "OOM ")
"""How Redis begins the errors that pass by themselves, where the client has no class for them."""


def is_transient(error: BaseException) -> bool:
    """Return whether an error of Redis passes by itself, so that the same call may be repeated."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return False
    if isinstance(error, REDIS_TRANSIENT):
        return True
    if isinstance(error, ResponseError):
        return str(error).startswith(REDIS_WORDS)
    return isinstance(error, OSError) and not isinstance(error, RedisError)
