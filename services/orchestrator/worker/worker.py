"""Takes branches that are ready and runs them.

A worker that dies leaves its jobs to others: their leases run out. One that lost a job without
noticing is fenced by the job's epoch. What another worker takes over is run again from the log.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import structlog

from services.contracts.episode import Failure, Priority
from services.kit.completion import as_object, as_text
from services.kit.failures import BusyError, OutageError
from services.kit.metrics import Metrics
from services.kit.origin import URGENCY, Origin, carry
from services.kit.tracing import OFF, Span, SpanKind, Tracing, mark_failed
from services.orchestrator.durable.run import RUN, JobRun, fail
from services.orchestrator.durable.slots import Slots
from services.orchestrator.environments import EnvironmentPort
from services.orchestrator.failures import SHORTEST_WAIT, Fate, choose_pause, classify
from services.orchestrator.roles import Roles
from services.orchestrator.search import METHODS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore, parse_record, read_trace
from services.orchestrator.store.jobs import Job, JobStore
from services.orchestrator.store.keys import Partition
from services.orchestrator.worker.metering import MeteredRoles
from services.orchestrator.worker.metrics import EpisodeMetrics
from services.orchestrator.worker.sweeper import Sweeper

OTHER_VERSION_PAUSE = 5.0
"""Seconds until a job that another version must do is offered again."""
LOOK = 1.0
"""The longest that an idle worker waits before it looks for a job again, seconds."""
URGENCIES = {Priority.INTERACTIVE: URGENCY, Priority.BATCH: URGENCY + 2}
"""The urgency of an episode's requests to the roles (RFC 9218)."""
LAST_CALLS = 3.0
"""How long a worker that stops takes to release its jobs at most, seconds."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    """What a worker works with."""

    jobs: JobStore
    episodes: EpisodeStore
    roles: Roles
    environments: Mapping[str, EnvironmentPort]


class Worker:
    """One worker process's branches.

    Args:
        parts: What it works with.
        settings: How much, and how often it looks.
        metrics: Where it counts.
        name: What the log calls it.
        tracing: Where the runs of branches are recorded; by default nowhere.
    """

    def __init__(
        self,
        parts: Parts,
        settings: OrchestratorSettings,
        metrics: Metrics,
        name: str | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.parts = parts
        self.settings = settings
        self.name = name or f"{socket.gethostname()}/{os.getpid()}"
        self.tracing = tracing or Tracing("worker", settings)
        self.metrics = EpisodeMetrics(metrics.registry, parts.environments)
        self.slots = Slots(settings.worker_concurrency)
        self.sweeper = Sweeper(parts.episodes, parts.jobs, parts.environments, self.metrics)
        self._running: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._held: dict[str, Job] = {}
        """Jobs whose leases are renewed: those that run, and not those that are being settled."""
        self._background: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self) -> None:
        """Begin to work."""
        partitions = self.parts.jobs.partitions.all
        self._background = [asyncio.create_task(self._take_jobs(partition)) for partition in partitions]
        self._background += [asyncio.create_task(self._watch(partition)) for partition in partitions]
        self._background.append(asyncio.create_task(self._sweep()))

    async def stop(self) -> None:
        """Leave everything to others, at once: what is recorded is enough to go on."""
        self._stopping = True
        running = list(self._running.values())
        for task in [*self._background, *(task for _, task in running)]:
            task.cancel()
        last = [*self._background, *(asyncio.create_task(self._leave(job, task)) for job, task in running)]
        if last:
            _, late = await asyncio.wait(last, timeout=LAST_CALLS)
            for task in late:
                task.cancel()

    async def _leave(self, job: Job, task: "asyncio.Task[None]") -> None:
        await asyncio.gather(task, return_exceptions=True)
        await self._release(job, 0.0)

    async def _take_jobs(self, partition: Partition) -> None:
        while not self._stopping:  # the client may swallow a cancellation
            await self.slots.wait_for_free()
            with _survived("taking jobs"):
                pause = await self._take_job(partition)
                if pause is not None:
                    await self.parts.jobs.wait(partition, min(pause, LOOK))
                continue
            await asyncio.sleep(LOOK)

    async def _take_job(self, partition: Partition) -> float | None:
        """Begin the next job that is due; where there is none, return in how many seconds one will be."""
        self.slots.occupy()  # before the job is taken: other partitions want the slot, too
        try:
            found = await self.parts.jobs.take(partition, self.name)
            if isinstance(found, Job):
                if self._stopping:
                    await self._release(found, 0.0)
                else:
                    self.begin(found)
                return None
            return found
        finally:
            self.slots.give_back()

    def begin(self, job: Job) -> "asyncio.Task[None]":
        """Run a job that was taken, beside the others."""
        before = self._running.get(job.id)
        if before is not None:  # this worker lost it and got it again: the run of before is fenced
            before[1].cancel()
        self.slots.occupy()
        self.metrics.running.inc()
        task = asyncio.create_task(self._work(job))
        self._running[job.id] = (job, task)
        self._held[job.id] = job

        def end(_: "asyncio.Task[None]") -> None:
            self.slots.give_back()
            self.metrics.running.dec()
            if self._running.get(job.id) == (job, task):
                del self._running[job.id]
            self._let_go(job)

        task.add_done_callback(end)
        return task

    async def _work(self, job: Job) -> None:
        bound = {"episode": job.episode, "branch": job.branch}
        with structlog.contextvars.bound_contextvars(**bound), self._trace(job):
            log.info("branch taken", epoch=job.epoch, resumed=job.resumed)
            if job.resumed and job.outage is None:
                self.metrics.takeovers.inc()
            if job.expired:
                self.metrics.leases_lost.inc()
            stopped: dict[str, float] = {}
            try:
                await self._run(job, stopped)
            except Exception as error:
                mark_failed(error)
                with _survived("laying a job aside"):
                    await self._settle(job, error, stopped)

    def _trace(self, job: Job) -> AbstractContextManager[Span]:
        """Return the span of a job's run, to be entered: it continues the trace of the episode's creation."""
        if not self.tracing.on:
            return OFF
        attributes = {
            "espalier.episode": job.episode,
            "espalier.branch": job.branch,
            "espalier.epoch": job.epoch,
            "espalier.resumed": job.resumed,
        }
        link = as_text(as_object(as_object(job.opened).get("data")).get("trace"))
        parent = read_trace(job.spec)
        return self.tracing.begin(
            RUN, parent=parent, link=link, kind=SpanKind.CONSUMER, attributes=attributes
        )

    async def _run(self, job: Job, stopped: dict[str, float]) -> None:
        """Run a job to its end, or lay it aside where this worker cannot run it.

        Args:
            job: The job.
            stopped: Gets the branches that an outage stopped, each with when it began, Unix seconds.
        """
        record = parse_record(job.episode, job.spec)
        method = METHODS.get(record.request.method)
        environment = self.parts.environments.get(record.request.environment)
        if method is None or not method.plays(record.version) or environment is None:
            await self._release(job, OTHER_VERSION_PAUSE)
            return
        self.metrics.prepare(record.request.environment, record.request.method)
        if job.waited is not None:
            tenant = self.settings.show_tenant(job.tenant)
            self.metrics.waits.labels(record.request.priority.value, tenant).observe(job.waited)
        run = JobRun(self.parts.jobs, self._roles_for(job), environment, method, self.slots)
        origin = Origin(job.episode, URGENCIES[record.request.priority])
        try:
            with carry(origin):
                over = await run.run(job, record, stopped)
        finally:
            self._let_go(job)  # its end is seen to here: nobody is to cancel that
        if over:
            await self.sweeper.finish(job.episode, run.fold)

    def _roles_for(self, job: Job) -> Roles:
        if self.settings.limits_of(job.tenant).tokens_per_minute is None:
            return self.parts.roles
        return MeteredRoles(self.parts.roles, self.parts.jobs, job.tenant)

    def _let_go(self, job: Job) -> None:
        """Renew a job's lease no more; a later run of the same job keeps its own."""
        if self._held.get(job.id) is job:
            del self._held[job.id]

    async def _settle(self, job: Job, error: Exception, stopped: dict[str, float]) -> None:
        """Do what a run that broke off needs."""
        match classify(error):
            case Fate.TAKEN:
                log.info("branch was taken over by another worker or has ended")
                await self._release(job, SHORTEST_WAIT)  # where it is still ours: a session refused its epoch
            case Fate.REDIS:
                log.warning("Redis is away; the branch waits", error=str(error))
                self.metrics.pauses.labels("redis").inc()
                await self._release(job, self.settings.outage_pause)
            case Fate.BUSY:
                assert isinstance(error, BusyError)
                self.metrics.pauses.labels(error.part).inc()
                log.info("a part is at its limit; the branch waits", error=str(error))
                await self._release(job, choose_pause(error))
            case Fate.OUTAGE:
                assert isinstance(error, OutageError)
                self.metrics.pauses.labels(error.part).inc()
                log.warning("a part is away; the branch waits", error=str(error))
                await self._release(job, self.settings.outage_pause, stopped)
            case Fate.BUG:
                await self._give_up(job, error)

    async def _release(self, job: Job, pause: float, stopped: dict[str, float] | None = None) -> None:
        """Lay a job aside; where that fails, its lease runs out."""
        try:
            await self.parts.jobs.release(job, pause, stopped or {})
        except Exception as error:
            if classify(error) is not Fate.TAKEN:
                log.warning("a job could not be released; its lease runs out", error=str(error))

    async def _give_up(self, job: Job, error: Exception) -> None:
        """End an episode that a bug broke: it must not vanish with the job."""
        log.error("episode broke", exc_info=error)
        detail = f"{type(error).__name__}: {error}"
        try:
            await fail(self.parts.jobs, job, Failure(reason="error", detail=detail))
        except Exception as lost:
            if classify(lost) is not Fate.TAKEN:
                raise
            return
        await self.sweeper.finish(job.episode)

    async def _watch(self, partition: Partition) -> None:
        """Renew leases, and stop work on what was lost or has ended."""
        while not self._stopping:
            await asyncio.sleep(self.settings.watch)
            with _survived("renewing leases"):
                await self._renew(partition)

    async def renew(self) -> None:
        """Renew the leases of all jobs that run, and stop those that are lost."""
        for partition in self.parts.jobs.partitions.all:
            await self._renew(partition)

    async def _renew(self, partition: Partition) -> None:
        store = self.parts.jobs
        jobs = [job for job in self._held.values() if store.partitions.of(job.episode) == partition]
        lost = await store.renew(partition, jobs) if jobs else {}
        for job in jobs:
            known, task = self._running.get(job.id, (None, None))
            if job.id in lost and known is job and self._held.get(job.id) is job and task is not None:
                task.cancel()

    async def _sweep(self) -> None:
        while not self._stopping:
            with _survived("sweep"):
                await self.sweeper.sweep()
            await asyncio.sleep(self.settings.sweep)


@contextlib.contextmanager
def _survived(what: str) -> Generator[None]:
    try:
        yield
    except Exception as error:  # Redis may be away for a while; the loop goes on
        log.warning(f"{what} failed", error=str(error))
