"""Collects records: plays a split's tasks with the environment's expert, several at once, resumably."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from espalier.client import AsyncSessions, EspalierError
from training.construct import derive
from training.construct.cards import write_card
from training.construct.experts import Player, player
from training.construct.making import Tell, known
from training.construct.play import play
from training.construct.record import Record, append_records, read_records
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
    """Tasks that the expert does not know."""
    derived: int
    """Planner's, judge's and subtask records."""


async def collect(
    environment: str,
    url: str,
    split: str,
    out: Path,
    tell: Tell,
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
        tell: Called with a line of progress now and then.
        limit: How many tasks.
        seed: Which tasks, and what is derived.
        least: The least reward that is kept.
        derived: How many planner's, and twice as many judge's and subtask records are made of the runs.
        concurrency: Tasks at once.

    Raises:
        UnknownEnvironmentError: There is no expert for it.
        RecordError: The file holds something else.
        EspalierError: The server does not answer.
    """
    made = player(environment)
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
                    record = await play(sessions, metadata, task_id, made, seed=seed)
                except EspalierError as error:
                    count["failed"] += 1
                    tell(f"{task_id}: {error}")
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
            tell(f"{environment}: {min(start + 100, len(left))} of {len(left)} played, {len(kept)} kept")
    extra = _derived(out, environment, split, seed, least, derived) if derived else []
    append_records(out, extra)
    write_card(out)
    return Collected(len(left), len(kept), count["failed"], count["unknown"], len(extra))


def _derived(out: Path, environment: str, split: str, seed: int, least: float, wanted: int) -> list[Record]:
    """What is still wanted of planner's, judge's and subtask records, out of the runs of a file."""
    runs: list[Record] = []
    there: dict[str, set[str]] = {"plan": set(), "subtask": set(), "step": set()}
    for record in read_records(out) if out.is_file() else ():
        source = record.provenance
        if (record.environment, source.source, source.split, source.seed) != (
            environment,
            "expert",
            split,
            seed,
        ):
            continue
        if record.kind in there:
            there[record.kind].add(record.task_id)
        elif record.kind == "trajectory" and record.reward >= least:
            runs.append(record)
    runs.sort(key=lambda record: record.task_id)

    def left(kind: str) -> tuple[list[Record], int]:
        others = [record for record in runs if record.task_id not in there[kind]]
        return others, max(0, wanted - len(there[kind]))

    (planned, plans), (judged, verdicts), (stepped, steps) = map(left, there)
    return [
        *derive.plans(planned, plans, seed),
        *derive.subtask_verdicts(judged, 2 * verdicts, seed),
        *derive.subtask_steps(stepped, steps, seed),
    ]


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
