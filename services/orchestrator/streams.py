"""Event streams: an episode's log as server-sent events, resumable at any event."""

import re
from collections.abc import AsyncIterator
from typing import Any

import orjson

from services.contracts.event import Event
from services.kit.problems import Kind, ProblemError
from services.orchestrator.store.episodes import EpisodeStore, log_key, unpack

KEEPALIVE = 15
"""Seconds between two comments on a silent stream."""
BATCH = 200
EVENT_ID = re.compile(r"\d{1,20}-\d{1,20}")


class EventStreams:
    """The event streams of one process, bounded in number."""

    def __init__(self, store: EpisodeStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._open = 0

    def admit(self, after: str) -> None:
        """Refuse a stream before it begins.

        Raises:
            ProblemError: Too many streams are open, or the event id is none.
        """
        if after and not EVENT_ID.fullmatch(after):
            raise ProblemError.field("Last-Event-ID", f"{after!r} is not the id of an event")
        if self._open >= self._limit:
            raise ProblemError(
                Kind.TOO_MANY,
                f"{self._limit} event streams are open (ESPALIER_MAX_STREAMS).",
                retry_after=5,
            )

    async def follow(self, episode: str, after: str, *, scores: bool) -> AsyncIterator[dict[str, Any]]:
        """Events after an id until the terminal one, as sse-starlette takes them."""
        self._open += 1
        try:
            last = after or "0-0"
            while True:
                answer = await self._store.redis.xread(
                    {log_key(episode): last}, count=BATCH, block=KEEPALIVE * 500
                )
                if not answer and not await self._store.redis.exists(log_key(episode)):
                    return
                for entry, fields in answer[0][1] if answer else []:
                    event = unpack(entry, fields)
                    last = event.id
                    yield sent(event, scores=scores)
                    if event.type.terminal:
                        return
        finally:
            self._open -= 1


def sent(event: Event, *, scores: bool) -> dict[str, Any]:
    """One server-sent event."""
    body = event.model_dump(mode="json")
    if not scores:
        body["data"].pop("score", None)
        body["data"].pop("result", None)
    return {"id": event.id, "event": event.type.value, "data": orjson.dumps(body).decode()}
