"""Runs a method on a split, resumably.

`run.json` names the run and its policy, `episodes.jsonl` has a line for each episode that ended.
A run that was interrupted takes up its episodes by their idempotency keys: none is run twice.
"""

import asyncio
import hashlib
import json
import math
import os
import secrets
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from espalier.client import AsyncEspalier, EspalierError
from evaluation.summary import Summary, summarise
from services.contracts.episode import Episode, EpisodeCreate, Priority, State

BUSY_PATIENCE = 3600.0
"""How long an episode waits at a limit of the orchestrator's (429) before the run ends, seconds."""
OUTAGE_PATIENCE = 60.0
"""How long the orchestrator may be away before the run ends, seconds."""
OUTAGE_PAUSE = 2.0
"""How long a run waits before it calls an orchestrator that is away again, seconds."""


class EvaluationError(Exception):
    """Raised when the run cannot begin or go on; the text has the reason."""


async def run_evaluation(
    body: EpisodeCreate,
    *,
    split: str,
    out: Path,
    limit: int | None,
    concurrency: int,
    url: str,
    title: str = "",
) -> Summary:
    """Run every task of a split, write the results, and sum them up.

    Takes what `run_split` takes, and raises the same.
    """
    episodes = await run_split(
        body, split=split, out=out, limit=limit, concurrency=concurrency, url=url, title=title
    )
    found = summarise(episodes, split)
    (out / "summary.json").write_text(found.model_dump_json(indent=2) + "\n")
    return found


async def run_split(
    body: EpisodeCreate,
    *,
    split: str,
    out: Path,
    limit: int | None,
    concurrency: int,
    url: str,
    title: str = "",
) -> list[Episode]:
    """Run every task of a split, and return the episodes that ended, in the order of the tasks.

    Args:
        body: The policy; its task is filled in.
        split: The tasks to take.
        out: Folder of `run.json` and `episodes.jsonl`.
        limit: Take only the first tasks.
        concurrency: Episodes at once.
        url: The orchestrator's address.
        title: What the progress bar is called; by default the environment and the method.

    Raises:
        EvaluationError: The folder holds another run, or there are no tasks.
        EspalierError: The orchestrator refuses the policy or does not answer.
    """
    run = _claim(out, body, split)
    async with AsyncEspalier(url, patience=BUSY_PATIENCE) as client:
        names = await _tasks(client, body.environment, split, limit)
        known = read_episodes(out / "episodes.jsonl")
        places = asyncio.Semaphore(concurrency)
        bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*bar, console=Console(stderr=True)) as progress:
            shown = progress.add_task(title or f"{body.environment} {body.method}", total=len(names))

            async def one(task: str) -> Episode:
                before = known.get(task, [])
                episode = before[-1] if before else None
                if episode is None or episode.state is not State.COMPLETED:
                    async with places:
                        episode = await _play(client, body, task, _key(run, task, len(before)))
                    _append(out / "episodes.jsonl", episode)
                progress.advance(shown)
                return episode

            try:
                async with asyncio.TaskGroup() as group:
                    running = [group.create_task(one(task)) for task in names]
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from errors
    return [task.result() for task in running]


def check_folder(out: Path, body: EpisodeCreate, split: str) -> str | None:
    """Return the name of the run that a folder holds, or None where it is free for this one.

    Raises:
        EvaluationError: It holds episodes of another policy; the text has what differs.
    """
    path = out / "run.json"
    if not path.is_file():
        return None
    known = json.loads(path.read_text())
    policy = _policy(body, split)
    if known["policy"] == policy:
        return known["run"]
    if (out / "episodes.jsonl").is_file():
        difference = describe_difference(known["policy"], policy)
        raise EvaluationError(
            f"{out} holds another run ({difference}); take another folder, or its settings."
        )
    return None


def describe_difference(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str:
    """Return the settings in which two policies differ, with both values."""
    found: list[str] = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found.append(describe_difference(old, new, f"{prefix}{name}."))
        elif old != new or (name in before) != (name in now):
            shown = [json.dumps(policy[name]) if name in policy else "not set" for policy in (before, now)]
            found.append(f"{prefix}{name}: {shown[0]} there, {shown[1]} now")
    return "; ".join(filter(None, found))


def _policy(body: EpisodeCreate, split: str) -> dict[str, Any]:
    return {"split": split, **body.model_dump(mode="json", exclude_unset=True)}


def _claim(out: Path, body: EpisodeCreate, split: str) -> str:
    """The run's name; a folder that holds the same run is taken up, one with another's episodes refused."""
    known = check_folder(out, body, split)
    if known is not None:
        return known
    out.mkdir(parents=True, exist_ok=True)
    name = f"eval-{secrets.token_hex(6)}"
    text = json.dumps({"run": name, "policy": _policy(body, split)}, indent=2) + "\n"
    # A run.json that a kill left half-written would lose the name that the episodes' keys are made of.
    written = out / "run.json.new"
    written.write_text(text)
    written.replace(out / "run.json")
    return name


async def _tasks(client: AsyncEspalier, environment: str, split: str, limit: int | None) -> list[str]:
    names: list[str] = []
    cursor: str | None = None
    while limit is None or len(names) < limit:
        page = await client.tasks(environment, split=split, cursor=cursor, limit=500)
        names += [task.id for task in page.tasks]
        cursor = page.next
        if cursor is None:
            break
    if not names:
        raise EvaluationError(f"{environment} has no tasks in split {split}.")
    return names[:limit]


async def _play(client: AsyncEspalier, body: EpisodeCreate, task: str, key: str) -> Episode:
    request = body.model_copy(update={"task_id": task, "priority": Priority.BATCH})
    busy_since = away_since = math.inf
    while True:
        called, created = time.monotonic(), math.inf
        try:
            episode = await client.create(request, idempotency_key=key)
            created = time.monotonic()
            return await client.wait(episode.id)
        except EspalierError as error:
            if error.problem.status not in (0, 429, 502, 503, 504):
                raise
            now = time.monotonic()
            if now - created > OUTAGE_PATIENCE:  # it has worked meanwhile
                busy_since = away_since = math.inf
            busy_since = min(busy_since, called if created == math.inf else now)
            away_since = min(away_since, now)
            if error.problem.status == 429:
                over = now - busy_since >= BUSY_PATIENCE  # the client's own waits included
            else:
                over = now - away_since >= OUTAGE_PATIENCE
            if over:
                raise
            await asyncio.sleep(error.retry_after or OUTAGE_PAUSE)


def _key(run: str, task: str, attempt: int) -> str:
    """The idempotency key of a task's attempt in a run."""
    return f"{run}-{attempt}-{hashlib.sha256(task.encode()).hexdigest()[:32]}"


def read_episodes(path: Path) -> dict[str, list[Episode]]:
    """Return the episodes that a file holds, by task, in order; a torn last line is dropped."""
    known: dict[str, list[Episode]] = {}
    lines = path.read_text().split("\n") if path.is_file() else []
    for line in lines:
        try:
            episode = Episode.model_validate_json(line, extra="ignore")
        except ValueError:
            continue
        known.setdefault(episode.request.task_id or "", []).append(episode)
    return known


def _append(path: Path, episode: Episode) -> None:
    with path.open("a") as lines:
        lines.write(episode.model_dump_json() + "\n")
        lines.flush()
        os.fsync(lines.fileno())
