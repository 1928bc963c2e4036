"""How verdicts are reached: from the logprobs of one token, in one call."""

import math
from string import ascii_uppercase
from typing import Any

from services.contracts.context import Context
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    Verdict,
)
from services.prompting.asker import Asked, Asker

YES, NO = "Yes", "No"


async def judge_subtask(asker: Asker, question: SubtaskQuestion) -> Verdict:
    """P(yes) that the subtask is done."""
    text = asker.renderer.subtask(question)
    return await _yes_or_no(asker, question.context, text, question.adapter)


async def judge_selection(asker: Asker, question: SelectionQuestion) -> Choice:
    """The best of the candidates, with a score for each."""
    text = asker.renderer.selection(question)
    scores, asked = await _letters(asker, question.context, text, len(question.options), question.adapter)
    return Choice(index=_best(scores), scores=scores, **_about(asker, asked))


async def judge_path(asker: Asker, question: PathQuestion) -> PathVerdict:
    """One path: is it good enough. Several: which is best."""
    if len(question.paths) == 1:
        context = question.paths[0]
        verdict = await _yes_or_no(asker, context, asker.renderer.path(context), question.adapter)
        return PathVerdict(scores=[verdict.p_yes], best=0, **verdict.model_dump(exclude={"p_yes"}))
    start = question.paths[0].model_copy(update={"turns": [], "tried": [], "first_turn": 0})
    text = asker.renderer.paths(question)
    scores, asked = await _letters(asker, start, text, len(question.paths), question.adapter)
    return PathVerdict(scores=scores, best=_best(scores), **_about(asker, asked))


async def _yes_or_no(asker: Asker, context: Context, text: str, adapter: str | None) -> Verdict:
    (yes, no), asked = await asker.label_logprobs(context, text, [YES, NO], adapter=adapter)
    return Verdict(p_yes=softmax([yes, no])[0], **_about(asker, asked))


async def _letters(
    asker: Asker, context: Context, text: str, n: int, adapter: str | None
) -> tuple[list[float], Asked]:
    """Scores of the answers A, B, ...: letters, since each is one token, and not every number is."""
    labels = list(ascii_uppercase[:n])
    logprobs, asked = await asker.label_logprobs(context, text, labels, adapter=adapter)
    return softmax(logprobs), asked


def softmax(logprobs: list[float]) -> list[float]:
    """Probabilities in the proportions of the logprobs, summing to 1."""
    top = max(logprobs)
    weights = [math.exp(logprob - top) for logprob in logprobs]
    total = sum(weights)
    return [weight / total for weight in weights]


def _best(scores: list[float]) -> int:
    return max(range(len(scores)), key=lambda index: (scores[index], -index))


def _about(asker: Asker, asked: Asked) -> dict[str, Any]:
    return {
        "usage": asked.usage,
        "window": asked.window,
        "model": asked.completion.model,
        "adapter": asked.adapter,
        "profile": asker.profile.id,
    }
