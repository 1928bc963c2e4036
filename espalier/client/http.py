"""The HTTP of the clients: sends a call and reads its answer, waiting or awaiting."""

import os
from typing import Self, TypeVar

import httpx

from espalier.client.calls import Call
from espalier.client.errors import refused, unreachable
from espalier.client.proxies import honours_proxy

Reply = TypeVar("Reply")


def _headers(api_key: str | None) -> dict[str, str]:
    keys = os.environ.get("ESPALIER_API_KEY") or os.environ.get("ESPALIER_API_KEYS", "").split(",")[0]
    key = api_key if api_key is not None else keys
    return {"Authorization": f"Bearer {key.strip()}"} if key else {}


class SyncClient:
    """Sends calls and waits."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
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
        try:
            response = self._http.request(
                call.method, call.path, json=call.json(), params=call.params, headers=call.headers
            )
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        if response.status_code >= 400:
            raise refused(response)
        return call.read(response.content)


class AsyncClient:
    """Sends calls and awaits."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
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
        try:
            response = await self._http.request(
                call.method, call.path, json=call.json(), params=call.params, headers=call.headers
            )
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        if response.status_code >= 400:
            raise refused(response)
        return call.read(response.content)
