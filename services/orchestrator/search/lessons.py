"""Lessons: what paths that were not good enough teach the next ones."""

from collections.abc import Sequence

from services.contracts.context import Context, TriedPath
from services.contracts.reflection import ReflectionRequest
from services.orchestrator.ports import REFLECT, InfrastructureError, Spec, World


async def reflect(world: World, spec: Spec, context: Context) -> TriedPath:
    """Return a path that was tried, with its lesson; without one where the judge is away.

    Raises:
        BudgetExhaustedError: There is no budget for it.
    """
    tried = TriedPath(actions=[turn.action for turn in context.turns])
    request = spec.request
    question = ReflectionRequest(context=context, adapter=request.adapter, seed=request.seed)
    try:
        reflection = await world.query(REFLECT, question)
    except InfrastructureError:
        return tried  # its actions are known nevertheless
    return tried.model_copy(update={"lesson": reflection.text})


def keep_lessons(tried: Sequence[TriedPath], memory: int) -> list[TriedPath]:
    """Return the paths with the lessons of the last few only; the others keep their actions."""
    kept = len(tried) - memory
    return [
        path.model_copy(update={"lesson": ""}) if place < kept else path for place, path in enumerate(tried)
    ]
