"""Reads episodes' logs, and writes their ends."""

import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

import orjson

from services.contracts.episode import State
from services.contracts.event import Event, EventType
from services.orchestrator.identity import is_within
from services.orchestrator.store import scripts
from services.orchestrator.store.base import Store, raise_refusal
from services.orchestrator.store.log import list_references, pack_whole, parse_event, put_back
from services.orchestrator.store.patience import patient

PAGE = 1000
"""Events read from a log at once."""
CLEAN_AFTER = 15.0
"""So long after its end an episode's sessions are closed by any worker, if its own has not, seconds."""
ENDINGS = {
    State.COMPLETED: EventType.EPISODE_COMPLETED,
    State.FAILED: EventType.EPISODE_FAILED,
    State.CANCELLED: EventType.EPISODE_CANCELLED,
}


class LogStore(Store):
    """What every store of episodes can do."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._finish = self.script(scripts.FINISH)

    @patient
    async def events(self, episode: str, below: str = "") -> list[Event]:
        """Return the log, or a part of it; events that only readers need may be left out.

        Args:
            episode: The episode.
            below: Only events of the episode, of this branch and of those below it.

        Raises:
            UnreadableError: An answer to a port call is of a type that this release does not have.
        """
        key = self.log_key(episode)
        found: list[Event] = []
        start = "-"
        while True:
            batch = await self.redis.xrange(key, start, "+", count=PAGE)
            found.extend(await self.parse(episode, batch, below))
            if len(batch) < PAGE:
                return found
            start = f"({batch[-1][0].decode()}"

    @patient
    async def last_event(self, episode: str) -> Event | None:
        """Return the newest event of a log."""
        found = await self.parse(
            episode, await self.redis.xrevrange(self.log_key(episode), "+", "-", count=1)
        )
        return found[0] if found else None

    @patient
    async def entries(self, episode: str, ids: Sequence[str]) -> list[Event]:
        """Return single events by their ids."""
        pipeline = self.redis.pipeline(transaction=False)
        for entry in ids:
            pipeline.xrange(self.log_key(episode), entry, entry)
        found: list[list[Any]] = await pipeline.execute() if ids else []
        return await self.parse(episode, itertools.chain.from_iterable(found))

    async def parse(self, episode: str, entries: Iterable[Any], below: str = "") -> list[Event]:
        """Return a stream's entries as events, with their long texts."""
        raws = [(entry.decode(), orjson.loads(fields[b"e"])) for entry, fields in entries]
        if below:
            raws = [(entry, raw) for entry, raw in raws if _is_below(raw, below)]
        await self.read_texts(episode, [raw for _, raw in raws])
        events = (parse_event(entry, raw) for entry, raw in raws)
        return [event for event in events if event is not None]

    async def read_texts(self, episode: str, raws: Iterable[dict[str, Any]]) -> None:
        """Put long texts back into entries."""
        wanting = [raw for raw in raws if raw.get("refs")]
        names = list({name for raw in wanting for name in list_references(raw)})
        if not names:
            return
        texts = await self.redis.hmget(self.key(episode, "texts"), names)
        known = {name: (text or b"").decode() for name, text in zip(names, texts, strict=True)}
        for raw in wanting:
            put_back(raw, known)

    def log_key(self, episode: str) -> str:
        """Return the stream of an episode's events."""
        return self.key(episode, "log")

    async def finish(
        self,
        episode: str,
        state: State,
        outcome: dict[str, Any],
        holder: tuple[str, int] | None,
        last: int | None = None,
    ) -> None:
        """End an episode.

        Args:
            episode: The episode.
            state: Its last state.
            outcome: Result or failure, and figures.
            holder: The job that ends it, and its epoch; None to cancel.
            last: The number of the last call that the job recorded; None not to compare it with the log.

        Raises:
            FencedError: The job was taken over.
            AheadError: Redis has lost the tail of the log.
            OverError: The episode has ended.
        """
        now = time.time()
        event = pack_whole(ENDINGS[state], now, data=outcome)
        settings = self.settings
        args: list[Any] = [episode, state.value, now, event, orjson.dumps(outcome) if outcome else ""]
        args += [int(settings.episode_ttl * 1000), *(holder or ("", "")), uuid4().hex]
        args += [0 if holder is None else int(CLEAN_AFTER * 1000), "" if last is None else last]
        await self._finish_once(episode, args)

    @patient
    async def _finish_once(self, episode: str, args: list[Any]) -> None:
        partition = self.partitions.of(episode)
        keys = [partition.episode(episode, part) for part in ("", "log", "branches", "texts")]
        keys += [partition.ready, partition.leases, partition.live, partition.ended, partition.cleanup]
        raise_refusal(await self._finish(keys=keys, args=args))


def _is_below(raw: dict[str, Any], branch: str) -> bool:
    at: str = raw.get("branch", "")
    return not at or is_within(at, branch)
