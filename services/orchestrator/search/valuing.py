"""Valuing: the judge's P(success) of states that a line reaches."""

from collections.abc import Sequence

from services.contracts.context import Turn
from services.contracts.verdict import Reached, ValueQuestion
from services.orchestrator.ports import JUDGE_VALUE
from services.orchestrator.search.line import Line


async def value_reached(line: Line, reached: Sequence[Reached]) -> list[float]:
    """Return the value of each state, in the order given.

    Raises:
        BudgetExhaustedError: There is no budget for all of them.
        InfrastructureError: The judge is away.
    """
    request = line.spec.request
    question = ValueQuestion(
        context=line.context(), reached=list(reached), adapter=request.adapter, seed=request.seed
    )
    return (await line.world.query(JUDGE_VALUE, question)).scores


async def value_turns(line: Line, turns: Sequence[Turn]) -> list[float]:
    """Return the value of the state that each turn leads to. Raises as `value_reached`."""
    return await value_reached(
        line,
        [Reached(action=it.action, thought=it.thought, observation=it.observation) for it in turns],
    )
