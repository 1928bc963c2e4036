"""Reflections: a lesson in words from a path that was not good enough."""

from services.contracts.context import MAX_LESSON
from services.contracts.reflection import Reflection, ReflectionRequest
from services.prompting.labels import split_reasoning
from services.roles.prompted import PromptedModel


async def reflect(model: PromptedModel, request: ReflectionRequest) -> Reflection:
    """Return what a path teaches, from one greedy answer of the model.

    Raises:
        ProblemError: The adapter is not served, or the prompt does not fit.
        OutageError: The engine is away.
    """
    prompted = await model.complete(
        request.context,
        model.renderer.reflection(request.context),
        adapter=request.adapter,
        max_tokens=model.settings.reflection_tokens,
        seed=request.seed,
    )
    return Reflection(
        text=parse_lesson(prompted.completion.samples[0].text),
        usage=prompted.usage,
        window=prompted.window,
        model=prompted.completion.model,
        adapter=prompted.adapter,
        profile=model.profile.id,
    )


def parse_lesson(text: str) -> str:
    """Return the lesson of an answer on one line, without what a reasoning model thought, and cut to size."""
    _, answer = split_reasoning(text)
    return " ".join(answer.split())[:MAX_LESSON].rstrip()
