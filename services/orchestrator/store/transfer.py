"""Moves ended episodes out of Redis and into another one.

An import writes an episode beside its place, and one script moves all of it there: an import that breaks off
leaves nothing but keys that expire.
"""

import itertools
import time
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import uuid4

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.contracts.episode import EPISODE_ID, State
from services.orchestrator.store.episodes import EpisodeStore, parse_episode
from services.orchestrator.store.errors import UnreadableError
from services.orchestrator.store.history import ENDINGS, PAGE
from services.orchestrator.store.log import list_references, parse_event, put_back
from services.orchestrator.store.patience import patient

ENTRY_ID = r"^(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})$"
HIGHEST_PART = 2**64 - 1
"""The highest value of a part of an entry's id; 0-0 is no id (Redis, XADD)."""
Time = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
"""Seconds since 1970, to the year 5138."""
LEFT_OVER = 3600
"""How long keys of an import that broke off are kept, seconds."""
IMPORT = """
-- KEYS: episode, log, texts, index, and where log and texts of the import are
-- ARGV: id, lifetime ms, then fields and values of the episode
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('DEL', KEYS[5], KEYS[6])
  return 'known'
end
redis.call('RENAME', KEYS[5], KEYS[2])
if redis.call('EXISTS', KEYS[6]) == 1 then redis.call('RENAME', KEYS[6], KEYS[3]) end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
redis.call('ZADD', KEYS[4], 0, ARGV[1])
return 'ok'
"""


class Entry(BaseModel):
    """An entry of a log as the stream holds it, with its id there."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=ENTRY_ID)
    event: dict[str, Any]
    """Without its long texts: `refs` lists where which of them belongs."""

    @field_validator("id")
    @classmethod
    def _fits(cls, value: str) -> str:
        """Refuse an id that Redis would refuse."""
        parts = [int(part) for part in value.split("-")]
        if max(parts) > HIGHEST_PART or not any(parts):
            raise ValueError("an entry's id is 0-1 at least, and each part is 2^64-1 at most")
        return value

    @property
    def order(self) -> tuple[int, int]:
        """What entries are ordered by."""
        milliseconds, _, number = self.id.partition("-")
        return int(milliseconds), int(number)


class EndedEpisode(BaseModel):
    """An ended episode: all that is read of it, in listings, trees, streams and replays."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=EPISODE_ID)
    state: State
    created: Time
    started: Time | None = None
    ended: Time
    record: dict[str, Any]
    """What it was created with."""
    outcome: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Result or failure, and figures."""
    texts: dict[str, str] = Field(default_factory=dict[str, str])
    """The long texts of its log by digest."""
    log: list[Entry] = Field(min_length=1)

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        """Read all of it, as the API would."""
        if not self.state.over:
            raise ValueError(f"an episode that is {self.state} has not ended")
        if any(before.order >= after.order for before, after in itertools.pairwise(self.log)):
            raise ValueError("the log's entries are not in the order of their ids")
        try:
            parse_episode(self.id, {name.encode(): value for name, value in self.fields().items()})
            for entry in self.log:
                self._check(entry)
        except (UnreadableError, orjson.JSONEncodeError) as error:
            raise ValueError(str(error)) from error
        last = self.log[-1].event.get("type")
        if last != ENDINGS[self.state].value:
            raise ValueError(f"the episode is {self.state}, and its log ends with {last!r}")
        return self

    def _check(self, entry: Entry) -> None:
        raw = orjson.loads(orjson.dumps(entry.event))  # as it will be read: without NaN and Infinity
        try:
            missing = set(list_references(raw)) - self.texts.keys()
            if not missing:
                put_back(raw, self.texts)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"entry {entry.id} has a place for a text that is not there") from error
        if missing:
            raise ValueError(
                f"entry {entry.id} refers to texts that are not there: {sorted(map(str, missing))}"
            )
        parse_event(entry.id, raw)

    def fields(self) -> dict[str, bytes]:
        """Return the fields of the episode's hash."""
        given: dict[str, Any] = {
            "state": self.state.value,
            "created": repr(self.created),
            "started": None if self.started is None else repr(self.started),
            "ended": repr(self.ended),
            "spec": orjson.dumps(self.record),
            "outcome": orjson.dumps(self.outcome) if self.outcome else None,
            "adapter": str(self.record.get("adapter") or ""),
            "epoch": "0",
            "events": str(len(self.log)),
            "bytes": str(sum(len(orjson.dumps(entry.event)) for entry in self.log)),
        }
        return {
            name: value if isinstance(value, bytes) else value.encode()
            for name, value in given.items()
            if value is not None
        }


class Put(StrEnum):
    """What became of an episode that was to be imported."""

    ADDED = "added"
    THERE = "there"
    """It is there already, equal."""
    DIFFERS = "differs"
    """Another one of the same id is there, and was left as it is."""
    EXPIRED = "expired"
    """It ended longer ago than ended episodes are kept."""


class Transfer(EpisodeStore):
    """The store, for whole episodes that have ended."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._import = self.script(IMPORT)

    async def ids(self) -> AsyncIterator[str]:
        """Iterate over the ids of all episodes, partition by partition, the oldest first."""
        for partition in self.partitions.all:
            after = "-"
            while found := await self._page(partition.index, after):
                for name in found:
                    yield name
                after = f"({found[-1]}"

    @patient
    async def _page(self, index: str, after: str) -> list[str]:
        found = await self.redis.zrangebylex(index, after, "+", start=0, num=PAGE)
        return [name.decode() for name in found]

    @patient
    async def read(self, episode: str) -> EndedEpisode | None:
        """Return an ended episode; None where it has expired.

        Raises:
            UnreadableError: It is there and cannot be read.
        """
        fields = await self.redis.hgetall(self.key(episode))
        if not fields:
            return None
        texts = await self.redis.hgetall(self.key(episode, "texts"))
        try:
            return EndedEpisode(
                id=episode,
                state=State(fields[b"state"].decode()),
                created=float(fields[b"created"]),
                started=float(fields[b"started"]) if b"started" in fields else None,
                ended=float(fields[b"ended"]),
                record=orjson.loads(fields[b"spec"]),
                outcome=orjson.loads(fields.get(b"outcome", b"{}")),
                texts={name.decode(): text.decode() for name, text in texts.items()},
                log=await self._read_log(episode),
            )
        except (KeyError, ValueError) as error:
            raise UnreadableError(f"episode {episode} cannot be read: {error}") from error

    async def _read_log(self, episode: str) -> list[Entry]:
        found: list[Entry] = []
        start = "-"
        while batch := await self.redis.xrange(self.log_key(episode), start, "+", count=PAGE):
            found += [Entry(id=entry.decode(), event=orjson.loads(fields[b"e"])) for entry, fields in batch]
            start = f"({found[-1].id}"
        return found

    async def put(self, episode: EndedEpisode) -> Put:
        """Write an episode where none of its id is; it is kept as long as if it had ended here.

        A time of ending that has yet to come counts as the present.
        """
        left = min(episode.ended - time.time(), 0) + self.settings.episode_ttl
        if left <= 0:
            return Put.EXPIRED
        if not await self.exists(episode.id) and await self._write(episode, int(left * 1000)):
            return Put.ADDED
        try:
            there = await self.read(episode.id)
        except UnreadableError:
            return Put.DIFFERS
        return Put.THERE if there == episode else Put.DIFFERS

    @patient
    async def _write(self, episode: EndedEpisode, lifetime: int) -> bool:
        """Return whether the episode was written; False where one of its id is there."""
        partition = self.partitions.of(episode.id)
        mark = f"import-{uuid4().hex}"
        log, texts = partition.episode(episode.id, mark), partition.episode(episode.id, f"{mark}-texts")
        for start in range(0, len(episode.log), PAGE):
            pipeline = self.redis.pipeline(transaction=False)
            for entry in episode.log[start : start + PAGE]:
                pipeline.xadd(log, {"e": orjson.dumps(entry.event)}, id=entry.id)
            pipeline.expire(log, LEFT_OVER)
            await pipeline.execute()
        if episode.texts:
            pipeline = self.redis.pipeline(transaction=False)
            for name, text in episode.texts.items():
                pipeline.hset(texts, name, text)
            pipeline.expire(texts, LEFT_OVER)
            await pipeline.execute()
        keys = [partition.episode(episode.id, part) for part in ("", "log", "texts")]
        arguments: list[Any] = [episode.id, lifetime]
        arguments += itertools.chain.from_iterable(episode.fields().items())
        return await self._import(keys=[*keys, partition.index, log, texts], args=arguments) == b"ok"
