"""Connects to Redis: one server, a cluster, or the master that sentinels name."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialWithJitterBackoff

from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.errors import SettingsError

RETRIES = 2
"""Times that a command is repeated on a new connection: a pooled one is stale after a restart of Redis."""
SENTINEL = "+sentinel"
EXAMPLE = "redis+sentinel://:password@host1:26379,host2:26379/mymaster/0"
TIMEOUTS = {"socket_timeout": 30, "socket_connect_timeout": 5}
ASKING = {"socket_timeout": 1, "socket_connect_timeout": 1}
"""Of the sentinels: one that is silent must not delay the answer of another."""


@asynccontextmanager
async def connect(settings: OrchestratorSettings) -> AsyncGenerator[Redis | RedisCluster]:
    """Open a client of Redis; its connections are closed at the end.

    Raises:
        SettingsError: The address of the sentinels is not one.
    """
    options: dict[str, Any] = {
        **TIMEOUTS,
        "health_check_interval": 30,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES),
        "max_connections": settings.max_streams + 128,
    }
    url = settings.redis_url.get_secret_value()
    async with AsyncExitStack() as stack:
        if urlsplit(url).scheme.endswith(SENTINEL):
            if settings.redis_cluster:
                raise SettingsError(
                    "ESPALIER_REDIS_URL names sentinels, and a cluster has none: set one of both."
                )
            sentinel, name, given = _parse_sentinels(url)
            for each in sentinel.sentinels:
                stack.push_async_callback(each.aclose)
            redis = sentinel.master_for(name, **options, **given)
        elif settings.redis_cluster:
            redis = RedisCluster.from_url(url, **options)
        else:
            redis = Redis.from_url(url, **options)
        stack.push_async_callback(redis.aclose)
        yield redis


def _parse_sentinels(url: str) -> tuple[Sentinel, str, dict[str, Any]]:
    """Return the sentinels, the name of the master, and what its connections are opened with."""
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    places = [urlsplit(f"//{host}") for host in hosts.split(",")]
    try:
        addresses = [(place.hostname, place.port or 26379) for place in places]
        plain = f"{credentials}{at}{places[0].netloc}"
        scheme = parts.scheme.removesuffix(SENTINEL)
        given: dict[str, Any] = {
            **parse_url(urlunsplit((scheme, plain, str(int(database or 0)), parts.query, "")))
        }
    except ValueError as error:
        raise SettingsError(f"ESPALIER_REDIS_URL: {error}; give an address such as {EXAMPLE}") from error
    if not name or not all(host for host, _ in addresses):
        raise SettingsError(
            f"ESPALIER_REDIS_URL names no master or no host; give an address such as {EXAMPLE}"
        )
    del given["host"]
    given.pop("port", None)
    asking: dict[str, Any] = dict(ASKING)
    for key in ("username", "password"):
        if value := given.pop(f"sentinel_{key}", None):
            asking[key] = value
    if given.pop("connection_class", None) is SSLConnection:
        given["ssl"] = True
        asking |= {key: value for key, value in given.items() if key.startswith("ssl")}
    return Sentinel(addresses, sentinel_kwargs=asking), name, given
