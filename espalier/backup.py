"""`espalier export`, `espalier import`: ended episodes as a file. They reach Redis itself, not the API."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr, ValidationError

from espalier.errors import report, stop
from espalier.plain import plain
from espalier.stack.embedded import state_password
from espalier.stack.settings import StackSettings

if TYPE_CHECKING:
    from services.orchestrator.settings import OrchestratorSettings

SHOWN = 20
"""Ids that are printed of those left out; more are counted."""


def export_command(
    out: Annotated[Path, typer.Option(help="The file; compressed where it ends with .gz.")],
    episodes: Annotated[
        list[str] | None, typer.Argument(help="Ids of episodes.", metavar="EPISODE...")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that have ended, instead of ids.")] = False,
) -> None:
    """Write ended episodes into a file; those that have not ended are left out and named."""
    from services.orchestrator.backup import BackupError, export_episodes

    if bool(episodes) == everything:
        raise typer.BadParameter("give ids of episodes, or --all")
    try:
        done = asyncio.run(export_episodes(_settings(), episodes or None, out))
    except (BackupError, OSError) as error:
        stop(str(error))
    _name("not ended, left out", done.live)
    for line in done.unreadable:
        report(plain(f"left out: {line}"))
    print(f"{done.episodes} episodes with {done.entries} log entries in {out}")


def import_command(
    file: Annotated[Path, typer.Argument(help="What `espalier export` wrote.", exists=True, dir_okay=False)],
) -> None:
    """Put the episodes of a file into Redis; those that are there already are left as they are."""
    from services.orchestrator.backup import BackupError, import_episodes
    from services.orchestrator.store.transfer import Put

    try:
        done = asyncio.run(import_episodes(_settings(), file))
    except (BackupError, OSError) as error:
        stop(str(error))
    _name("expired, left out (ESPALIER_EPISODE_TTL)", done.expired)
    _name("another episode of this id is there, left out", done.differing)
    print(f"{done.counts[Put.ADDED]} episodes imported, {done.counts[Put.THERE]} were there already")
    raise typer.Exit(1 if done.differing else 0)


def _settings() -> "OrchestratorSettings":
    """Where Redis is: as for the orchestrator, or else the embedded one of this machine's stack."""
    from services.orchestrator.settings import OrchestratorSettings

    try:
        settings = OrchestratorSettings()
    except ValidationError as error:
        stop(str(error))
    if "redis_url" in settings.model_fields_set:
        return settings
    stack = StackSettings()
    url = f"redis://:{state_password(stack)}@127.0.0.1:{stack.port('state')}/0"
    return settings.model_copy(update={"redis_url": SecretStr(url)})


def _name(what: str, episodes: list[str]) -> None:
    if episodes:
        more = f" and {len(episodes) - SHOWN} more" if len(episodes) > SHOWN else ""
        report(f"{len(episodes)} {what}: {', '.join(episodes[:SHOWN])}{more}")
