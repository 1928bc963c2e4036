"""Plans: the model's own answer, else one under a grammar, else the whole task as one subtask."""

from services.contracts.plan import Plan, PlanRequest
from services.prompting.parser import parse_plan
from services.roles.prompted import Prompted, PromptedModel

ITEM = r"[^\n<>]{3,160}"


async def make_plan(model: PromptedModel, request: PlanRequest) -> Plan:
    """Split a task into subtasks.

    Raises:
        ProblemError: The adapter is not served, or the prompt does not fit.
        OutageError: The engine is away.
    """
    question = model.renderer.planner(request)
    k = request.num_subtasks

    async def complete(grammar: str | None) -> Prompted:
        return await model.complete(
            request.context,
            question,
            adapter=request.adapter,
            max_tokens=model.settings.plan_tokens,
            seed=request.seed,
            regex=grammar,
        )

    prompted = await complete(None)
    text = prompted.completion.samples[0].text
    usage = prompted.usage
    subtasks, origin = parse_plan(text, k), "model"
    if subtasks is None:
        prompted = await complete(plan_grammar(k))
        text = prompted.completion.samples[0].text
        usage += prompted.usage
        subtasks, origin = parse_plan(text, k), "grammar"
    if subtasks is None:
        subtasks, origin = [request.context.task], "fallback"
    return Plan(
        subtasks=subtasks,
        origin=origin,
        text=text,
        usage=usage,
        window=prompted.window,
        model=prompted.completion.model,
        adapter=prompted.adapter,
        profile=model.profile.id,
    )


def plan_grammar(k: int) -> str:
    """Return a regular expression for exactly k numbered lines."""
    return r"\n".join(rf"{number}\. {ITEM}" for number in range(1, k + 1))
