"""The engine replicas behind the router: found by name, brought up to date, taken out when they are away."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Generator, Sequence
from urllib.parse import urlsplit

import httpx
import structlog

from services.kit.auth import bearer
from services.router.settings import RouterSettings

PATIENCE = 10.0
"""How long a replica may take to answer a look, and a name to be resolved, seconds."""
LOADING = 120.0
"""How long a replica may take to load an adapter, seconds."""
MISSES = 2
"""Looks in a row without an answer, after which a replica is taken out."""
MOST = 64
"""Replicas at most; more are left out."""
NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)
"""What a resolver answers where a name has no address; other errors mean that it could not find out."""
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
        """Paths of the adapters that replicas which take requests serve, by name."""
        self._settings = settings
        self._misses: dict[str, int] = {}
        self._refused: dict[str, set[str]] = {}
        """Adapters that a replica did not load, until it is away."""
        self._lacks_since: dict[str, float] = {}
        """Since when replicas that take requests lack an adapter of the others, monotonic seconds."""
        self._resolver = Resolver(settings.router_engines)
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
        found = await self._resolver.resolve()
        await self._undo_changes_by_others()
        served = dict(zip(found, await asyncio.gather(*map(self._list_adapters, found)), strict=True))
        for url in self.ready - served.keys():
            with _survived(url):
                await self._take_out(url, "its name does not resolve to it")
        for url, adapters in served.items():
            self._misses[url] = 0 if adapters is not None else self._misses.get(url, 0) + 1
            if url in self.ready and self._misses[url] >= MISSES:
                self._refused.pop(url, None)
                with _survived(url):
                    await self._take_out(url, "it does not answer")
        answering = {url: adapters for url, adapters in served.items() if adapters is not None}
        await self._compare({url: adapters for url, adapters in answering.items() if url in self.ready})
        for url, adapters in answering.items():
            if url not in self.ready:
                with _survived(url):
                    await self._put_in(url, adapters)
        self._misses = {url: self._misses[url] for url in found}

    async def _undo_changes_by_others(self) -> None:
        routed = set(await self._list_routed())
        self.ready &= routed  # a router that was started anew has none
        for stranger in routed - self.ready:
            with _survived(stranger):
                await self._take_out(stranger, "no setting names it")

    async def _compare(self, served: dict[str, dict[str, str]]) -> None:
        """Learn what the replicas serve, and take out those that lack an adapter of the others for long.

        Such a replica was started again between two looks, or was away when the adapter was loaded; it is put
        in again as one that is new. For a while it may be a change that is under way.
        """
        if not served:
            return  # what the last of them served is what the next one gets
        self.adapters = {name: path for adapters in served.values() for name, path in adapters.items()}
        now = time.monotonic()
        lacking = {
            url: self.adapters.keys() - adapters.keys() - self._refused.get(url, set())
            for url, adapters in served.items()
        }
        self._lacks_since = {url: self._lacks_since.get(url, now) for url, names in lacking.items() if names}
        for url, since in list(self._lacks_since.items()):
            if now - since >= self._settings.router_grace:
                with _survived(url):
                    await self._take_out(url, f"it lacks {', '.join(sorted(lacking[url]))}")
                    del self._lacks_since[url]

    async def _list_adapters(self, url: str) -> dict[str, str] | None:
        """Return the adapters that a replica serves; None where it does not answer."""
        try:
            answer = (await self._engines.get(f"{url}/v1/models")).raise_for_status().json()
            return {str(one["id"]): str(one["root"]) for one in answer["data"] if one.get("parent")}
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            return None

    async def _put_in(self, url: str, served: dict[str, str]) -> None:
        """Load into a replica what the others serve, then give it requests."""
        if not self.ready and not self.adapters:
            self.adapters = served
        for name, path in self.adapters.items():
            if name not in served and name not in self._refused.get(url, set()):
                await self._load(url, name, path)
        answer = await self._router.post("/add_worker", params={"url": url})
        if answer.status_code >= 300 and url not in await self._list_routed():
            raise RuntimeError(f"the router did not take {url}: {answer.text[:200]}")
        self.ready.add(url)
        log.info("replica takes requests", url=url, adapters=len(self.adapters))

    async def _load(self, url: str, name: str, path: str) -> None:
        """Load an adapter; a replica that refuses one is of use for all other requests."""
        body = {"lora_name": name, "lora_path": path}
        answer = await self._engines.post(f"{url}/v1/load_lora_adapter", json=body, timeout=LOADING)
        if answer.status_code >= 500:
            answer.raise_for_status()
        if answer.status_code >= 300:
            self._refused.setdefault(url, set()).add(name)
            log.error("replica refused an adapter", url=url, adapter=name, detail=answer.text[:200])

    async def _take_out(self, url: str, reason: str) -> None:
        answer = await self._router.post("/remove_worker", params={"url": url})
        if answer.status_code >= 300 and url in await self._list_routed():
            raise RuntimeError(f"the router did not let go of {url}: {answer.text[:200]}")
        self.ready.discard(url)
        log.warning("replica takes no requests", url=url, reason=reason)

    async def _list_routed(self) -> list[str]:
        answer = (await self._router.get("/workers")).raise_for_status().json()
        return [str(one["url"]) for one in answer["workers"]]


class Resolver:
    """Finds the addresses of replicas: of each name, every address that it resolves to.

    A name that has no address has no replicas. Where the resolver does not answer, the addresses of before
    stand. An `https` address stays as it is: its certificate names it.

    Args:
        urls: The addresses, with names or without.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._known: dict[str, list[str]] = {}

    async def resolve(self) -> list[str]:
        """Return the replicas' addresses, in order, at most `MOST`."""
        found = await asyncio.gather(*map(self._resolve_one, self._urls))
        return sorted({url for urls in found for url in urls})[:MOST]

    async def _resolve_one(self, url: str) -> list[str]:
        parts = urlsplit(url)
        if parts.scheme == "https":
            return [url]
        port = parts.port or 80
        try:
            async with asyncio.timeout(PATIENCE):
                infos = await asyncio.get_running_loop().getaddrinfo(
                    parts.hostname, port, type=socket.SOCK_STREAM
                )
        except (OSError, TimeoutError) as error:
            gone = isinstance(error, socket.gaierror) and error.errno in NO_SUCH_NAME
            if not gone:
                log.warning("a name could not be resolved", url=url, error=str(error) or "no answer")
            return [] if gone else self._known.get(url, [])
        hosts = {
            f"[{place[0]}]" if family == socket.AF_INET6 else str(place[0])
            for family, _, _, _, place in infos
        }
        self._known[url] = [f"http://{host}:{port}" for host in sorted(hosts)]
        return self._known[url]


@contextlib.contextmanager
def _survived(url: str) -> Generator[None]:
    """Log what goes wrong with one replica; the next look tries again."""
    try:
        yield
    except (httpx.HTTPError, RuntimeError, ValueError, KeyError) as error:
        log.warning("replica could not be changed", url=url, error=str(error) or type(error).__name__)
