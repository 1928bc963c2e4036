"""Collects records: plays a split's tasks with the environment's expert, several at once, resumably."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from espalier.client import AsyncSessions, EspalierError
from training.construct.cards import write_card
from training.construct.derive import Runs, add_derived
from training.construct.experts import Player, find_licence, finder, player
from training.construct.making import Report, known
from training.construct.play import play
from training.construct.record import Record, append_records
from training.construct.rejections import Rejection, append_rejection

PAGE = 1000


@dataclass(frozen=True)
class Collected:
    """What came of a collection."""

    played: int
    kept: int
    failed: int
    """Tasks that the environment could not play."""
    unknown: int
    """Tasks of kinds that the expert lacks."""
    derived: int
    """Planner's, judge's and subtask records."""


async def collect(
    environment: str,
    url: str,
    split: str,
    out: Path,
    report: Report,
    *,
    limit: int,
    seed: int = 0,
    least: float = 0.99,
    derived: int = 0,
    concurrency: int = 4,
) -> Collected:
    """Play tasks that are not in the file yet, drawn from the split by the seed, and add what succeeded.

    Args:
        environment: Which expert plays.
        url: The environment's server.
        split: The tasks to draw from.
        out: The file of records; what it holds, or its rejections, is not played again.
        report: Called with a line of progress now and then.
        limit: How many tasks.
        seed: Which tasks, and what is derived.
        least: The least reward that is kept.
        derived: How many plans, steps and selections, and twice as many verdicts, are made of the runs.
        concurrency: Tasks at once.

    Raises:
        UnknownEnvironmentError: There is no expert for it.
        RecordError: The file holds something else.
        EspalierError: The server does not answer.
    """
    made, find = player(environment), finder(environment)
    licence = find_licence(environment, split)
    there = known(out, environment)
    async with AsyncSessions(url, timeout=120) as sessions:
        metadata = await sessions.metadata()
        chosen = await drawn(sessions, split, limit, f"collect/{seed}")
        left = [name for name in chosen if name not in there]
        places = asyncio.Semaphore(concurrency)
        kept: list[Record] = []
        count = {"failed": 0, "unknown": 0}

        def reject(task_id: str, reason: str, detail: str = "") -> None:
            rejection = Rejection(
                task_id=task_id, environment=environment, by="expert", reason=reason, detail=detail
            )
            append_rejection(out, rejection)

        async def one(task_id: str, made: Player) -> None:
            async with places:
                try:
                    record = await play(
                        sessions, metadata, task_id, made, reference=find(task_id), licence=licence, seed=seed
                    )
                except EspalierError as error:
                    count["failed"] += 1
                    report(f"{task_id}: {error}")
                    return
            if record is None:
                count["unknown"] += 1
                reject(task_id, "does not know this kind of task")
            elif record.reward < least:
                reject(task_id, f"reward below {least:g}", f"reward {record.reward:g}")
            else:
                kept.append(record)
                append_records(out, [record])

        for start in range(0, len(left), 100):
            await asyncio.gather(*(one(task_id, made) for task_id in left[start : start + 100]))
            report(f"{environment}: {min(start + 100, len(left))} of {len(left)} played, {len(kept)} kept")
    extra = add_derived(out, Runs(environment, "expert", split, seed, least), derived)
    write_card(out)
    return Collected(len(left), len(kept), count["failed"], count["unknown"], extra)


async def drawn(sessions: AsyncSessions, split: str, limit: int, seed: str) -> list[str]:
    """The names of so many tasks of a split, or of all, as the seed draws them.

    Raises:
        EspalierError: There is no such split, or the server does not answer.
    """
    names = await task_names(sessions, split)
    return random.Random(seed).sample(names, min(limit, len(names)))  # noqa: S311


async def task_names(sessions: AsyncSessions, split: str) -> list[str]:
    """The names of all tasks of a split.

    Raises:
        EspalierError: There is no such split, or the server does not answer.
    """
    names: list[str] = []
    cursor: str | None = None
    while True:
        page = await sessions.tasks(split=split, cursor=cursor, limit=PAGE)
        names += [task.id for task in page.tasks]
        cursor = page.next
        if cursor is None:
            return names
