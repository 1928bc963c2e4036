"""Idempotency keys: a repeated key gets the first answer.

Calls that arrive while the first is still at work join it. A failure is not remembered, so that the
same key can be tried again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.kit.problems import ProblemError

T = TypeVar("T")


@dataclass
class _Entry(Generic[T]):
    fingerprint: Hashable
    answer: "asyncio.Future[T]"


class Once(Generic[T]):
    """A bounded table of first answers; the oldest settled one leaves when it is full."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[Hashable, _Entry[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    async def run(
        self, key: Hashable, fingerprint: Hashable, make: Callable[[], Awaitable[T]], field: str = "key"
    ) -> T:
        """The answer under a key, made if it is the first.

        The work goes on when its caller leaves, since another may have joined it.

        Args:
            key: What repeated requests share.
            fingerprint: What else they have in common.
            make: Does the work.
            field: The request's field that holds the key, for the error.

        Raises:
            ProblemError: The key was used with another request (422), or whatever `make` raises.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = _Entry(fingerprint, asyncio.ensure_future(make()))
            self._entries[key] = entry
            entry.answer.add_done_callback(lambda done: self._settle(key, done))
            self._trim()
        elif entry.fingerprint != fingerprint:
            raise ProblemError.field(field, "this key was used with another request; use a new one")
        return await asyncio.shield(entry.answer)

    def forget(self, key: Hashable) -> None:
        """Drop a key whose answer is no longer worth repeating; one still at work stays."""
        entry = self._entries.get(key)
        if entry is not None and entry.answer.done():
            del self._entries[key]

    def _settle(self, key: Hashable, answer: "asyncio.Future[T]") -> None:
        if answer.cancelled() or answer.exception() is not None:
            entry = self._entries.get(key)
            if entry is not None and entry.answer is answer:
                del self._entries[key]

    def _trim(self) -> None:
        excess = len(self._entries) - self._limit
        if excess > 0:
            settled = [key for key, entry in self._entries.items() if entry.answer.done()]
            for key in settled[:excess]:
                del self._entries[key]
