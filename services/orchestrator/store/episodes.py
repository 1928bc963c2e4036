"""Episodes in Redis: a hash for the state, a stream for the log, a hash of branches, a hash of long texts."""

import time
from typing import Any

import orjson
import structlog
from pydantic import ValidationError
from redis.asyncio.cluster import RedisCluster

from services.contracts.episode import Episode, State
from services.contracts.event import EventType
from services.kit.completion import as_object, as_text
from services.kit.keys import LOCAL
from services.orchestrator.identity import digest, id_at, made_at, new_id
from services.orchestrator.ports import Spec
from services.orchestrator.store import scripts
from services.orchestrator.store.errors import (
    CrowdedError,
    FullError,
    KeyReusedError,
    SettingsError,
    UnreadableError,
)
from services.orchestrator.store.history import LogStore
from services.orchestrator.store.keys import PREFIX
from services.orchestrator.store.log import pack
from services.orchestrator.store.patience import patient
from services.orchestrator.store.tokens import TokenStore
from services.orchestrator.store.transient import is_transient

PARTITIONS = f"{PREFIX}:partitions"
"""Holds the number of partitions that the episodes are spread over."""
log = structlog.get_logger()


class Record(Spec):
    """What is kept of an episode from its creation: all that a worker needs to run it."""

    version: str
    """The method's version."""
    profile: str = ""
    model: str = ""
    adapter: str | None = None
    tenant: str = ""
    """Whose key created it; empty: a release without tenants wrote the record."""
    trace: str = ""
    """The span that created it, as W3C `traceparent`; empty: it is not traced."""

    @property
    def spec(self) -> Spec:
        """What the method is given."""
        return Spec(**{name: getattr(self, name) for name in Spec.model_fields})


class EpisodeStore(LogStore, TokenStore):
    """Every call that the API and the clean-up make."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create = self.script(scripts.CREATE)

    async def check_partitions(self) -> None:
        """Record the number of partitions, or compare it with what is recorded.

        Redis may be away: then nothing is compared, and the next process does it.

        Raises:
            SettingsError: The episodes that are kept were written with another number.
        """
        count = str(len(self.partitions.all))
        try:
            await self.redis.set(PARTITIONS, count, nx=True)
            kept = (await self.redis.get(PARTITIONS) or b"").decode()
        except Exception as error:
            if not is_transient(error):
                raise
            return
        if kept != count:
            raise SettingsError(
                f"ESPALIER_PARTITIONS is {count}, and the episodes in Redis were written with {kept}; "
                f"set it to {kept}, or use an empty Redis."
            )

    async def create(self, record: Record, key: str | None, request_digest: str = "") -> tuple[str, bool]:
        """Create an episode and return its id and whether it is new.

        Args:
            record: What is kept of it.
            key: The client's idempotency key, which counts within the record's tenant. The partition follows
                from the key alone, so that `find_key` finds in one place what any release wrote.
            request_digest: Of the request as it came; another one under the same key is refused.

        Raises:
            KeyReusedError: The key was used for another request.
            FullError: `max_live_episodes` are live.
            CrowdedError: The tenant's limit of live episodes is reached.
        """
        episode = new_id()
        if key:
            partition = self.partitions.of(key)
            while self.partitions.of(episode) != partition:
                episode = new_id()
        return await self._create_as(episode, record, key, request_digest or digest("create", record.request))

    @patient
    async def _create_as(
        self, episode: str, record: Record, key: str | None, request_digest: str
    ) -> tuple[str, bool]:
        now = time.time()
        spec = orjson.dumps(record.model_dump())
        parse_record(episode, spec)  # what cannot be read back is never written
        event, texts = pack(EventType.EPISODE_CREATED, now, data={"instruction": record.spec.instruction})
        partition = self.partitions.of(episode)
        tenant = record.tenant or LOCAL
        keys = [partition.episode(episode, part) for part in ("", "log", "branches", "texts")]
        keys += [partition.index, partition.live, partition.idempotency(key or episode, tenant)]
        keys += [partition.ready, partition.wake, partition.tenant_live(tenant)]
        limit = max(1, self.settings.max_live_episodes // len(self.partitions.all))
        most = self.settings.divide(self.settings.limits_of(tenant).episodes or 0)
        ttl = int(self.settings.idempotency_ttl * 1000) if key else 0
        args: list[Any] = [episode, now, spec, event, request_digest, ttl, limit, record.adapter or ""]
        args += [tenant, record.request.priority.value, most]
        for name, text in texts.items():
            args += [name, text]
        outcome, known = await self._create(keys=keys, args=args)
        match outcome.decode():
            case "conflict":
                raise KeyReusedError
            case "full":
                raise FullError
            case "crowded":
                raise CrowdedError
            case answer:
                return known.decode(), answer == "created"

    @patient
    async def find_key(self, key: str, request_digest: str, tenant: str = LOCAL) -> str | None:
        """Return the episode that a tenant's idempotency key was used for, or None.

        Older releases recorded the keys of all tenants in one place. What is there counts for the tenant
        of its episode; where the episode has no tenant, it counts for an equal request.

        Raises:
            KeyReusedError: The tenant used the key for another request.
        """
        partition = self.partitions.of(key)
        used, known = await self.redis.hmget(partition.idempotency(key, tenant), ["id", "digest"])
        given = request_digest.encode()
        if used is None and tenant != LOCAL:
            used, known = await self.redis.hmget(partition.idempotency(key), ["id", "digest"])
            owner = await self.redis.hget(self.key(used.decode()), "tenant") if used else None
            if not (owner == tenant.encode() if owner else known == given):
                return None
        if used is None:
            return None
        if known != given:
            raise KeyReusedError
        return used.decode()

    async def cancel(self, episode: str) -> None:
        """End an episode at a client's request; every worker on it is fenced. OverError if it is over."""
        await self.finish(episode, State.CANCELLED, {}, None)

    @patient
    async def record(self, episode: str) -> Record | None:
        """Return what the episode was created with; None where it is not (or no longer) there.

        Raises:
            UnreadableError: The record is there and cannot be read.
        """
        spec = await self.redis.hget(self.key(episode), "spec")
        return parse_record(episode, spec) if spec else None

    @patient
    async def get(self, episode: str) -> Episode | None:
        """Return an episode as clients see it; None where it is not (or no longer) there.

        Raises:
            UnreadableError: The record is there and cannot be read.
        """
        fields = await self.redis.hgetall(self.key(episode))
        return parse_episode(episode, fields) if fields else None

    @patient
    async def exists(self, episode: str) -> bool:
        """Return whether an episode is there."""
        return bool(await self.redis.exists(self.key(episode)))

    def expired(self, episode: str) -> bool:
        """Return whether an id that is not there is of an episode that was, and has expired."""
        made = made_at(episode)
        return made is not None and 0 < made < time.time() - self.settings.episode_ttl

    @patient
    async def page(self, after: str | None, limit: int) -> tuple[list[Episode], str | None]:
        """Return the newest episodes older than `after` that can be read, and the next page's cursor."""
        highest = f"({after}" if after else "+"
        ids: list[str] = []
        for partition in self.partitions.all:
            found = await self.redis.zrevrangebylex(partition.index, highest, "-", start=0, num=limit)
            ids += [name.decode() for name in found]
        ids = sorted(ids, reverse=True)[:limit]
        pipeline = self.redis.pipeline(transaction=False)
        for episode in ids:
            pipeline.hgetall(self.key(episode))
        episodes: list[Episode] = []
        for episode, row in zip(ids, await pipeline.execute() if ids else [], strict=True):
            try:
                if row:
                    episodes.append(parse_episode(episode, row))
            except UnreadableError as error:
                log.warning("record left out of a list", error=str(error))
        return episodes, ids[-1] if len(ids) == limit else None

    @patient
    async def trim_index(self) -> None:
        """Drop ids of episodes that have expired from the indexes."""
        horizon = id_at(time.time() - 2 * self.settings.episode_ttl)
        for partition in self.partitions.all:
            await self.redis.zremrangebylex(partition.index, "-", f"({horizon}")

    @patient
    async def count_live(self) -> tuple[int, dict[str, int]]:
        """Return how many episodes are queued or running, in all and by adapter."""
        total, adapters = 0, dict[str, int]()
        for partition in self.partitions.all:
            for name, count in (await self.redis.hgetall(partition.live)).items():
                if name == b"total":
                    total += int(count)
                else:
                    adapter = name.decode().removeprefix("adapter:")
                    adapters[adapter] = adapters.get(adapter, 0) + int(count)
        return total, adapters

    @patient
    async def count_tenant(self, tenant: str) -> int:
        """Return how many episodes of a tenant are queued or running."""
        return sum(
            [await self.redis.scard(partition.tenant_live(tenant)) for partition in self.partitions.all]
        )

    @patient
    async def measure_memory(self) -> tuple[int, int]:
        """Return the memory in use and its limit, bytes, of the server that is fullest.

        Where no `maxmemory` is set, the limit is the machine's memory.
        """
        if self.settings.redis_cluster:
            found = await self.redis.info("memory", target_nodes=RedisCluster.PRIMARIES)
            answers = (
                [found] if "used_memory" in found else found.values()
            )  # of one primary, its answer alone
        else:
            answers = [await self.redis.info("memory")]
        nodes = [
            (info["used_memory"], info.get("maxmemory") or info.get("total_system_memory") or 0)
            for info in answers
        ]
        return max(nodes, key=lambda node: node[0] / node[1] if node[1] else 0.0)

    @patient
    async def claim_ended(self, episode: str | None = None, count: int = 100) -> list[str]:
        """Return episodes that ended and that the caller is to count; nobody else gets them.

        Args:
            episode: This one only.
            count: At most so many of each partition.
        """
        if episode is not None:
            return [episode] if await self.redis.srem(self.partitions.of(episode).ended, episode) else []
        found: list[str] = []
        for partition in self.partitions.all:
            found += [name.decode() for name in await self.redis.spop(partition.ended, count)]
        return found

    @patient
    async def list_unclean(self, count: int = 100) -> list[str]:
        """Return episodes that ended some time ago and whose sessions may be open still."""
        found: list[str] = []
        for partition in self.partitions.all:
            names = await self.redis.zrangebyscore(
                partition.cleanup, "-inf", time.time() * 1000, start=0, num=count
            )
            found += [name.decode() for name in names]
        return found

    @patient
    async def mark_clean(self, episode: str) -> None:
        """Nothing of this episode is open any more."""
        await self.redis.zrem(self.partitions.of(episode).cleanup, episode)

    @patient
    async def claim_chore(self, name: str, seconds: float) -> bool:
        """Return whether the caller is to do a chore that one process of all does now and then."""
        key = f"{self.partitions.all[0].tag}chore:{name}"
        return bool(await self.redis.set(key, 1, nx=True, px=int(seconds * 1000)))

    @patient
    async def states(self, episodes: list[str]) -> dict[str, str]:
        """Return the states of several episodes; empty for one that is not there."""
        pipeline = self.redis.pipeline(transaction=False)
        for episode in episodes:
            pipeline.hget(self.key(episode), "state")
        states: list[bytes | None] = await pipeline.execute() if episodes else []
        return {name: (state or b"").decode() for name, state in zip(episodes, states, strict=True)}


def parse_record(episode: str, spec: bytes) -> Record:
    """Return what an episode was created with.

    Raises:
        UnreadableError: It cannot be read.
    """
    try:
        return Record.model_validate_json(spec, extra="ignore")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnreadableError(f"the record of {episode} cannot be read: {where}: {first['msg']}") from error


def read_trace(spec: bytes) -> str:
    """Return the `traceparent` in an episode's record; empty where the record has none or cannot be read."""
    try:
        return as_text(as_object(orjson.loads(spec)).get("trace"))
    except orjson.JSONDecodeError:
        return ""


def parse_episode(episode: str, fields: dict[bytes, bytes]) -> Episode:
    """Return an episode as clients see it, from its hash.

    Raises:
        UnreadableError: It cannot be read.
    """
    try:
        return _build_episode(episode, fields)
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"the record of {episode} cannot be read: {error}") from error


def _build_episode(episode: str, fields: dict[bytes, bytes]) -> Episode:
    record = parse_record(episode, fields.get(b"spec", b""))
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
