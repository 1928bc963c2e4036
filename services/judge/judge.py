"""Verdicts, computed from the log-probabilities of one token in one model call."""

import asyncio
import math
from string import ascii_uppercase
from typing import Any

from services.contracts.context import Context
from services.contracts.usage import Usage
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    ValueQuestion,
    Values,
    Verdict,
)
from services.roles.prompted import Prompted, PromptedModel

YES, NO = "Yes", "No"


async def judge_subtask(model: PromptedModel, question: SubtaskQuestion) -> Verdict:
    """Return P(yes): the probability that the subtask is done."""
    text = model.renderer.subtask(question)
    return await _yes_or_no(model, question.context, text, question.adapter)


async def judge_selection(model: PromptedModel, question: SelectionQuestion) -> Choice:
    """Return the best of the candidates, with a score for each."""
    text = model.renderer.selection(question)
    scores, prompted = await _letters(model, question.context, text, len(question.options), question.adapter)
    return Choice(index=_best(scores), scores=scores, **_about(model, prompted))


async def judge_path(model: PromptedModel, question: PathQuestion) -> PathVerdict:
    """Return whether one path is good enough, or which of several is best."""
    if len(question.paths) == 1:
        context = question.paths[0]
        verdict = await _yes_or_no(model, context, model.renderer.path(context), question.adapter)
        return PathVerdict(scores=[verdict.p_yes], best=0, **verdict.model_dump(exclude={"p_yes"}))
    start = question.paths[0].model_copy(update={"turns": [], "tried": [], "first_turn": 0})
    text = model.renderer.paths(question)
    scores, prompted = await _letters(model, start, text, len(question.paths), question.adapter)
    return PathVerdict(scores=scores, best=_best(scores), **_about(model, prompted))


async def judge_value(model: PromptedModel, question: ValueQuestion) -> Values:
    """Return P(success) of every state, in one model call each, all of them at once."""
    text = model.renderer.value(question.context)
    tasks = [asyncio.create_task(_yes_or_no(model, one, text, question.adapter)) for one in question.states]
    try:
        verdicts = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    usage = sum((verdict.usage for verdict in verdicts), Usage())
    about = verdicts[0].model_dump(exclude={"p_yes", "usage"})
    return Values(scores=[verdict.p_yes for verdict in verdicts], usage=usage, **about)


async def _yes_or_no(model: PromptedModel, context: Context, text: str, adapter: str | None) -> Verdict:
    (yes, no), prompted = await model.score_labels(context, text, [YES, NO], adapter=adapter)
    return Verdict(p_yes=softmax([yes, no])[0], **_about(model, prompted))


async def _letters(
    model: PromptedModel, context: Context, text: str, n: int, adapter: str | None
) -> tuple[list[float], Prompted]:
    """Return the scores of the answers A, B, ...: each letter is one token, which not every number is."""
    labels = list(ascii_uppercase[:n])
    logprobs, prompted = await model.score_labels(context, text, labels, adapter=adapter)
    return softmax(logprobs), prompted


def softmax(logprobs: list[float]) -> list[float]:
    """Return probabilities in the proportions of the log-probabilities, with a sum of 1."""
    top = max(logprobs)
    weights = [math.exp(logprob - top) for logprob in logprobs]
    total = sum(weights)
    return [weight / total for weight in weights]


def _best(scores: list[float]) -> int:
    return max(range(len(scores)), key=lambda index: (scores[index], -index))


def _about(model: PromptedModel, prompted: Prompted) -> dict[str, Any]:
    return {
        "usage": prompted.usage,
        "window": prompted.window,
        "model": prompted.completion.model,
        "adapter": prompted.adapter,
        "profile": model.profile.id,
    }
