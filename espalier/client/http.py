"""The HTTP of the clients: sends a call and reads its answer, waiting or awaiting."""

import asyncio
import os
import random
import time
from typing import Any, Self, TypeVar

import httpx

from espalier.client.calls import Call
from espalier.client.errors import read_retry_after, refused, unreachable
from espalier.client.proxies import honours_proxy
from services.kit.keys import find_first_key
from services.kit.tracing import trace_headers

Reply = TypeVar("Reply")
PATIENCE = 60.0
"""How long a call waits at a limit (429) in all, where nothing else is given, seconds."""
SPREAD = 0.1
"""By up to this share a wait is longer than `Retry-After`, so that clients do not come back all at once."""


class _Waits:
    """The waits of one call that a part answers with 429 and `Retry-After`.

    Args:
        patience: How long they may take in all, seconds.
    """

    def __init__(self, patience: float) -> None:
        self._until = time.monotonic() + patience

    def choose(self, response: httpx.Response) -> float | None:
        """Return how long to wait before the call is sent again, seconds; None: its answer stands."""
        after = read_retry_after(response) if response.status_code == 429 else None
        if after is None:
            return None
        wait = after * random.uniform(1.0, 1.0 + SPREAD)  # noqa: S311
        return wait if time.monotonic() + wait <= self._until else None


def _headers(api_key: str | None) -> dict[str, str]:
    key = api_key
    if key is None:
        own, all_keys = (os.environ.get(name, "") for name in ("ESPALIER_API_KEY", "ESPALIER_API_KEYS"))
        key = own or find_first_key(all_keys)
    return {"Authorization": f"Bearer {key.strip()}"} if key else {}


def _describe_request(call: Call[Any]) -> dict[str, Any]:
    """Return a call's request as httpx takes it, the current trace included."""
    return {
        "method": call.method,
        "url": call.path,
        "json": call.json(),
        "params": call.params,
        "headers": trace_headers() | call.headers,
    }


def _read(call: Call[Reply], response: httpx.Response) -> Reply:
    """Return what a call is answered with. EspalierError where it is refused."""
    if response.status_code >= 400:
        raise refused(response)
    return call.read(response.content)


class SyncClient:
    """Sends calls and waits. A call at a limit (429) is sent again after `Retry-After`.

    Args:
        url: The part's address.
        api_key: Bearer token.
        timeout: Of one request, seconds.
        patience: How long a call waits at a limit in all, seconds; a longer wait raises at once.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout: float = 60.0, patience: float = PATIENCE
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        self._http = httpx.Client(
            base_url=self.url,
            headers=self._headers(api_key),
            timeout=timeout,
            trust_env=honours_proxy(self.url),
        )

    def _headers(self, api_key: str | None) -> dict[str, str]:
        return _headers(api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, call: Call[Reply]) -> Reply:
        waits = _Waits(self._patience)
        while True:
            try:
                response = self._http.request(**_describe_request(call))
            except httpx.HTTPError as error:
                raise unreachable(self.url, error) from error
            wait = waits.choose(response)
            if wait is None:
                break
            time.sleep(wait)
        return _read(call, response)


class AsyncClient:
    """Sends calls and awaits. A call at a limit (429) is sent again after `Retry-After`.

    Args:
        url: The part's address.
        api_key: Bearer token.
        timeout: Of one request, seconds.
        patience: How long a call waits at a limit in all, seconds; a longer wait raises at once.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout: float = 60.0, patience: float = PATIENCE
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=_headers(api_key),
            timeout=timeout,
            trust_env=honours_proxy(self.url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, call: Call[Reply]) -> Reply:
        waits = _Waits(self._patience)
        while True:
            try:
                response = await self._http.request(**_describe_request(call))
            except httpx.HTTPError as error:
                raise unreachable(self.url, error) from error
            wait = waits.choose(response)
            if wait is None:
                break
            await asyncio.sleep(wait)
        return _read(call, response)
