"""Judging: ends weighed, and states compared by a vote."""

from typing import Protocol

from pydantic import BaseModel

from services.contracts.action import Candidate
from services.contracts.context import Context
from services.contracts.episode import Feedback
from services.contracts.verdict import PathQuestion
from services.orchestrator.ports import JUDGE_PATH, Spec, World
from services.orchestrator.search.ended_paths import is_good_enough, weigh_context
from services.orchestrator.search.line import Line

VOTERS = 16
"""Paths that one question compares."""


class Child(BaseModel):
    """A candidate that was taken, and the state that it led to."""

    candidate: Candidate
    observation: str
    valid: bool = True
    done: bool = False
    success: bool | None = None
    """None unless `feedback` lets the search know."""
    dead: bool = False
    """Whether it was refused, or shows again what the line has seen."""
    value: float | None = None
    p_good_enough: float | None = None
    """The judge's P(good enough) of an end."""
    session: str = ""
    """The session that it was taken in; empty where that one is closed."""


def make_child_context(line: Line, child: Child) -> Context:
    """Return the context of a state that a child of a line led to."""
    context = line.context()
    turn = line.make_turn(child.candidate, child.observation)
    return context.model_copy(update={"turns": [*context.turns, turn]})


def is_good_end(spec: Spec, child: Child) -> bool:
    """Return whether a child is an end that is good enough."""
    return child.done and is_good_enough(spec, child.success, child.p_good_enough)


class Rated(Protocol):
    """What has a score: a child or a state."""

    @property
    def value(self) -> float | None:
        """P(success)."""
        ...

    @property
    def p_good_enough(self) -> float | None:
        """The judge's P(good enough)."""
        ...


def rate(one: Rated) -> float:
    """Return a score: P(good enough) where it was weighed, the value otherwise."""
    return (one.value or 0.0) if one.p_good_enough is None else one.p_good_enough


async def judge_end(world: World, spec: Spec, context: Context, success: bool | None) -> float | None:
    """Return P(good enough) of an end; None where there is no judge for it.

    Raises:
        BudgetExhaustedError: There is no budget for it.
    """
    request = spec.request
    if success is not None and request.feedback is not Feedback.JUDGE:
        return float(success)
    return await weigh_context(world, spec, context)


async def vote(world: World, spec: Spec, contexts: list[Context], keep: int) -> list[float]:
    """Return for each state the judge's P(best); where one question cannot compare all, 0 for early losers.

    Args:
        world: The ports.
        spec: What the method is given of its episode.
        contexts: The states.
        keep: How many of each group go on to the next round, where there are several groups.
    """
    request = spec.request
    left = list(range(len(contexts)))
    while True:
        shares: dict[int, float] = {}
        winners: list[int] = []
        for start in range(0, len(left), VOTERS):
            group = left[start : start + VOTERS]
            scores = [1.0]
            if len(group) > 1:
                paths = [contexts[place] for place in group]
                question = PathQuestion(paths=paths, adapter=request.adapter, seed=request.seed)
                scores = (await world.query(JUDGE_PATH, question)).scores
            shares.update(zip(group, scores, strict=True))
            ranked = sorted(group, key=lambda place: (-shares[place], place))
            winners += ranked[: min(keep, VOTERS // 2)]
        if len(left) <= VOTERS:
            return [shares.get(place, 0.0) for place in range(len(contexts))]
        left = sorted(winners)
