"""How a plan is made: asked for, asked for again under a grammar, else the whole task as one."""

from services.contracts.plan import Plan, PlanRequest
from services.prompting.asker import Asked, Asker
from services.prompting.parser import parse_plan

ITEM = r"[^\n<>]{3,160}"


async def make_plan(asker: Asker, request: PlanRequest) -> Plan:
    """Split a task into subtasks.

    Raises:
        ProblemError: The adapter is not served, or the prompt does not fit.
        OutageError: The engine is not there.
    """
    question = asker.renderer.planner(request)
    k = request.num_subtasks

    async def ask(grammar: str | None) -> Asked:
        return await asker.ask(
            request.context,
            question,
            adapter=request.adapter,
            max_tokens=asker.settings.plan_tokens,
            seed=request.seed,
            regex=grammar,
        )

    asked = await ask(None)
    text = asked.completion.samples[0].text
    usage = asked.usage
    subtasks, origin = parse_plan(text, k), "model"
    if subtasks is None:
        asked = await ask(plan_grammar(k))
        text = asked.completion.samples[0].text
        usage += asked.usage
        subtasks, origin = parse_plan(text, k), "grammar"
    if subtasks is None:
        subtasks, origin = [request.context.task], "fallback"
    return Plan(
        subtasks=subtasks,
        origin=origin,
        text=text,
        usage=usage,
        window=asked.window,
        model=asked.completion.model,
        adapter=asked.adapter,
        profile=asker.profile.id,
    )


def plan_grammar(k: int) -> str:
    """A regular expression for exactly k numbered lines."""
    return r"\n".join(rf"{number}\. {ITEM}" for number in range(1, k + 1))
