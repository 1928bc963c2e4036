"""Changes that every replica of an engine must see: adapters that are loaded and unloaded at run time."""

import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from services.kit.engine import Engine
from services.kit.failures import OutageError
from services.kit.problems import ProblemError
from services.kit.settings import RoleSettings

LOAD = "/v1/load_lora_adapter"
UNLOAD = "/v1/unload_lora_adapter"
log = structlog.get_logger()


class Replicas:
    """The replicas of one engine: those that its router lists, or the engine itself.

    Args:
        engine: The engine, or the router that stands for several.
        settings: The key, the bounds and the deadline of calls to them.
    """

    def __init__(self, engine: Engine, settings: RoleSettings) -> None:
        self._engine = engine
        self._settings = settings

    async def all_serve(self, name: str) -> bool:
        """Return whether every replica that answers serves an adapter. Raises as `load`."""
        return all(name in adapters for adapters in await self._list_adapters())

    async def any_serves(self, name: str) -> bool:
        """Return whether a replica that answers serves an adapter. Raises as `load`."""
        return any(name in adapters for adapters in await self._list_adapters())

    async def _list_adapters(self) -> list[list[str]]:
        """Return what each replica that answers serves."""
        found: list[list[str]] = []
        away: OutageError | None = None
        async with self._connect() as replicas:
            for replica in replicas:
                try:
                    found.append((await replica.refresh()).adapters)
                except OutageError as error:
                    away = error
        if away is not None and not found:
            raise away
        return found

    async def load(self, name: str, path: str) -> None:
        """Load an adapter into every replica, or into none.

        A replica that is away gets it from the router when it is back.

        Raises:
            ProblemError: A replica refused it.
            OutageError: No replica answers.
        """
        answered, loaded = 0, list[Engine]()
        away: OutageError | None = None
        async with self._connect() as replicas:
            for replica in replicas:
                try:
                    if await _load_into(replica, name, path):
                        loaded.append(replica)
                    answered += 1
                except OutageError as error:
                    log.warning(
                        "A replica is away and does not load the adapter", adapter=name, error=str(error)
                    )
                    away = error
                except ProblemError:
                    for other in loaded:
                        with contextlib.suppress(ProblemError, OutageError):  # the refusal is what counts
                            await other.send(UNLOAD, {"lora_name": name}, text=True)
                    raise
            if away is not None and not answered:
                raise away

    async def unload(self, name: str) -> None:
        """Take an adapter out of every replica that serves it.

        Raises:
            ProblemError: A replica refused.
            OutageError: A replica is away.
        """
        async with self._connect() as replicas:
            for replica in replicas:
                if name in (await replica.refresh()).adapters:
                    await replica.send(UNLOAD, {"lora_name": name}, text=True)

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[list[Engine]]:
        urls = await self._engine.list_routed()
        replicas = [Engine(url, self._settings) for url in urls]
        try:
            yield replicas or [self._engine]
        finally:
            for replica in replicas:
                await replica.close()


async def _load_into(replica: Engine, name: str, path: str) -> bool:
    """Load an adapter where it is not served; whether this call loaded it."""
    if name in (await replica.refresh()).adapters:
        return False
    try:
        await replica.send(LOAD, {"lora_name": name, "lora_path": path}, text=True)
    except ProblemError:
        if name in (await replica.refresh()).adapters:  # somebody else has loaded it meanwhile
            return False
        raise
    return True
