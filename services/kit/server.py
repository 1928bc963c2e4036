"""Serves an app with uvicorn, with limits that uvicorn does not have itself."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.kit.settings import Settings

HEADER_SECONDS = 15.0
"""How long the head of a request may take to arrive; then its connection is closed."""
MAX_CONNECTIONS = 2048
"""Connections at once; more are answered 503."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes connections whose request does not come: each holds a place."""

    header_seconds = HEADER_SECONDS

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        self._timer: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._wait_for_head()

    def on_message_begin(self) -> None:
        """Begin to wait for the head of a request."""
        super().on_message_begin()
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """The head is here; from now on the app's own deadlines hold."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.header_seconds, self._expire)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self.transport.close()


def server_options(settings: Settings) -> dict[str, Any]:
    """Return the options of uvicorn that every part is served with."""
    return {
        "http": GuardedProtocol,
        "ws_max_size": settings.max_body_bytes,
        "forwarded_allow_ips": settings.trusted_proxies,
        "limit_concurrency": MAX_CONNECTIONS,
        "log_level": "warning",
        "access_log": False,
        "timeout_graceful_shutdown": 10,
    }
