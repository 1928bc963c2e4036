"""Candidates for the next action: n samples of one model call, parsed and without repeats."""

from collections.abc import Sequence

import structlog

from services.contracts.action import ActionRequest, Actions, Candidate, Form
from services.kit.model import Sample
from services.kit.problems import Kind, ProblemError
from services.prompting.parser import parse_action
from services.roles.prompted import Prompted, PromptedModel

LABEL = "ACTION: "
THOUGHT = r"THOUGHT: [^\n<][^\n]{0,400}\n"
BLOCK = r"(?:[A-Za-z]{1,16})?\n```[a-z]{0,8}\n[^ \t\n`][^\n]*\n(?:(?:[^\n`][^\n]*)?\n)*```"
ACTION = rf"(?:{BLOCK}|[^\n<`][^\n]*)"
"""Any action as a regular expression: a line, or a fenced block.

Neither may begin with `<`, as the template's `<action>` does. Only the limit of tokens bounds an
action: the parser marks one that reaches it as malformed, whereas one that a grammar cuts looks whole.
"""
log = structlog.get_logger()


def render_grammar(form: Form, language: str = "") -> str:
    """Return the form of an answer as a regular expression.

    Args:
        form: The form.
        language: The valid actions as a regular expression; empty: any action.
    """
    action = f"{LABEL}(?:{language})" if language else f"{LABEL}{ACTION}"
    return action if form is Form.IO else f"{THOUGHT}{action}"


async def propose(model: PromptedModel, request: ActionRequest) -> Actions:
    """Return distinct candidates for the next action.

    Raises:
        ProblemError: The adapter is not served, or the prompt does not fit.
        OutageError: The engine is away.
    """
    temperature = request.temperature
    if temperature is None:
        temperature = model.settings.temperature if request.n > 1 else 0.0

    async def complete(language: str) -> Prompted:
        return await model.complete(
            request.context,
            model.renderer.actor(request),
            adapter=request.adapter,
            max_tokens=model.settings.action_tokens,
            n=request.n,
            temperature=temperature,
            seed=request.seed,
            stop=list(model.profile.stop),
            regex=render_grammar(request.form, language) if request.grammar else None,
        )

    try:
        prompted = await complete(request.language)
    except ProblemError as error:
        if error.kind is not Kind.UPSTREAM or not (request.grammar and request.language):
            raise
        log.warning("The engine refused the language of the actions", reason=error.detail)
        prompted = await complete("")
    samples, placeholders = prompted.completion.samples, model.profile.placeholders
    return Actions(
        candidates=distinct(
            [_candidate(sample, request.form, placeholders) for sample in samples], request.avoid
        ),
        usage=prompted.usage,
        window=prompted.window,
        model=prompted.completion.model,
        adapter=prompted.adapter,
        profile=model.profile.id,
    )


def distinct(candidates: list[Candidate], avoid: Sequence[str] = ()) -> list[Candidate]:
    """Return one candidate for each action, the most frequent first and those of `avoid` last.

    Of equal actions the well-formed one with the highest log-probability is kept.
    """
    avoided = {_same(action) for action in avoid}
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(_same(candidate.action), []).append(candidate)

    def rank(candidate: Candidate) -> tuple[bool, float]:
        return candidate.well_formed, candidate.logprob if candidate.logprob is not None else float("-inf")

    best = [
        max(group, key=rank).model_copy(update={"count": sum(item.count for item in group)})
        for group in groups.values()
    ]
    return sorted(
        best,
        key=lambda candidate: (
            candidate.well_formed,
            _same(candidate.action) not in avoided,
            candidate.count,
        ),
        reverse=True,
    )


def _same(action: str) -> str:
    return " ".join(action.lower().split())


def _candidate(sample: Sample, form: Form, placeholders: frozenset[str]) -> Candidate:
    parsed = parse_action(sample.text, form, truncated=sample.truncated, placeholders=placeholders)
    return Candidate(
        action=parsed.action,
        thought=parsed.thought,
        well_formed=parsed.well_formed,
        logprob=sample.logprob,
        text=sample.text,
    )
