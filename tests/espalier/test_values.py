"""What choosing by values earns, and how well they rank, on states with known shares."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from espalier.adapter_folder import read_card
from espalier.stack.adapters import SHIPPED
from evaluation.values import Valued, calibrate, earn, rank, report


def state(own: tuple[float, float], *others: tuple[float, float]) -> list[Valued]:
    """A state of candidates, each a share and a value; the log-probability is the other way round."""
    made = [Valued(share, value, -value, own=False) for share, value in others]
    return [Valued(own[0], own[1], -own[1], own=True), *made]


STATES = [
    state((0.0, 0.2), (1.0, 0.9)),
    state((1.0, 0.5), (0.0, 0.6)),
    state((0.5, 0.5), (0.5, 0.1)),
]


def test_a_margin_decides_what_is_replaced() -> None:
    def value(one: Valued) -> float:
        return one.value

    free, careful, never = (earn(STATES, value, margin) for margin in (0.0, 0.3, 1.0))
    assert (free.mean, free.replaced) == (pytest.approx(0.5), pytest.approx(2 / 3))
    assert (careful.mean, careful.replaced) == (pytest.approx(2.5 / 3), pytest.approx(1 / 3))
    assert (never.mean, never.replaced) == (pytest.approx(0.5), 0.0)


def test_a_margin_is_chosen_only_where_another_half_of_the_tasks_confirms_it(tmp_path: Path) -> None:
    few = report(STATES)
    assert few.margin == 1.0, "three states prove nothing"
    many = report([in_task(one, f"task {number}") for number in range(40) for one in STATES])
    assert many.margin == 0.5, "the largest of the margins that earn the most"
    folder = tmp_path / "agent"
    shutil.copytree(SHIPPED / "agent", folder)
    assert calibrate(folder, {"house": many, "shop": few})["house"] == 0.5
    assert read_card(folder).margins == {**read_card(SHIPPED / "agent").margins, "house": 0.5, "shop": 1.0}


def test_hindsight_is_not_scored_by_the_rollout_that_it_is_chosen_by() -> None:
    lucky = [
        Valued(0.5, 0.0, 0.0, own=True, wins=(False, True)),
        Valued(0.5, 0.0, 0.0, own=False, wins=(True, False)),
    ]
    found = earn([lucky], lambda one: one.first, worth=lambda one: one.rest)
    assert (found.mean, found.replaced) == (0.0, 1.0)


def in_task(state: list[Valued], task: str) -> list[Valued]:
    return [dataclasses.replace(one, task=task) for one in state]


def test_ranking_counts_pairs_of_different_worth() -> None:
    assert (rank(STATES, lambda one: one.value).n, rank(STATES, lambda one: one.value).right) == (2, 0.5)
    assert rank(STATES, lambda one: one.share).right == 1.0
    assert rank(STATES, lambda one: 0.0).right == 0.5, "ties count half"


def test_the_report_has_judge_actor_and_hindsight_side_by_side() -> None:
    found = report(STATES)
    assert (found.states, found.candidates) == (3, 6)
    assert found.own == pytest.approx(0.5)
    assert found.hindsight.mean == pytest.approx(2.5 / 3)
    assert found.margins[0.3].mean == found.hindsight.mean
    assert found.by_logprob.mean == pytest.approx(0.5)
    assert 0 < found.brier < found.brier_constant < 0.25
