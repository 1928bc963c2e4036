"""Paired comparisons against known values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.intervals import bootstrap
from evaluation.paired import Outcome, mcnemar, pair


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    [
        # R: binom.test(won, won + lost)$p.value
        (0, 0, 1.0),
        (6, 3, 0.5078125),
        (3, 6, 0.5078125),
        (5, 5, 1.0),
        (10, 0, 0.001953125),
        (1, 0, 1.0),
        (15, 5, 0.04138947),
    ],
)
def test_mcnemar(won: int, lost: int, p: float) -> None:
    assert mcnemar(won, lost) == pytest.approx(p, abs=1e-7)


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_p_is_a_probability_whichever_side_won(won: int, lost: int) -> None:
    assert 0 <= mcnemar(won, lost) == mcnemar(lost, won) <= 1


def outcomes(**scores: list[float]) -> dict[str, list[Outcome]]:
    return {task: [Outcome(score == 1.0, score) for score in each] for task, each in scores.items()}


def test_only_tasks_with_a_result_of_both_are_paired() -> None:
    baseline = outcomes(a=[0.0], b=[1.0], c=[0.5], d=[1.0], gone=[1.0], broken=[1.0])
    other = outcomes(a=[1.0], b=[0.0], c=[0.75], d=[1.0], new=[1.0], broken=[])
    found = pair(baseline, other)
    assert (found.tasks, found.won, found.lost, found.tied, found.p) == (4, 1, 1, 2, 1.0)
    assert found.difference == pytest.approx(0.25 / 4)
    assert found.ci95 == bootstrap([1.0, -1.0, 0.25, 0.0])


def test_seeds_are_averaged_in_each_task() -> None:
    baseline = outcomes(a=[1.0, 0.0], b=[0.0, 0.0], c=[1.0])
    other = outcomes(a=[1.0, 1.0], b=[0.0], c=[1.0, 0.0])
    found = pair(baseline, other)
    assert (found.tasks, found.won, found.lost, found.tied) == (3, 1, 1, 1)
    assert found.difference == pytest.approx(0.0)


def test_nothing_in_common_has_no_difference() -> None:
    found = pair(outcomes(a=[1.0]), outcomes(b=[1.0]))
    assert (found.tasks, found.p, found.difference, found.ci95) == (0, 1.0, None, None)
