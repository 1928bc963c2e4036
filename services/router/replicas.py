"""The engine replicas behind the router: found by name, brought up to date, taken out when they are away."""

import asyncio
import contextlib
import socket
from collections.abc import Generator, Iterable
from urllib.parse import urlsplit

import httpx
import structlog

from services.kit.auth import bearer
from services.router.settings import RouterSettings

PATIENCE = 10.0
"""How long a replica may take to answer a look, seconds."""
LOADING = 120.0
"""How long it may take to load an adapter, seconds."""
MISSES = 2
"""Looks in a row without an answer, after which a replica is taken out."""
MOST = 64
"""Replicas at most; more are left out."""
log = structlog.get_logger()


class Replicas:
    """Keeps the router's list of replicas.

    A replica that starts, or starts again after it was away, lacks the adapters that were loaded at run time.
    So it gets those that the others serve first, and requests afterwards. vllm-router checks no key where its
    list is changed, so what others have put in is taken out.

    Args:
        settings: Where the engines are.
        router: The router's address.
    """

    def __init__(self, settings: RouterSettings, router: str) -> None:
        self.ready: set[str] = set()
        """The replicas that take requests."""
        self.adapters: dict[str, str] = {}
        """Paths of the adapters that the replicas serve, by name."""
        self._settings = settings
        self._misses: dict[str, int] = {}
        headers = bearer(settings.model_key.get_secret_value())
        self._router = httpx.AsyncClient(base_url=router, headers=headers, timeout=30.0, trust_env=False)
        self._engines = httpx.AsyncClient(headers=headers, timeout=PATIENCE, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._router.aclose()
        await self._engines.aclose()

    async def keep(self) -> None:
        """Look at the replicas again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # the router or the resolver is away for a while
                log.warning("replicas could not be looked at", error=str(error) or type(error).__name__)
            await asyncio.sleep(self._settings.router_look)

    async def look(self) -> None:
        """Bring the router's list up to date, once."""
        found = await resolve(self._settings.router_engines)
        routed = set(await self._list_routed())
        self.ready &= routed  # a router that was started anew has none
        for stranger in routed - self.ready:
            with _survived(stranger):
                await self._take_out(stranger, "no setting names it")
        served = dict(zip(found, await asyncio.gather(*map(self._list_adapters, found)), strict=True))
        for url in self.ready - served.keys():
            with _survived(url):
                await self._take_out(url, "its name does not resolve to it")
        for url, adapters in served.items():
            self._misses[url] = 0 if adapters is not None else self._misses.get(url, 0) + 1
            if url in self.ready and self._misses[url] >= MISSES:
                with _survived(url):
                    await self._take_out(url, "it does not answer")
        current = [adapters for url, adapters in served.items() if url in self.ready and adapters is not None]
        if current:
            self.adapters = {name: path for adapters in current for name, path in adapters.items()}
        for url, adapters in served.items():
            if adapters is not None and url not in self.ready:
                with _survived(url):
                    await self._put_in(url, adapters)
        self._misses = {url: self._misses[url] for url in found}

    async def _list_adapters(self, url: str) -> dict[str, str] | None:
        """Return the adapters that a replica serves; None where it does not answer."""
        try:
            answer = (await self._engines.get(f"{url}/v1/models")).raise_for_status().json()
            return {str(one["id"]): str(one["root"]) for one in answer["data"] if one.get("parent")}
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            return None

    async def _put_in(self, url: str, served: dict[str, str]) -> None:
        for name, path in self.adapters.items():
            if name not in served:
                body = {"lora_name": name, "lora_path": path}
                answer = await self._engines.post(f"{url}/v1/load_lora_adapter", json=body, timeout=LOADING)
                answer.raise_for_status()
        answer = await self._router.post("/add_worker", params={"url": url})
        if answer.status_code >= 300 and url not in await self._list_routed():
            raise RuntimeError(f"the router did not take {url}: {answer.text[:200]}")
        self.ready.add(url)
        if not self.adapters:
            self.adapters = served
        log.info("replica takes requests", url=url, adapters=len(self.adapters))

    async def _take_out(self, url: str, reason: str) -> None:
        answer = await self._router.post("/remove_worker", params={"url": url})
        if answer.status_code >= 300 and url in await self._list_routed():
            raise RuntimeError(f"the router did not let go of {url}: {answer.text[:200]}")
        self.ready.discard(url)
        log.warning("replica takes no requests", url=url, reason=reason)

    async def _list_routed(self) -> list[str]:
        answer = (await self._router.get("/workers")).raise_for_status().json()
        return [str(one["url"]) for one in answer["workers"]]


@contextlib.contextmanager
def _survived(url: str) -> Generator[None]:
    """Log what goes wrong with one replica; the next look tries again."""
    try:
        yield
    except (httpx.HTTPError, RuntimeError, ValueError, KeyError) as error:
        log.warning("replica could not be changed", url=url, error=str(error) or type(error).__name__)


async def resolve(urls: Iterable[str]) -> list[str]:
    """Return the addresses of replicas: of each name, every address that it resolves to.

    A name that does not resolve has no replicas. An `https` address stays as it is: its certificate names it.
    """
    found: dict[str, None] = {}
    for url in urls:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if parts.scheme == "https":
            found[url] = None
            continue
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(
                parts.hostname, port, type=socket.SOCK_STREAM
            )
        except OSError:
            continue
        for family, _, _, _, place in infos:
            host = f"[{place[0]}]" if family == socket.AF_INET6 else place[0]
            found[f"http://{host}:{port}"] = None
    return sorted(found)[:MOST]
