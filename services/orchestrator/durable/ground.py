"""What all branches of one job stand on."""

import time
from dataclasses import dataclass, field

from services.contracts.event import Event
from services.orchestrator.durable.writer import LogWriter
from services.orchestrator.environments import EnvironmentPort
from services.orchestrator.roles import Roles
from services.orchestrator.store.episodes import Record
from services.orchestrator.store.jobs import Job, JobStore


@dataclass
class Ground:
    """A job's connections, and which outages its branches wait out."""

    job: Job
    record: Record
    roles: Roles
    environment: EnvironmentPort
    store: JobStore
    writer: LogWriter
    outages: dict[str, float]
    """When the outage that a branch waits out began, Unix seconds."""
    live: bool = True
    """False: a replay that may not call anything."""
    stopped: dict[str, float] = field(default_factory=dict[str, float])
    """Branches that an outage stopped in this run, each with when it began, Unix seconds."""

    def outage_deadline(self, branch: str) -> float | None:
        """Return when a branch's outage becomes a failure, Unix seconds; None where none is on."""
        began = self.outages.get(branch)
        return None if began is None else began + self.store.settings.outage_grace

    def begin_outage(self, branch: str) -> None:
        """Record that a part is away, from now on where no outage is on yet."""
        self.outages.setdefault(branch, time.time())

    async def answered(self, branch: str) -> None:
        """Record that a part has answered live: a branch's outage is over."""
        if self.outages.pop(branch, None) is not None:
            await self.store.end_outage(self.job.episode, branch)

    async def history(self) -> list[Event]:
        """Return the episode's log with all that this job has written."""
        await self.writer.flush()
        return await self.store.events(self.job.episode)
