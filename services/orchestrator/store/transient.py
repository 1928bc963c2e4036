"""Which errors of Redis pass by themselves, so that the same call may be repeated."""

import builtins
import re

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ClusterError,
    ConnectionError,
    InvalidResponse,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

REDIS_TRANSIENT = (
    ConnectionError,
    TimeoutError,
    InvalidResponse,
    ReadOnlyError,
    OutOfMemoryError,
    AskError,
    ClusterDownError,
    ClusterError,
    RedisClusterException,
    TryAgainError,
)
NO_CLUSTER = "cluster mode is not enabled"
"""What a client of a cluster finds at a server that is none."""
REDIS_WORDS = re.compile(
    r"(?:^|-)(?:LOADING|MISCONF|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|BUSY|READONLY|OOM|UNBLOCKED)\b"
)
"""The codes of errors that pass by themselves; Redis 6 writes those of a script's commands behind a dash."""


def is_transient(error: BaseException) -> bool:
    """Return whether an error of Redis passes by itself, so that the same call may be repeated."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return False
    if isinstance(error, REDIS_TRANSIENT):
        return NO_CLUSTER not in str(error).lower()
    if isinstance(error, ResponseError):
        return bool(REDIS_WORDS.search(str(error)))
    if isinstance(error, AttributeError):
        return _is_closed_under(error)
    return isinstance(error, builtins.ConnectionError) and not isinstance(error, RedisError)


def _is_closed_under(error: AttributeError) -> bool:
    """Return whether the client closed a connection while it was used.

    A client of a cluster does so when it reads the cluster's layout anew, and then finds None in place of a
    connection's streams.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return error.obj is None and module.startswith("redis.")
