"""Makes records one task at a time: several at once, resumably, and a bad one never ends the run."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from espalier.client import EspalierError
from training.construct.cards import write_card
from training.construct.record import Record, append_records, read_records
from training.construct.rejections import Rejection, append_rejection, read_rejections, rejected_file
from training.construct.roles import RoleAwayError, RoleError

Report = Callable[[str], None]
Make = Callable[[str], Awaitable[Record | list[Record]]]
"""Makes what a task gives: one record, or several."""
PATIENCE = 5
"""So many tasks in a row that a part was away for end the run: it can be resumed."""
TOLD_EVERY = 20
RECORD, REJECTION = '{"environment":', '{"task_id":'
"""How the lines of records and rejections begin."""


@dataclass
class Made:
    """What came of a run."""

    there: int = 0
    """Tasks that an earlier run made or rejected."""
    kept: int = 0
    failed: int = 0
    """Tasks that a part was away for; the next run tries them again."""
    rejected: Counter[str] = field(default_factory=Counter[str])
    stopped: str = ""
    """Why the run ended early; empty where it did not."""


def mend(path: Path, begins: str) -> None:
    """Cut off a last line that a run which was killed left unfinished; a whole one gets its end.

    Args:
        path: A file of JSON lines; where it is missing, nothing is done.
        begins: How each line begins. A last line that begins otherwise is not ours, and stays.
    """
    if not path.is_file():
        return
    with path.open("rb+") as file:
        start = _last_line(file)
        file.seek(start)
        line = file.read()
        head = begins.encode()
        if not line or not head.startswith(line[: len(head)]):
            return
        if _is_whole(line):
            file.write(b"\n")
        else:
            file.truncate(start)


def _last_line(file: BinaryIO) -> int:
    """Where the line begins that has no end."""
    place = file.seek(0, os.SEEK_END)
    while place:
        step = min(place, 65536)
        file.seek(place - step)
        cut = file.read(step).rfind(b"\n")
        if cut >= 0:
            return place - step + cut + 1
        place -= step
    return 0


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def known(out: Path, environment: str) -> set[str]:
    """The tasks of an environment that a file of records, or its rejections, hold.

    Raises:
        RecordError: A line is no record.
    """
    mend(out, RECORD)
    mend(rejected_file(out), REJECTION)
    there = {one.task_id for one in read_rejections(out) if one.environment == environment}
    if out.is_file():
        there |= {one.task_id for one in read_records(out) if one.environment == environment}
    return there


async def make_records(
    tasks: Iterable[str], make: Make, out: Path, report: Report, *, environment: str, concurrency: int
) -> Made:
    """Make a record of each task that is not in the file yet.

    Args:
        tasks: The tasks' names, each once.
        make: Makes one.
        out: The file of records; rejections and the card go beside it.
        report: Called with a line of progress now and then.
        environment: What rejections are filed under.
        concurrency: Tasks at once.

    Raises:
        RecordError: The file holds something else.
        RoleSetupError: A server refuses our key, or does not serve the model.
        PromptError: A prompt file has a place that nothing fills.
    """
    names = list(tasks)
    there = known(out, environment)
    left = [name for name in names if name not in there]
    made = Made(there=len(names) - len(left))
    queue = iter(left)
    away = 0

    async def one(task_id: str) -> None:
        nonlocal away
        try:
            found = await make(task_id)
        except (RoleError, ValidationError, RoleAwayError, EspalierError) as error:
            rejection = _rejection(task_id, environment, error)
            if rejection is None:
                made.failed += 1
                away += 1
                report(f"{task_id}: {error}")
                made.stopped = str(error) if away >= PATIENCE else made.stopped
                return
            made.rejected[f"{rejection.by}: {rejection.reason}"] += 1
            append_rejection(out, rejection)
        else:
            made.kept += 1
            append_records(out, found if isinstance(found, list) else [found])
        away = 0
        count = made.kept + made.rejected.total()
        if count % TOLD_EVERY == 0:
            report(f"{count} of {len(left)} made, {made.kept} kept")

    async def work() -> None:
        for task_id in queue:
            if made.stopped:
                return
            await one(task_id)

    workers = [asyncio.create_task(work()) for _ in range(max(1, min(concurrency, len(left))))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        _count(out)
    return made


def _count(out: Path) -> None:
    """Write the card, where anything was made or rejected."""
    if out.is_file() or rejected_file(out).is_file():
        write_card(out)


def _rejection(task_id: str, environment: str, error: Exception) -> Rejection | None:
    """Why a task is not tried again; None where a part was away, and it will be."""
    if isinstance(error, RoleError):
        by, reason, detail = error.role, error.reason, error.detail
    elif isinstance(error, EspalierError) and _refuses(error):
        by, reason, detail = "environment", f"answers {error.problem.status}", str(error)
    elif isinstance(error, ValidationError):
        first = error.errors()[0]
        by, reason = "record", "does not fit"
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    else:
        return None
    return Rejection(task_id=task_id, environment=environment, by=by, reason=reason, detail=detail)


def _refuses(error: EspalierError) -> bool:
    return 400 <= error.problem.status < 500 and error.problem.status not in (401, 403, 429)
