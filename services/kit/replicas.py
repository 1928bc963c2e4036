"""Changes that every replica of an engine must see: adapters that are loaded and unloaded at run time."""

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
        """Return whether every replica that answers serves an adapter."""
        async with self._connect() as replicas:
            for replica in replicas:
                if name not in (await replica.refresh()).adapters:
                    return False
        return True

    async def load(self, name: str, path: str) -> None:
        """Load an adapter into every replica, or into none.

        A replica that is away gets it from the router when it is back.

        Raises:
            ProblemError: A replica refused it.
            OutageError: No replica answers.
        """
        loaded: list[Engine] = []
        away: OutageError | None = None
        async with self._connect() as replicas:
            for replica in replicas:
                try:
                    if name not in (await replica.refresh()).adapters:
                        await replica.send(LOAD, {"lora_name": name, "lora_path": path}, text=True)
                        loaded.append(replica)
                except OutageError as error:
                    log.warning(
                        "A replica is away and does not load the adapter", adapter=name, error=str(error)
                    )
                    away = error
                except ProblemError:
                    for other in loaded:
                        await other.send(UNLOAD, {"lora_name": name}, text=True)
                    raise
            if away is not None and not loaded:
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
