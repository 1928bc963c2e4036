"""The constructions with role models, whole: which tasks, by whom, into which file."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from espalier.client import AsyncSessions
from training.construct.collect import drawn
from training.construct.in_context import imitate, read_examples
from training.construct.making import Made, Report, make_records
from training.construct.record import Record
from training.construct.role_settings import ConstructSettings, Role
from training.construct.roleplay import Cast, grounded, imagined, imagined_id
from training.construct.roles import RoleModel
from training.construct.templates import Prompts

TIMEOUT = 120.0
"""One call to an environment, seconds."""


async def make_imagined(
    settings: ConstructSettings,
    out: Path,
    report: Report,
    *,
    limit: int,
    seed: int,
    turns: int,
    concurrency: int,
) -> Made:
    """Role play in rooms that are drawn by the seed: all three roles are models.

    Args:
        settings: The models.
        out: The file of records; a room that it holds is not played again.
        report: Called with a line of progress now and then.
        limit: How many rooms.
        seed: Which rooms.
        turns: The most turns of one.
        concurrency: Rooms at once.

    Raises:
        RoleSetupError: A role has no model, or its server refuses the key or the model.
        RecordError: The file holds something else.
        PromptError: A prompt file cannot be used.
    """
    async with _cast(settings, concurrency, questions=True, answers=True) as cast:

        async def make(task_id: str) -> Record:
            return await imagined(cast, task_id, limit=turns)

        names = [imagined_id(seed, number) for number in range(limit)]
        return await make_records(names, make, out, report, environment="alfworld", concurrency=concurrency)


async def make_grounded(
    settings: ConstructSettings,
    url: str,
    split: str,
    out: Path,
    report: Report,
    *,
    reword: bool,
    limit: int,
    seed: int,
    turns: int,
    concurrency: int,
) -> Made:
    """Role play in a real environment, which answers the action maker.

    Args:
        settings: The models.
        url: The environment's server.
        split: The tasks to draw from.
        out: The file of records; a task that it holds is not played again.
        report: Called with a line of progress now and then.
        reword: Whether the question generator puts each task in other words.
        limit: How many tasks.
        seed: Which tasks; the sessions' seed too.
        turns: The most turns of one; 0: the environment's own limit.
        concurrency: Tasks at once.

    Raises:
        RoleSetupError: A role has no model, or its server refuses the key or the model.
        RecordError: The file holds something else.
        PromptError: A prompt file cannot be used.
        EspalierError: The environment does not answer, or has no such split.
    """
    async with (
        _cast(settings, concurrency, questions=reword) as cast,
        AsyncSessions(url, timeout=TIMEOUT) as sessions,
    ):
        metadata = await sessions.metadata()
        names = await drawn(sessions, split, limit, f"construct/{seed}")

        async def make(task_id: str) -> Record:
            most = turns or metadata.max_steps
            return await grounded(cast, sessions, metadata, task_id, seed=seed, limit=most)

        return await make_records(
            names, make, out, report, environment=metadata.name, concurrency=concurrency
        )


async def make_in_context(
    settings: ConstructSettings,
    url: str,
    split: str,
    examples: Sequence[Path],
    out: Path,
    report: Report,
    *,
    shots: int,
    limit: int,
    seed: int,
    turns: int,
    concurrency: int,
) -> Made:
    """Tasks of a real environment, played in imitation of whole trajectories.

    Args:
        settings: The models; the action maker's imitates.
        url: The environment's server.
        split: The tasks to draw from.
        examples: Files of records to imitate.
        out: The file of records; a task that it holds is not played again.
        report: Called with a line of progress now and then.
        shots: How many trajectories are given.
        limit: How many tasks.
        seed: Which tasks and examples; the sessions' seed too.
        turns: The most turns of one; 0: the environment's own limit.
        concurrency: Tasks at once.

    Raises:
        RoleSetupError: No model imitates, or its server refuses the key or the model.
        RecordError: A file holds something else, or nothing to imitate.
        PromptError: A prompt file cannot be used.
        EspalierError: The environment does not answer, or has no such split.
    """
    async with _cast(settings, concurrency) as cast, AsyncSessions(url, timeout=TIMEOUT) as sessions:
        metadata = await sessions.metadata()
        shown = read_examples(examples, metadata.name)
        tasks = await drawn(sessions, split, limit, f"construct/{seed}")
        names = [name for name in tasks if any(example.task_id != name for example in shown)]

        async def make(task_id: str) -> Record:
            return await imitate(
                cast.action_maker,
                cast.prompts,
                shown,
                sessions,
                metadata,
                task_id,
                shots=shots,
                seed=seed,
                limit=turns or metadata.max_steps,
            )

        return await make_records(
            names, make, out, report, environment=metadata.name, concurrency=concurrency
        )


@contextlib.asynccontextmanager
async def _cast(
    settings: ConstructSettings, concurrency: int, *, questions: bool = False, answers: bool = False
) -> AsyncIterator[Cast]:
    def model(role: Role) -> RoleModel:
        return RoleModel(role, settings.address(role), settings, concurrency)

    cast = Cast(
        action_maker=model("action_maker"),
        prompts=Prompts(settings.role_prompts),
        question_generator=model("question_generator") if questions else None,
        environment_agent=model("environment_agent") if answers else None,
    )
    try:
        yield cast
    finally:
        await cast.close()
