"""The Python client, sync and async: one half for episodes, one half for environment sessions."""

from espalier.client.errors import EspalierError
from espalier.client.http import AsyncEspalier, AsyncSessions, Espalier, Sessions

__all__ = ["AsyncEspalier", "AsyncSessions", "Espalier", "EspalierError", "Sessions"]
