"""Filters a file of records: what passes, with the filters that it passed; what does not, with the reason."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from envs.registry import load_environments
from espalier.client import AsyncSessions, EspalierError
from training.construct import replay
from training.construct.cards import write_card
from training.construct.filters import Filter
from training.construct.record import Record, RecordError, append_records
from training.construct.rejections import Rejection, append_rejection, rejected_file

MALFORMED = "malformed"
TIMEOUT = 120.0
"""One call to an environment, seconds."""
BLOCK = 64
"""Records that are replayed together."""


@dataclass
class Filtered:
    """What came of a filtering."""

    read: int = 0
    kept: int = 0
    passed: Counter[str] = field(default_factory=Counter[str])
    """How many passed each filter that looked at them."""
    rejected: Counter[str] = field(default_factory=Counter[str])
    """How many each filter rejected."""


async def filter_file(
    source: Path,
    out: Path,
    filters: Sequence[Filter],
    servers: Mapping[str, AsyncSessions],
    report: Callable[[str], None],
    *,
    concurrency: int = 8,
) -> Filtered:
    """Filter a file into another, which is written anew together with its rejections and its card.

    Args:
        source: The records; other lines are rejected as malformed.
        out: What passes.
        filters: Each looks at what the ones before it let pass.
        servers: Where records are replayed, by environment; an environment without one is not replayed.
        report: Called with a line of progress now and then.
        concurrency: Replays at once.

    Raises:
        RecordError: `out` is `source`.
        OSError: A file cannot be read or written.
        EspalierError: An environment is away.
    """
    _check_apart(source, out)
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    found = Filtered()
    places = asyncio.Semaphore(concurrency)
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.touch()
    try:
        for block in _blocks(source):
            looked = [_looked(item, filters, found) for item in block]
            settled = await asyncio.gather(*(_replayed(item, servers, found, places) for item in looked))
            for item in settled:
                found.read += 1
                if isinstance(item, Rejection):
                    found.rejected[item.by] += 1
                    append_rejection(partial, item)
                else:
                    found.kept += 1
                    append_records(partial, [item])
            report(f"{found.read} read, {found.kept} kept")
        partial.replace(out)
        rejected_file(out).unlink(missing_ok=True)
        if rejected_file(partial).is_file():
            rejected_file(partial).replace(rejected_file(out))
    finally:
        partial.unlink(missing_ok=True)
        rejected_file(partial).unlink(missing_ok=True)
    write_card(out)
    return found


async def filter_with_servers(
    source: Path,
    out: Path,
    filters: Sequence[Filter],
    urls: Mapping[str, str],
    report: Callable[[str], None],
    *,
    concurrency: int,
) -> Filtered:
    """`filter_file`, with servers by their addresses; it raises the same."""
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(AsyncSessions(url, timeout=TIMEOUT))
            for name, url in urls.items()
        }
        return await filter_file(source, out, filters, servers, report, concurrency=concurrency)


def environments_of(source: Path, given: Collection[str] = ()) -> list[str]:
    """The environments with a record in a file that can be replayed.

    Args:
        source: The file.
        given: Environments that have a server, besides those that can be served here.

    Raises:
        OSError: The file cannot be read.
    """
    items = (item for block in _blocks(source) for item in block)
    return sorted(
        {item.environment for item in items if isinstance(item, Record) and replay.applies(item)}
        & {*load_environments(), *given}
    )


def _check_apart(source: Path, out: Path) -> None:
    if out.resolve() == source.resolve():
        raise RecordError(f"{out} is filtered itself: give another --out")


def _blocks(source: Path) -> Iterator[list[Record | Rejection]]:
    block: list[Record | Rejection] = []
    with source.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                block.append(Record.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the line"
                detail = f"line {number}: {where}: {first['msg']}"
                block.append(Rejection(task_id="", by=MALFORMED, reason="is no record", detail=detail))
            if len(block) == BLOCK:
                yield block
                block = []
    if block:
        yield block


def _looked(item: Record | Rejection, filters: Sequence[Filter], found: Filtered) -> Record | Rejection:
    if isinstance(item, Rejection):
        return item
    for one in filters:
        if item.kind not in one.kinds:
            continue
        why = one.check(item)
        if why:
            return _rejection(item, one.name, one.about, why)
        found.passed[one.name] += 1
        item = _marked(item, one.name)
    return item


async def _replayed(
    item: Record | Rejection,
    servers: Mapping[str, AsyncSessions],
    found: Filtered,
    places: asyncio.Semaphore,
) -> Record | Rejection:
    if isinstance(item, Rejection) or item.environment not in servers or not replay.applies(item):
        return item
    async with places:
        try:
            why = await replay.replay(item, servers[item.environment])
        except EspalierError as error:
            if not 400 <= error.problem.status < 500 or error.problem.status in (401, 403, 429):
                raise
            why = str(error)
    if why:
        return _rejection(item, replay.NAME, replay.ABOUT, why)
    found.passed[replay.NAME] += 1
    return _marked(item, replay.NAME)


def _rejection(record: Record, by: str, about: str, why: str) -> Rejection:
    return Rejection(
        task_id=record.task_id,
        environment=record.environment,
        by=by,
        reason=about,
        detail=why,
        record=record,
    )


def _marked(record: Record, name: str) -> Record:
    passed = [*(one for one in record.provenance.filters if one != name), name]
    return record.model_copy(update={"provenance": record.provenance.model_copy(update={"filters": passed})})
