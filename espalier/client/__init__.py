"""The Python client, sync and async: for episodes, for environment sessions, for the roles."""

from espalier.client.errors import EspalierError
from espalier.client.http import (
    Actor,
    AsyncActor,
    AsyncEspalier,
    AsyncJudge,
    AsyncPlanner,
    AsyncSessions,
    Espalier,
    Role,
    Sessions,
)

__all__ = [
    "Actor",
    "AsyncActor",
    "AsyncEspalier",
    "AsyncJudge",
    "AsyncPlanner",
    "AsyncSessions",
    "Espalier",
    "EspalierError",
    "Role",
    "Sessions",
]
