"""The jobs of an episode's branches: taken, renewed, parked, released, and what they write into the log."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from services.contracts.episode import Failure, Figures, Result, State
from services.contracts.event import Event, EventType
from services.contracts.event_data import Parking
from services.kit.keys import LOCAL
from services.orchestrator.store import scripts, turns
from services.orchestrator.store.base import ROOT, raise_refusal
from services.orchestrator.store.errors import FencedError
from services.orchestrator.store.history import LogStore
from services.orchestrator.store.keys import Partition
from services.orchestrator.store.log import Packed, pack_whole, parse_event
from services.orchestrator.store.patience import patient
from services.orchestrator.store.tokens import TokenStore

RESERVE = 200
"""Events beyond `max_events` that a full log still takes, so that its branches can end by budget."""


@dataclass(frozen=True)
class Job:
    """A branch that this worker has, until its lease runs out or another one takes it."""

    episode: str
    branch: str
    epoch: int
    spec: bytes
    """The episode's record as it was created."""
    opened: Mapping[str, Any] | None = None
    """The event that opened the branch, unread; None for the root."""
    resumed: bool = False
    """Whether it was taken before, so that there may be answers to replay."""
    outage: float | None = None
    """When the outage that it waits out began, Unix seconds."""
    started: float = field(default_factory=time.time)
    """When the episode started, Unix seconds."""
    worker: str = ""
    """The worker that took it, where another one had it before: the first batch of events records it."""
    expired: bool = False
    """Whether the lease of the worker that had it before ran out."""
    tenant: str = LOCAL
    """Whose episode it is of."""
    waited: float | None = None
    """How long it was due before it was taken, seconds; None where its lease had run out."""

    @property
    def id(self) -> str:
        """`episode/branch`."""
        return f"{self.episode}/{self.branch}"

    @property
    def opening(self) -> Event | None:
        """The event that opened the branch; None for the root.

        Raises:
            UnreadableError: It cannot be read.
        """
        return None if self.opened is None else parse_event("", self.opened)

    @property
    def root(self) -> bool:
        """Whether it is the episode's root branch."""
        return self.branch == ROOT


class Line(NamedTuple):
    """One event to be written."""

    what: str
    """`open`, `open-job` or `close` where it opens or closes a branch; `take` where a worker begins it."""
    branch: str
    seq: int | None
    packed: Packed
    other: str = ""
    """The branch that it opens; to close one, the number of its last call; to take one, the worker."""


class JobStore(LogStore, TokenStore):
    """Every call that a worker makes for its jobs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._take = self.script(turns.TAKE)
        self._renew = self.script(scripts.RENEW)
        self._release = self.script(scripts.RELEASE)
        self._park = self.script(scripts.PARK)
        self._append = self.script(scripts.APPEND, scripts.ENDING)
        self._cancel = self.script(scripts.CANCEL, scripts.ENDING)

    @patient
    async def take(self, partition: Partition, worker: str) -> Job | float:
        """Take the next job that is due, or return in how many seconds one will be; infinity: none waits."""
        answer = await self._take(
            keys=[partition.ready, partition.leases],
            args=[
                partition.episode(""),
                int(self.settings.lease * 1000),
                worker,
                time.time(),
                await self._describe_turns(),
            ],
        )
        if answer[0] == b"none":
            return float("inf") if answer[1] < 0 else answer[1] / 1000
        _, episode, branch, epoch, resumed, spec, opening, outage, started, moved, *rest = answer
        expired, tenant, priority, waited = rest
        name = episode.decode()
        raw = orjson.loads(opening) if opening else None
        if raw is not None:
            await self.read_texts(name, [raw])
        return Job(
            episode=name,
            branch=branch.decode(),
            epoch=int(epoch),
            spec=spec,
            opened=raw,
            resumed=bool(resumed),
            outage=float(outage) if outage else None,
            started=float(started),
            worker=worker if moved else "",
            expired=bool(expired),
            tenant=tenant.decode(),
            waited=waited / 1000 if priority else None,
        )

    async def _describe_turns(self) -> bytes:
        """Return what the script has to know of tenants."""
        limits = self.settings.tenant_limits
        branches = {name: self.settings.divide(given.branches or 0) for name, given in limits.items()}
        return orjson.dumps(
            {
                "weights": {name: given.weight for name, given in limits.items()},
                "branches": branches,
                "blocked": await self.find_overspent(),
            }
        )

    @patient
    async def wait(self, partition: Partition, seconds: float) -> None:
        """Wait until a job may be due, at most so long."""
        await self.redis.blpop([partition.wake], timeout=max(0.01, seconds))

    @patient
    async def renew(self, partition: Partition, jobs: Sequence[Job]) -> dict[str, str]:
        """Renew the leases of jobs and return those that are lost, each as `over` or `fenced`."""
        args: list[Any] = [partition.episode(""), int(self.settings.lease * 1000)]
        for job in jobs:
            args += [job.id, job.epoch]
        answer = await self._renew(keys=[partition.leases], args=args)
        lost = [item.decode() for item in answer]
        return dict(zip(lost[::2], lost[1::2], strict=True))

    async def check(self, job: Job) -> None:
        """Renew the lease of a job.

        Raises:
            FencedError: Another worker has it, or the episode is over.
        """
        if await self.renew(self.partitions.of(job.episode), [job]):
            raise FencedError

    @patient
    async def release(self, job: Job, pause: float, outages: Mapping[str, float] | None = None) -> None:
        """Lay a job aside for some seconds, and record which branches an outage stopped, and since when.

        Raises:
            FencedError: Another worker has it.
        """
        partition = self.partitions.of(job.episode)
        keys = [partition.episode(job.episode, "branches"), partition.ready, partition.leases, partition.wake]
        args: list[Any] = [job.episode, job.branch, job.epoch, int(pause * 1000)]
        for branch, began in (outages or {}).items():
            args += [branch, began]
        raise_refusal(await self._release(keys=keys, args=args))

    @patient
    async def park(self, job: Job, waits: Parking, last: int) -> None:
        """Lay a job aside until branches have closed. Raises as `append` does.

        Args:
            job: The job.
            waits: What it waits for.
            last: The number of the last call that its branch recorded; -1: none.
        """
        data = waits.model_dump(mode="json")
        packed = pack_whole(EventType.BRANCH_PARKED, time.time(), branch=job.branch, data=data)
        args = [job.episode, job.branch, job.epoch, packed, int(waits.first), last, *waits.branches]
        raise_refusal(await self._park(keys=self._keys(job), args=args))

    async def append(self, job: Job, lines: Sequence[Line]) -> bool:
        """Write events and return whether the log is full now, so that the episode has to end by budget.

        Raises:
            FencedError: The job was taken over.
            AheadError: Redis has lost the tail of the log.
            OverError: The episode has ended.
            LimitError: The log takes nothing more.
            BranchesError: The episode has as many branches as it may have; nothing was written.
        """
        settings = self.settings
        texts: dict[str, str] = {}
        for line in lines:
            texts.update(line.packed[1])
        args: list[Any] = [job.episode, job.branch, job.epoch, uuid4().hex, settings.max_events]
        args += [settings.max_bytes, settings.max_events + RESERVE + settings.max_events // 4]
        args += [settings.max_bytes + settings.max_bytes // 4, settings.max_branches, len(texts)]
        for name, text in texts.items():
            args += [name, text]
        for what, branch, seq, packed, other in lines:
            args += [what, branch, "" if seq is None else seq, packed[0], other]
        return await self._append_once(job, args)

    @patient
    async def _append_once(self, job: Job, args: list[Any]) -> bool:
        key = self.key(job.episode)
        return raise_refusal(await self._append(keys=[key], args=args))

    @patient
    async def cancel(self, job: Job, branches: Sequence[str]) -> None:
        """End branches of a job early, and all below them. Raises as `append` does."""
        args = [job.episode, job.branch, job.epoch, time.time(), *branches]
        raise_refusal(await self._cancel(keys=self._keys(job), args=args))

    async def complete(self, job: Job, result: Result, figures: Figures, last: int) -> None:
        """End an episode with its result, after its root's last call. Raises as `append` does."""
        outcome = {"result": result.model_dump(mode="json"), "figures": figures.model_dump(mode="json")}
        await self.finish(job.episode, State.COMPLETED, outcome, (job.branch, job.epoch), last)

    async def fail(self, job: Job, failure: Failure, figures: Figures) -> None:
        """End an episode that broke. Raises as `append` does."""
        outcome = {"failure": failure.model_dump(mode="json"), "figures": figures.model_dump(mode="json")}
        await self.finish(job.episode, State.FAILED, outcome, (job.branch, job.epoch))

    @patient
    async def closings(self, episode: str, branches: Sequence[str]) -> dict[str, str]:
        """Return the branches that have closed, each with the entry of the log that closed it."""
        key = self.key(episode, "branches")
        ends = await self.redis.hmget(key, [f"{branch}:end" for branch in branches])
        return {branch: end.decode() for branch, end in zip(branches, ends, strict=True) if end}

    @patient
    async def outages(self, episode: str) -> dict[str, float]:
        """Return the branches that wait out an outage, each with when it began, Unix seconds."""
        fields = await self.redis.hgetall(self.key(episode, "branches"))
        suffix = b":outage"
        return {
            name.removesuffix(suffix).decode(): float(value)
            for name, value in fields.items()
            if name.endswith(suffix)
        }

    @patient
    async def end_outage(self, episode: str, branch: str) -> None:
        """The part that a branch waited for has answered."""
        await self.redis.hdel(self.key(episode, "branches"), f"{branch}:outage")

    @patient
    async def depth(self) -> int:
        """Return how many jobs wait for a worker or a pause's end."""
        return sum([await self.redis.zcard(partition.ready) for partition in self.partitions.all])

    def _keys(self, job: Job) -> list[str]:
        partition = self.partitions.of(job.episode)
        keys = [partition.episode(job.episode, part) for part in ("", "log", "branches")]
        return [*keys, partition.ready, partition.leases, partition.wake]
