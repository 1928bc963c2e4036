"""Ended episodes in a file: JSON lines, after a header that says what they are.

The first line is a `Header`, every further one an `EndedEpisode`. A file that begins like gzip is unpacked.
"""

import gzip
import os
import shutil
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, cast

from pydantic import BaseModel, Field, ValidationError
from redis.exceptions import RedisClusterException, RedisError

from services.contracts.episode import State
from services.kit.upstream import shown_url
from services.orchestrator.identity import ID
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.errors import SettingsError, UnreadableError
from services.orchestrator.store.transfer import EndedEpisode, Put, Transfer
from services.orchestrator.wiring import wired

FORMAT = "espalier-episodes"
VERSION = 1
LONGEST = 1 << 30
"""The longest line that is read, bytes."""
BATCH = 500
GZIP = b"\x1f\x8b"


class BackupError(Exception):
    """Why nothing is exported or imported; the text names what to do."""


class Header(BaseModel):
    """The first line of a file."""

    format: Literal["espalier-episodes"] = FORMAT
    version: int = VERSION
    episodes: int = Field(ge=0)
    entries: int = Field(ge=0)
    """Of all logs."""
    exported_at: float


@dataclass
class Exported:
    """What an export did."""

    episodes: int = 0
    entries: int = 0
    live: list[str] = field(default_factory=list[str])
    """Episodes that have not ended: left out."""
    unreadable: list[str] = field(default_factory=list[str])
    """Why episodes that cannot be read were left out."""


@dataclass
class Imported:
    """What an import did, by episode."""

    counts: Counter[Put] = field(default_factory=Counter[Put])
    differing: list[str] = field(default_factory=list[str])
    """Episodes whose id another one has here; they were left as they are."""
    expired: list[str] = field(default_factory=list[str])


async def export_episodes(
    settings: OrchestratorSettings, episodes: Sequence[str] | None, out: Path
) -> Exported:
    """Write ended episodes into a file; a reader finds it whole or not at all.

    Args:
        settings: Where Redis is.
        episodes: Their ids; None for all.
        out: The file; it is compressed where its name ends with `.gz`.

    Raises:
        BackupError: An id is unknown, or Redis is away.
        OSError: The file cannot be written.
    """
    body = out.with_name(f"{out.name}.partial")
    try:
        async with _opened(settings) as store:
            chosen = (
                [name async for name in store.ids()] if episodes is None else list(dict.fromkeys(episodes))
            )
            with _created(body, packed=out.suffix == ".gz") as file:
                exported = await _write_episodes(store, chosen, file, named=episodes is not None)
        header = Header(episodes=exported.episodes, entries=exported.entries, exported_at=time.time())
        _put_together(out, header, body)
    finally:
        body.unlink(missing_ok=True)
    return exported


async def _write_episodes(store: Transfer, episodes: list[str], file: IO[bytes], *, named: bool) -> Exported:
    exported = Exported()
    for start in range(0, len(episodes), BATCH):
        batch = episodes[start : start + BATCH]
        unknown = [name for name in batch if not ID.fullmatch(name)]
        states = {} if unknown else await store.states(batch)
        unknown += [name for name, state in states.items() if not state]
        if unknown and named:
            raise BackupError(f"there is no episode {', '.join(unknown)}; `GET /v1/episodes` lists them")
        for name, state in states.items():
            if state and not State(state).over:
                exported.live.append(name)
            elif state:
                await _write_episode(store, name, file, exported)
    return exported


async def _write_episode(store: Transfer, name: str, file: IO[bytes], exported: Exported) -> None:
    try:
        episode = await store.read(name)
    except UnreadableError as error:
        exported.unreadable.append(str(error))
        return
    if episode is not None:
        file.write(episode.model_dump_json(exclude_defaults=True).encode() + b"\n")
        exported.episodes += 1
        exported.entries += len(episode.log)


async def import_episodes(settings: OrchestratorSettings, file: Path) -> Imported:
    """Put the episodes of a file into Redis; done again, it changes nothing.

    All of the file is checked before anything is written.

    Raises:
        BackupError: The file is not an export of this version, or Redis is away.
        OSError: The file cannot be read.
    """
    for _ in read_episodes(file):
        pass
    imported = Imported()
    async with _opened(settings) as store:
        for episode in read_episodes(file):
            put = await store.put(episode)
            imported.counts[put] += 1
            if put is Put.DIFFERS:
                imported.differing.append(episode.id)
            elif put is Put.EXPIRED:
                imported.expired.append(episode.id)
    return imported


def read_episodes(file: Path) -> Iterator[EndedEpisode]:
    """Iterate over the episodes of a file.

    Raises:
        BackupError: A line is not what it has to be; the text names it.
    """
    with file.open("rb") as raw:
        packed = raw.read(len(GZIP)) == GZIP
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) if packed else raw as lines:
            try:
                yield from _read_lines(cast("IO[bytes]", lines))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise BackupError(f"{file} is damaged: {error}; export again") from error


def _read_lines(lines: IO[bytes]) -> Iterator[EndedEpisode]:
    header = _read_header(lines.readline(LONGEST))
    episodes, entries = 0, 0
    while line := lines.readline(LONGEST):
        try:
            episode = EndedEpisode.model_validate_json(line)
        except ValidationError as error:
            raise BackupError(f"line {episodes + 2} holds no ended episode: {_describe(error)}") from error
        episodes += 1
        entries += len(episode.log)
        yield episode
    if (episodes, entries) != (header.episodes, header.entries):
        raise BackupError(
            f"the file has {episodes} episodes and {entries} log entries, and its header announces "
            f"{header.episodes} and {header.entries}: it is not whole; export again"
        )


def _read_header(line: bytes) -> Header:
    try:
        header = Header.model_validate_json(line)
    except ValidationError as error:
        text = f"line 1 is not the header of an export ({_describe(error)}); `espalier export` writes one"
        raise BackupError(text) from error
    if header.version != VERSION:
        raise BackupError(
            f"the file has version {header.version} of the format, and this release reads version {VERSION}; "
            "import it with the release that wrote it"
        )
    return header


def _describe(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


@asynccontextmanager
async def _opened(settings: OrchestratorSettings) -> AsyncIterator[Transfer]:
    try:
        async with wired(settings) as wiring:
            yield Transfer(wiring.episodes.redis, settings)
    except SettingsError as error:
        raise BackupError(str(error)) from error
    except (RedisError, RedisClusterException) as error:
        shown = shown_url(settings.redis_url.get_secret_value())
        raise BackupError(f"Redis at {shown} (ESPALIER_REDIS_URL): {error}") from error


@contextmanager
def _created(path: Path, *, packed: bool) -> Iterator[IO[bytes]]:
    """Open a new file that its owner alone can read: prompts and observations stand in it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
        if packed:
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb") as file:
                yield cast("IO[bytes]", file)
        else:
            yield raw


def _put_together(out: Path, header: Header, body: Path) -> None:
    """Write header and body into the file; parts of a gzip file may follow each other."""
    line = header.model_dump_json().encode() + b"\n"
    whole = out.with_name(f"{out.name}.whole")
    try:
        with _created(whole, packed=False) as file:
            file.write(gzip.compress(line) if out.suffix == ".gz" else line)
            with body.open("rb") as rest:
                shutil.copyfileobj(rest, file)
        whole.replace(out)
    finally:
        whole.unlink(missing_ok=True)
