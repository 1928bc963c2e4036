"""What a metric of a run is: how it is measured, and its column in tables of results.

A metric is registered where `summary.json` declares it: one field of `evaluation.summary.Summary` with a
`Metric` in its annotation. `summarise`, the tables and the test of docs/evaluation.md read it from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from services.contracts.episode import Episode, Figures, Result, State
from services.contracts.usage import Usage


@dataclass(frozen=True)
class Run:
    """The ended episodes of one policy on one split."""

    episodes: Sequence[Episode]

    @cached_property
    def results(self) -> list[Result]:
        """The results of the episodes that have one: those that infrastructure broke have none."""
        return [
            episode.result
            for episode in self.episodes
            if episode.state is State.COMPLETED and episode.result is not None
        ]

    @cached_property
    def figures(self) -> list[Figures]:
        """What each episode did and cost."""
        return [episode.figures or Figures() for episode in self.episodes]

    @cached_property
    def usage(self) -> Usage:
        """The model calls and tokens of all episodes."""
        return sum((item.usage for item in self.figures), Usage())

    @cached_property
    def rewards(self) -> list[float]:
        """The rewards of the episodes that have a result."""
        return [result.score for result in self.results]

    @cached_property
    def successes(self) -> int:
        """How many results are successes."""
        return sum(result.success for result in self.results)

    def total(self, name: str) -> int:
        """Return the sum of one of the episodes' figures."""
        return sum(getattr(item, name) for item in self.figures)


@dataclass(frozen=True)
class Metric:
    """How a field of `summary.json` is measured and shown."""

    measure: Callable[[Run], Any]
    title: str = ""
    """Its column's head in tables; empty where tables leave it out."""
    show: Callable[[Any], str] = field(default=str)
    """Writes its value in a cell; never called for None."""
    interval: str = ""
    """The field of `ci95` that the cell shows after it, in square brackets."""
    beside: str = ""
    """The field of `summary.json` that the cell shows after it, in brackets."""


def rate(part: float, whole: float) -> float | None:
    """Return a share, or None where there is nothing to take it of."""
    return part / whole if whole else None


def show_percent(value: float) -> str:
    """Return a rate in per cent."""
    return f"{100 * value:.1f}"


def show_mean(value: float) -> str:
    """Return a mean with one decimal."""
    return f"{value:.1f}"
