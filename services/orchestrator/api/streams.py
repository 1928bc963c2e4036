"""Event streams: an episode's log as server-sent events, resumable at any event."""

import re
import weakref
from collections.abc import AsyncIterator
from typing import Any

import orjson

from services.contracts.event import Event
from services.kit.problems import Kind, ProblemError
from services.orchestrator.store.episodes import EpisodeStore

KEEPALIVE = 15
"""Seconds between two comments on a silent stream."""
BATCH = 200
EVENT_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
LARGEST = 2**64 - 1
"""The largest part of a Redis stream's id."""


class Place:
    """One of the streams that may be open; it is given back when nothing holds it any more."""


class EventStreams:
    """The event streams of one process, bounded in number."""

    def __init__(self, store: EpisodeStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._open = 0

    def admit(self) -> Place:
        """Take a place for a stream, before it begins.

        Raises:
            ProblemError: Too many streams are open.
        """
        if self._open >= self._limit:
            raise ProblemError(
                Kind.TOO_MANY,
                f"{self._limit} event streams are open (ESPALIER_MAX_STREAMS).",
                retry_after=5,
            )
        self._open += 1
        place = Place()
        weakref.finalize(place, self._leave)
        return place

    def _leave(self) -> None:
        self._open -= 1

    async def place(self, episode: str, after: str) -> str | None:
        """Return the id that a stream goes on after, or None where nothing can follow.

        An id above the log's last one goes on from there: it is of an event that was lost.

        Raises:
            ProblemError: The id is not the id of an event.
        """
        wanted = _parse_id(after) if after else (0, 0)
        last = await self._store.last_event(episode)
        if last is None or wanted < _parse_id(last.id):
            return "{}-{}".format(*wanted)
        return None if last.type.terminal else last.id

    async def follow(
        self, episode: str, after: str, place: Place, *, scores: bool
    ) -> AsyncIterator[dict[str, Any]]:
        """Events after an id until the terminal one, as sse-starlette takes them."""
        held = [place]  # to the end of the stream, however it ends
        last, key = after, self._store.log_key(episode)
        while held:
            answer = await self._store.redis.xread({key: last}, count=BATCH, block=KEEPALIVE * 500)
            if not answer and not await self._store.redis.exists(key):
                return
            entries = answer[0][1] if answer else []
            if entries:
                last = entries[-1][0].decode()
            for event in await self._store.parse(episode, entries):
                yield render_event(event, scores=scores)
                if event.type.terminal:
                    return


def _parse_id(given: str) -> tuple[int, int]:
    found = EVENT_ID.fullmatch(given)
    parts = (int(found[1]), int(found[2])) if found else (LARGEST + 1, 0)
    if max(parts) > LARGEST:
        raise ProblemError.field("Last-Event-ID", f"{given!r} is not the id of an event")
    return parts


def render_event(event: Event, *, scores: bool) -> dict[str, Any]:
    """Return an event as sse-starlette takes it, with or without what shows the reward."""
    body = event.model_dump(mode="json", exclude_none=True)
    if not scores:
        body["data"].pop("score", None)
        body["data"].pop("result", None)
    return {"id": event.id, "event": event.type.value, "data": orjson.dumps(body).decode()}
