"""In-context construction (the paper, section 3.2): whole trajectories are given, and the model imitates.

For tasks of few turns that use tools (OS, DB, WebShop). The real environment answers.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from espalier.client import AsyncSessions
from services.contracts.context import Context
from services.contracts.session import Metadata
from training.construct.acting import act, render_move
from training.construct.record import Provenance, Record, RecordError, read_records
from training.construct.roles import RoleModel
from training.construct.templates import Prompts

LEAST_REWARD = 0.99
"""An example solved its task at least so well."""
LONGEST_EXAMPLE = 12_000
"""Characters of an example; longer ones are not given."""
SHOWN = 1500
"""Characters of each observation of an example that are given."""


def read_examples(paths: Sequence[Path], environment: str) -> list[Record]:
    """The trajectories of files that may be imitated: solved, of the environment, not too long.

    Raises:
        RecordError: A line is no record, or no trajectory can be imitated.
    """
    found = [
        record
        for path in paths
        for record in read_records(path)
        if record.kind == "trajectory"
        and record.environment == environment
        and record.done
        and record.reward >= LEAST_REWARD
        and all(record.valid)
        and len(_render(record.context)) <= LONGEST_EXAMPLE
    ]
    if not found:
        names = ", ".join(map(str, paths))
        raise RecordError(f"{names}: no solved trajectory of {environment} to imitate")
    return found


async def imitate(
    model: RoleModel,
    prompts: Prompts,
    examples: Sequence[Record],
    sessions: AsyncSessions,
    metadata: Metadata,
    task_id: str,
    *,
    shots: int,
    seed: int,
    limit: int,
) -> Record:
    """Play a task as the examples were played.

    Args:
        model: Imitates.
        prompts: Its prompt is `in_context.txt`.
        examples: To be drawn from; the task itself is never among those drawn.
        sessions: The environment.
        metadata: The environment's.
        task_id: The task.
        shots: How many examples are given.
        seed: Which examples; the session's seed too.
        limit: The most turns.

    Raises:
        RoleError: The model spoilt the conversation.
        EspalierError: The environment refused, or is away.
    """
    others = [record for record in examples if record.task_id != task_id]
    if not others:
        raise RecordError(f"the only example is {task_id} itself: give more examples")
    draw = random.Random(f"examples/{seed}/{task_id}")  # noqa: S311
    chosen = draw.sample(others, min(shots, len(others)))

    async def opening(context: Context) -> tuple[Context, str]:
        brief = context.environment
        return context, prompts.render(
            "in_context",
            description=brief.description,
            actions=brief.actions,
            examples=[_shown(record.context) for record in chosen],
            task=context.task,
            observation=context.observation,
        )

    await model.meet()
    provenance = Provenance(
        source="in_context", models={model.role: model.name}, split=task_id.partition("/")[0], seed=seed
    )
    return await act(sessions, metadata, task_id, model, opening, provenance=provenance, limit=limit)


def _shown(context: Context) -> dict[str, object]:
    turns = [{"said": render_move(turn), "observation": _cut(turn.observation)} for turn in context.turns]
    return {"task": context.task, "observation": _cut(context.observation), "turns": turns}


def _render(context: Context) -> str:
    turns = (f"{render_move(turn)}\n{_cut(turn.observation)}" for turn in context.turns)
    return "\n".join((context.task, _cut(context.observation), *turns))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
