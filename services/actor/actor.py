"""How candidates are made: n samples of one model call, read and de-duplicated."""

from services.contracts.action import ActionRequest, Actions, Candidate, Form
from services.kit.model import Sample
from services.prompting.asker import Asker
from services.prompting.parser import parse_action

LINE = r"[^\n<>]{1,200}"
GRAMMARS = {
    Form.IO: rf"ACTION: {LINE}",
    Form.COT: rf"THOUGHT: [^\n<>]{{1,400}}\nACTION: {LINE}",
    Form.REACT: rf"THOUGHT: {LINE}\nACTION: {LINE}",
}
"""The form of an answer as a regular expression, for one-line actions."""


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
        structured={"regex": GRAMMARS[request.form]} if request.grammar else None,
    )
    return Actions(
        candidates=distinct([_candidate(sample, request.form) for sample in asked.completion.samples]),
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


def _candidate(sample: Sample, form: Form) -> Candidate:
    parsed = parse_action(sample.text, form)
    return Candidate(
        action=parsed.action,
        thought=parsed.thought,
        well_formed=parsed.well_formed,
        logprob=sample.logprob,
        text=sample.text,
    )
