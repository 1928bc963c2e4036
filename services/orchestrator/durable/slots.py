"""The slots of one worker: one for each branch that runs and does not wait for others."""

import asyncio


class Slots:
    """A count of what runs, against a limit that local branches may exceed.

    Args:
        limit: Jobs are taken while fewer branches run.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._busy = 0
        self._freed = asyncio.Event()

    def free(self) -> bool:
        """Return whether a slot is free."""
        return self._busy < self._limit

    def occupy(self) -> None:
        """Take a slot, a free one or one too many."""
        self._busy += 1

    def give_back(self) -> None:
        """Give a slot back."""
        self._busy -= 1
        if self.free():
            self._freed.set()

    async def wait_for_free(self) -> None:
        """Wait until a slot is free."""
        while not self.free():
            self._freed.clear()
            await self._freed.wait()
