"""The Python client, sync and async: for episodes, for environment sessions, for the roles."""

from espalier.client.episodes import AsyncEspalier, Espalier
from espalier.client.errors import EspalierError
from espalier.client.roles import Actor, AsyncActor, AsyncJudge, AsyncPlanner, Role
from espalier.client.sessions import AsyncSessions, Sessions

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
