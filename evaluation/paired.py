"""Two policies on the same tasks: what one wins, what it loses, and whether that could be chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from evaluation.intervals import bootstrap


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one episode of a task earned."""

    success: bool
    score: float


class Paired(BaseModel):
    """A policy beside a baseline, over the tasks that both have a result for; seeds are averaged per task."""

    tasks: int
    won: int
    """Tasks with more success than the baseline's."""
    lost: int
    tied: int
    p: float
    """McNemar's exact test of won against lost, two-sided; with several seeds a sign test."""
    difference: float | None
    """Mean reward less the baseline's; None without tasks."""
    ci95: tuple[float, float] | None
    """Of the difference, by bootstrap over tasks."""


def mcnemar(won: int, lost: int) -> float:
    """Return the two-sided p of McNemar's exact test: won or lost by the toss of a coin (McNemar, 1947)."""
    n = won + lost
    # Whole numbers: floats would underflow for many pairs. Each count of ways follows from the one before.
    ways = tail = 1
    for count in range(min(won, lost)):
        ways = ways * (n - count) // (count + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**n)


def pair(baseline: Mapping[str, Sequence[Outcome]], other: Mapping[str, Sequence[Outcome]]) -> Paired:
    """Compare a policy with a baseline.

    Args:
        baseline: Its outcomes by task, one for each seed that has a result.
        other: The policy's.
    """
    tasks = sorted(task for task in baseline.keys() & other.keys() if baseline[task] and other[task])
    successes = [
        _mean([one.success for one in other[task]]) - _mean([one.success for one in baseline[task]])
        for task in tasks
    ]
    rewards = [
        _mean([one.score for one in other[task]]) - _mean([one.score for one in baseline[task]])
        for task in tasks
    ]
    won = sum(value > 0 for value in successes)
    lost = sum(value < 0 for value in successes)
    return Paired(
        tasks=len(tasks),
        won=won,
        lost=lost,
        tied=len(tasks) - won - lost,
        p=mcnemar(won, lost),
        difference=_mean(rewards) if rewards else None,
        ci95=bootstrap(rewards),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
