"""How candidates are made: n samples of one model call, read and de-duplicated."""

from services.contracts.action import ActionRequest, Actions, Candidate, Form
from services.kit.model import Sample
from services.prompting.asker import Asker
from services.prompting.parser import parse_action

THOUGHT = r"THOUGHT: [^\n<][^\n]{0,400}\n"
BLOCK = r"(?:[A-Za-z]{1,16})?\n```[a-z]{0,8}\n[^ \t\n`][^\n]*\n(?:(?:[^\n`][^\n]*)?\n)*```"
ACTION = rf"ACTION: (?:{BLOCK}|[^\n<`][^\n]*)"
GRAMMARS = {Form.IO: ACTION, Form.COT: f"{THOUGHT}{ACTION}", Form.REACT: f"{THOUGHT}{ACTION}"}
"""The form of an answer as a regular expression: an action is a line, or a fenced block.

Neither may begin as the template's `<action>` does. Only the limit of tokens bounds an
action: the parser marks one that reaches it as malformed, whereas one that a grammar cuts looks whole.
"""


async def propose(asker: Asker, request: ActionRequest) -> Actions:
    """Propose distinct candidates.

    Raises:
        ProblemError: The adapter is not served, or the prompt does not fit.
        OutageError: The engine is not there.
    """
    temperature = request.temperature
    if temperature is None:
        temperature = asker.settings.temperature if request.n > 1 else 0.0
    asked = await asker.ask(
        request.context,
        asker.renderer.actor(request),
        adapter=request.adapter,
        max_tokens=asker.settings.action_tokens,
        n=request.n,
        temperature=temperature,
        seed=request.seed,
        stop=list(asker.profile.stop),
        regex=GRAMMARS[request.form] if request.grammar else None,
    )
    samples, placeholders = asked.completion.samples, asker.profile.placeholders
    return Actions(
        candidates=distinct([_candidate(sample, request.form, placeholders) for sample in samples]),
        usage=asked.usage,
        window=asked.window,
        model=asked.completion.model,
        adapter=asked.adapter,
        profile=asker.profile.id,
    )


def distinct(candidates: list[Candidate]) -> list[Candidate]:
    """One of each action, the most frequent first; the likeliest and well-formed stands for its equals."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(_same(candidate.action), []).append(candidate)

    def rank(candidate: Candidate) -> tuple[bool, float]:
        return candidate.well_formed, candidate.logprob if candidate.logprob is not None else float("-inf")

    best = [
        max(group, key=rank).model_copy(update={"count": sum(item.count for item in group)})
        for group in groups.values()
    ]
    return sorted(best, key=lambda candidate: (candidate.well_formed, candidate.count), reverse=True)


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
