"""The Python client, sync and async: for episodes, for environment sessions, for an actor's adapters."""

from espalier.client.errors import EspalierError
from espalier.client.http import Actor, AsyncActor, AsyncEspalier, AsyncSessions, Espalier, Sessions

__all__ = [
    "Actor",
    "AsyncActor",
    "AsyncEspalier",
    "AsyncSessions",
    "Espalier",
    "EspalierError",
    "Sessions",
]
