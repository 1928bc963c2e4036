"""Places for work, of which the next goes to whoever has used the least: who is heavy delays no other."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

HALF_LIFE = 60.0
"""After so many seconds half of what a key has used is forgotten."""
MOST_KEYS = 10_000
"""Keys whose use is remembered; those that used the least are forgotten first."""


class FairPlaces:
    """A bounded number of places, given by use and not by arrival.

    A key (a session, say) is charged for the time that it holds a place. A free place goes to the waiting key
    with the least use; among equals to the first.

    Args:
        count: How many places there are.
        clock: Seconds, monotonic.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = count
        self._clock = clock
        self._used: dict[Hashable, tuple[float, float]] = {}
        self._waiting: list[tuple[Hashable, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self, key: Hashable) -> AsyncIterator[None]:
        """Hold a place inside the block, waiting for one if need be."""
        await self._enter(key)
        began = self._clock()
        try:
            yield
        finally:
            self._charge(key, self._clock() - began)
            self._free += 1
            self._pass_on()

    def used(self, key: Hashable) -> float:
        """Return the seconds that a key has used, older ones counted for less."""
        seconds, at = self._used.get(key, (0.0, 0.0))
        return seconds * 0.5 ** ((self._clock() - at) / HALF_LIFE)

    async def _enter(self, key: Hashable) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((key, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place came as the caller left
                self._free += 1
                self._pass_on()
            else:
                self._waiting = [waiting for waiting in self._waiting if waiting[1] is not turn]
            raise

    def _pass_on(self) -> None:
        """Give the free places to those that wait."""
        while self._free and self._waiting:
            index = min(
                range(len(self._waiting)), key=lambda place: (self.used(self._waiting[place][0]), place)
            )
            _, turn = self._waiting.pop(index)
            if not turn.done():
                self._free -= 1
                turn.set_result(None)

    def _charge(self, key: Hashable, seconds: float) -> None:
        self._used[key] = (self.used(key) + seconds, self._clock())
        if len(self._used) > MOST_KEYS:
            least = sorted(self._used, key=self.used)[: MOST_KEYS // 2]
            for forgotten in least:
                del self._used[forgotten]
