"""The queue of episodes to be worked on: a five-method port, and BullMQ behind it.

A job is an episode's id and nothing else: what there is to do stands in the episode's log. Putting
an id that is queued already changes nothing, so that the sweeper can put again whatever lives.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog
from bullmq import Job, Queue, Worker
from bullmq.custom_errors import DelayedError

from services.orchestrator.settings import OrchestratorSettings

QUEUE = "espalier-episodes"
BLOCK = 2
"""How long a worker blocks for a job, seconds: less than the Redis client's own socket timeout (5),
or an idle worker's connection breaks and the client sleeps before it connects again."""
NEVER = 1_000_000_000
"""So many stalls a job stands: the store's epochs decide about episodes, never the queue."""
log = structlog.get_logger()

Handler = Callable[[str], Awaitable[float | None]]
"""Works on an episode; seconds to lay the job aside for, or None when nothing is left to do."""


class JobQueue(Protocol):
    """What the orchestrator needs of a queue."""

    async def put(self, episode: str) -> None:
        """Queue an episode; nothing happens where it is queued, delayed or running already."""
        ...

    async def depth(self) -> int:
        """Jobs that wait."""
        ...

    def work(self, handler: Handler, concurrency: int) -> None:
        """Begin to take jobs."""
        ...

    async def stop(self) -> None:
        """Take no more jobs and leave those that run to others."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class BullQueue:
    """BullMQ: renewed locks, stalled jobs recovered, delays that hold no slot."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._connection = settings.redis_url.get_secret_value()
        self._lease = int(settings.lease * 1000)
        self._queue = Queue(QUEUE, {"connection": self._connection})
        self._worker: Worker | None = None

    async def put(self, episode: str) -> None:
        """Queue an episode; nothing happens where it is queued, delayed or running already."""
        options: Any = {"jobId": episode, "removeOnComplete": True, "removeOnFail": True}
        await self._queue.add("episode", {}, options)

    async def depth(self) -> int:
        """Jobs that wait."""
        counts = await self._queue.getJobCounts("waiting", "delayed", "prioritized")
        return sum(counts.values())

    def work(self, handler: Handler, concurrency: int) -> None:
        """Begin to take jobs."""

        async def process(job: Job, token: str) -> None:
            pause = await handler(str(job.id))
            if pause is not None:
                await job.moveToDelayed(int((time.time() + pause) * 1000), token)
                raise DelayedError

        options: Any = {
            "connection": self._connection,
            "concurrency": concurrency,
            "lockDuration": self._lease,
            "stalledInterval": max(1000, self._lease // 2),
            "maxStalledCount": NEVER,
            "runRetryDelay": 1000,
            "drainDelay": BLOCK,
        }
        self._worker = Worker(QUEUE, process, options)  # pyright: ignore[reportArgumentType]
        self._worker.on(
            "failed",
            lambda job, error, *_: log.error("job failed", job=str(job and job.id), error=str(error)),
        )
        self._worker.on("error", lambda error, *_: log.warning("queue", error=str(error)))

    async def stop(self) -> None:
        """Take no more jobs and leave those that run to others."""
        if self._worker is not None:
            await self._worker.close(force=True)
            self._worker = None

    async def close(self) -> None:
        """Close the connections."""
        await self.stop()
        await self._queue.close()
