"""Episodes in Redis: a hash for the state, a stream for the log, a hash of epochs."""

import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

import orjson
import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from services.contracts.episode import Episode, Failure, Figures, Result, State
from services.contracts.event import Event, EventType
from services.orchestrator.identity import born, digest, id_at, new_id
from services.orchestrator.ports import Spec
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store import scripts
from services.orchestrator.store.errors import (
    FencedError,
    FullError,
    KeyReusedError,
    LimitError,
    OverError,
    UnreadableError,
)
from services.orchestrator.store.patience import patient

ROOT = "0"
"""The id of every episode's root branch."""
INDEX = "espalier:episodes"
LIVE = "espalier:live"
CLEANUP = "espalier:cleanup"
PAGE = 1000
"""Events read from a log at once."""
PATIENCE = 2.0
"""How long a call is repeated while Redis is away, where nothing else is set, seconds."""
log = structlog.get_logger()


class NewEpisode(Spec):
    """What is kept of an episode from its creation: all that a worker needs to run it."""

    version: str
    """The method's version."""
    done_means_success: bool
    profile: str = ""
    model: str = ""
    adapter: str | None = None

    @property
    def spec(self) -> Spec:
        """What the method is told."""
        return Spec(**{name: getattr(self, name) for name in Spec.model_fields})


class EpisodeStore:
    """Every read and write of episodes.

    Every call is safe to repeat, and is repeated while Redis is away.

    Args:
        redis: The client.
        settings: Limits and lifetimes.
        patience: How long a call is repeated, seconds.
    """

    def __init__(self, redis: Redis, settings: OrchestratorSettings, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.redis: Any = redis  # its stubs mix the answers of the sync and the async client
        self.settings = settings
        self._create = redis.register_script(scripts.CREATE)
        self._take = redis.register_script(scripts.TAKE)
        self._append = redis.register_script(scripts.APPEND)
        self._finish = redis.register_script(scripts.FINISH)

    async def create(self, record: NewEpisode, key: str | None) -> tuple[str, bool]:
        """Make an episode: its id, and whether it is new.

        Raises:
            KeyReusedError: The key was used for another request.
            FullError: `max_live_episodes` are live.
        """
        return await self._create_as(new_id(), record, key)

    @patient
    async def _create_as(self, episode: str, record: NewEpisode, key: str | None) -> tuple[str, bool]:
        now = time.time()
        spec = orjson.dumps(record.model_dump())
        _read_record(episode, spec)  # what cannot be read back is never written
        event = pack(EventType.EPISODE_CREATED, now, data={"instruction": record.spec.instruction})
        idempotency = f"espalier:idempotency:{key or episode}"
        outcome, known = await self._create(
            keys=[*self._keys(episode)[:2], INDEX, LIVE, idempotency],
            args=[
                episode,
                now,
                spec,
                event,
                digest("create", record.spec.request),
                int(self.settings.idempotency_ttl * 1000) if key else 0,
                self.settings.max_live_episodes,
            ],
        )
        match outcome.decode():
            case "conflict":
                raise KeyReusedError
            case "full":
                raise FullError
            case word:
                return known.decode(), word == "created"

    @patient
    async def take(self, episode: str, branch: str) -> int:
        """Take a branch: its new epoch.

        Raises:
            OverError: The episode has ended, or there is none.
        """
        now = time.time()
        started = pack(EventType.EPISODE_STARTED, now)
        epoch = await self._take(keys=self._keys(episode), args=[branch, now, started])
        if isinstance(epoch, bytes):
            raise OverError
        return int(epoch)

    async def append(self, episode: str, entries: Sequence[tuple[str, int, bytes]], batch: str = "") -> None:
        """Write events, each with its branch and the epoch that its writer holds.

        Args:
            episode: The episode.
            entries: Branch, epoch and packed event of each.
            batch: The batch's own id: a batch that was written already is not written again.

        Raises:
            FencedError: A branch was taken over.
            OverError: The episode has ended.
            LimitError: The log is full.
        """
        args: list[Any] = [self.settings.max_events, self.settings.max_bytes, batch or uuid4().hex]
        for entry in entries:
            args.extend(entry)
        await self._append_once(episode, args)

    @patient
    async def _append_once(self, episode: str, args: list[Any]) -> None:
        _raise(await self._append(keys=self._keys(episode), args=args))

    async def complete(self, episode: str, epoch: int, result: Result, figures: Figures) -> None:
        """End an episode with its result. Raises as `append` does."""
        outcome = {"result": result.model_dump(mode="json"), "figures": figures.model_dump(mode="json")}
        await self._end(episode, State.COMPLETED, EventType.EPISODE_COMPLETED, outcome, str(epoch))

    async def fail(self, episode: str, epoch: int, failure: Failure, figures: Figures) -> None:
        """End an episode that broke. Raises as `append` does."""
        outcome = {"failure": failure.model_dump(mode="json"), "figures": figures.model_dump(mode="json")}
        await self._end(episode, State.FAILED, EventType.EPISODE_FAILED, outcome, str(epoch))

    async def cancel(self, episode: str) -> None:
        """End an episode at a client's wish; every worker on it is fenced. OverError if it is over."""
        await self._end(episode, State.CANCELLED, EventType.EPISODE_CANCELLED, {}, "")

    async def _end(
        self, episode: str, state: State, event: EventType, outcome: dict[str, Any], epoch: str
    ) -> None:
        now = time.time()
        args = [episode, state.value, now, pack(event, now, data=outcome)]
        args += ["outcome" if outcome else "", orjson.dumps(outcome)]
        args += [int(self.settings.episode_ttl * 1000), ROOT, epoch, uuid4().hex]
        await self._end_once(episode, args)

    @patient
    async def _end_once(self, episode: str, args: list[Any]) -> None:
        _raise(await self._finish(keys=[*self._keys(episode), LIVE, CLEANUP], args=args))

    @patient
    async def record(self, episode: str) -> NewEpisode | None:
        """What the episode was created with; None where it is not (or no longer) there.

        Raises:
            UnreadableError: The record is there and cannot be read.
        """
        spec = await self.redis.hget(_key(episode), "spec")
        return _read_record(episode, spec) if spec else None

    @patient
    async def get(self, episode: str) -> Episode | None:
        """An episode as clients see it; None where it is not (or no longer) there.

        Raises:
            UnreadableError: The record is there and cannot be read.
        """
        fields = await self.redis.hgetall(_key(episode))
        return _told(episode, fields) if fields else None

    @patient
    async def exists(self, episode: str) -> bool:
        """Whether an episode is there."""
        return bool(await self.redis.exists(_key(episode)))

    @patient
    async def last_event(self, episode: str) -> Event | None:
        """The newest event of an episode's log."""
        entries = await self.redis.xrevrange(log_key(episode), "+", "-", count=1)
        return unpack(*entries[0]) if entries else None

    def expired(self, episode: str) -> bool:
        """Whether an id that is not there is of an episode that was, and has expired."""
        made = born(episode)
        return made is not None and 0 < made < time.time() - self.settings.episode_ttl

    @patient
    async def page(self, after: str | None, limit: int) -> tuple[list[Episode], str | None]:
        """The newest episodes older than `after` that can be read, and the cursor of the next page."""
        horizon = id_at(time.time() - 2 * self.settings.episode_ttl)
        await self.redis.zremrangebylex(INDEX, "-", f"({horizon}")
        highest = f"({after}" if after else "+"
        ids = await self.redis.zrevrangebylex(INDEX, highest, "-", start=0, num=limit)
        pipeline = self.redis.pipeline(transaction=False)
        for episode in ids:
            pipeline.hgetall(_key(episode.decode()))
        rows = await pipeline.execute()
        told: list[Episode] = []
        for name, row in zip(ids, rows, strict=True):
            try:
                if row:
                    told.append(_told(name.decode(), row))
            except UnreadableError as error:
                log.warning("record left out of a list", error=str(error))
        return told, ids[-1].decode() if len(ids) == limit else None

    @patient
    async def events(self, episode: str, after: str = "-", limit: int | None = None) -> list[Event]:
        """The log, or what comes after an event's id; events that only readers need may be left out.

        Raises:
            UnreadableError: An answer to a port call is of a type that this release does not have.
        """
        found: list[Event] = []
        start = after if after == "-" else f"({after}"
        while limit is None or len(found) < limit:
            batch = await self.redis.xrange(_key(episode, "log"), start, "+", count=PAGE)
            found.extend(event for entry, fields in batch if (event := unpack_known(entry, fields)))
            if len(batch) < PAGE:
                break
            start = f"({batch[-1][0].decode()}"
        return found[:limit]

    @patient
    async def states(self, episodes: Iterable[str]) -> dict[str, str]:
        """The states of several episodes, in one round trip."""
        names = list(episodes)
        pipeline = self.redis.pipeline(transaction=False)
        for episode in names:
            pipeline.hget(_key(episode), "state")
        states = await pipeline.execute()
        return {name: (state or b"").decode() for name, state in zip(names, states, strict=True)}

    @patient
    async def live(self) -> list[str]:
        """Episodes that are queued or running."""
        return [name.decode() for name in await self.redis.smembers(LIVE)]

    @patient
    async def to_clean(self, count: int = 100) -> list[str]:
        """Episodes that ended and whose sessions may be open still."""
        return [name.decode() for name in await self.redis.srandmember(CLEANUP, count)]

    @patient
    async def cleaned(self, episode: str) -> None:
        """Nothing of this episode is open any more."""
        await self.redis.srem(CLEANUP, episode)

    @patient
    async def outage_began(self, episode: str) -> float | None:
        """When the outage that the episode waits out began, Unix seconds; None where none is on."""
        began = await self.redis.hget(_key(episode), "outage")
        return float(began) if began else None

    @patient
    async def outage(self, episode: str) -> None:
        """An outage is on; the first word of it sets the time."""
        await self.redis.hsetnx(_key(episode), "outage", time.time())

    @patient
    async def outage_over(self, episode: str) -> None:
        """The part that was away has answered."""
        await self.redis.hdel(_key(episode), "outage")

    @staticmethod
    def _keys(episode: str) -> list[str]:
        return [_key(episode), _key(episode, "log"), _key(episode, "epochs")]


def log_key(episode: str) -> str:
    """The stream of an episode's events."""
    return _key(episode, "log")


def pack(
    kind: EventType,
    at: float,
    *,
    branch: str = "",
    seq: int | None = None,
    digest_: str = "",
    data: dict[str, Any] | None = None,
) -> bytes:
    """An event as the stream holds it."""
    event: dict[str, Any] = {"type": kind.value, "at": at}
    if branch:
        event["branch"] = branch
    if seq is not None:
        event["seq"] = seq
        event["digest"] = digest_
    if data:
        event["data"] = data
    return orjson.dumps(event)


def unpack(entry: bytes, fields: dict[bytes, bytes]) -> Event:
    """A stream entry as an event."""
    return Event.model_validate({**orjson.loads(fields[b"e"]), "id": entry.decode()})


def unpack_known(entry: bytes, fields: dict[bytes, bytes]) -> Event | None:
    """A stream entry as an event; None for a type of a newer release that no replay needs.

    Raises:
        UnreadableError: A replay needs it: it answers a port call.
    """
    try:
        return unpack(entry, fields)
    except ValidationError as error:
        raw = orjson.loads(fields[b"e"])
        if raw.get("seq") is None:
            return None
        raise UnreadableError(f"event {entry.decode()} of type {raw.get('type')!r} cannot be read") from error


def _key(episode: str, part: str = "") -> str:
    return f"espalier:episode:{{{episode}}}{':' if part else ''}{part}"


def _raise(word: bytes) -> None:
    match word:
        case b"ok":
            return
        case b"fenced":
            raise FencedError
        case b"limit":
            raise LimitError
        case _:
            raise OverError


def _read_record(episode: str, spec: bytes) -> NewEpisode:
    try:
        return NewEpisode.model_validate_json(spec, extra="ignore")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnreadableError(f"the record of {episode} cannot be read: {where}: {first['msg']}") from error


def _told(episode: str, fields: dict[bytes, bytes]) -> Episode:
    try:
        return _read_episode(episode, fields)
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"the record of {episode} cannot be read: {error}") from error


def _read_episode(episode: str, fields: dict[bytes, bytes]) -> Episode:
    record = _read_record(episode, fields.get(b"spec", b""))
    outcome = orjson.loads(fields.get(b"outcome", b"{}"))
    started, ended = fields.get(b"started"), fields.get(b"ended")
    return Episode(
        id=episode,
        state=State(fields[b"state"].decode()),
        request=record.request,
        instruction=record.instruction,
        version=record.version,
        profile=record.profile,
        model=record.model,
        adapter=record.adapter,
        created_at=float(fields[b"created"]),
        started_at=float(started) if started else None,
        ended_at=float(ended) if ended else None,
        result=outcome.get("result"),
        failure=outcome.get("failure"),
        figures=outcome.get("figures"),
    )
