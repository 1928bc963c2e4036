"""Several samples of each task, summed up."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.intervals import bootstrap, wilson
from evaluation.run import EvaluationError
from evaluation.samples import run_samples, summarise_samples
from services.contracts.episode import Episode, EpisodeCreate, Failure, Figures, Result, State
from services.contracts.usage import Usage


def sampled(task: int, score: float | None, at: float = 100.0) -> Episode:
    """An ended episode; one without a score has failed."""
    result = None
    if score is not None:
        result = Result(branch="0", score=score, success=score == 1.0, ended="done", steps=2)
    return Episode(
        id="ep_1",
        state=State.FAILED if result is None else State.COMPLETED,
        request=EpisodeCreate(environment="twin", task_id=f"corridors/{task}", method="react", seed=7),
        created_at=at,
        ended_at=at + 10,
        result=result,
        failure=Failure(reason="model") if result is None else None,
        figures=Figures(usage=Usage(calls=2, prompt_tokens=30, cached_tokens=20, completion_tokens=4)),
    )


def test_rates_are_over_tasks() -> None:
    scores = [[1.0, 1.0, 1.0], [1.0, 0.5, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    runs = [[sampled(task, each[number]) for task, each in enumerate(scores)] for number in range(3)]
    found = summarise_samples(runs, "corridors", 0.7)
    assert (found.samples, found.n, found.incomplete, found.temperature, found.seed) == (3, 4, 0, 0.7, 7)
    assert (found.pass_at_k, found.majority_rate, found.pass_all_rate) == (3 / 4, 2 / 4, 1 / 4)
    assert found.success_rate == pytest.approx((1 + 2 / 3 + 1 / 3 + 0) / 4)
    assert found.mean_reward == pytest.approx((1 + 2.5 / 3 + 1 / 3 + 0) / 4)
    assert found.ci95.pass_at_k == wilson(3, 4)
    assert found.ci95.majority_rate == wilson(2, 4)
    assert found.ci95.pass_all_rate == wilson(1, 4)
    assert found.ci95.mean_reward == bootstrap([1.0, 2.5 / 3, 1 / 3, 0.0])
    assert (found.llm_calls, found.prompt_tokens, found.cached_tokens, found.completion_tokens) == (
        24,
        360,
        240,
        48,
    )
    assert found.wall_s == 30


def test_a_task_with_a_failure_has_no_rate() -> None:
    runs = [[sampled(0, 1.0), sampled(1, 0.0)], [sampled(0, None), sampled(1, 1.0)]]
    found = summarise_samples(runs, "corridors", 0.7)
    assert (found.n, found.incomplete) == (2, 1)
    assert (found.pass_at_k, found.success_rate, found.majority_rate) == (1.0, 0.5, 0.0)
    nothing = summarise_samples([[sampled(0, None)], [sampled(0, 1.0)]], "corridors", 0.7)
    assert (nothing.pass_at_k, nothing.mean_reward, nothing.ci95.pass_at_k) == (None, None, None)
    assert nothing.llm_calls == 4, "what failed has cost as well"
    with pytest.raises(ValueError, match="no episodes"):
        summarise_samples([], "corridors", 0.7)


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=3), min_size=1, max_size=8))
def test_the_rates_are_in_order(scores: list[list[float]]) -> None:
    runs = [[sampled(task, each[number]) for task, each in enumerate(scores)] for number in range(3)]
    found = summarise_samples(runs, "corridors", 0.7)
    rates = (found.pass_all_rate, found.majority_rate, found.pass_at_k)
    assert list(rates) == sorted(rate or 0.0 for rate in rates)
    assert (found.pass_all_rate or 0) - 1e-9 <= (found.success_rate or 0) <= (found.pass_at_k or 0) + 1e-9


@pytest.mark.parametrize("params", [{}, {"temperature": 0.0}])
async def test_greedy_samples_are_refused(params: dict[str, float], tmp_path: Path) -> None:
    body = EpisodeCreate(environment="twin", task_id="x", method="react", params=params)
    where = {"split": "corridors", "out": tmp_path / "out", "limit": 1, "concurrency": 1}
    with pytest.raises(EvaluationError, match="temperature above 0"):
        await run_samples(body, samples=2, url="http://127.0.0.1:1", **where)
    assert not (tmp_path / "out").exists()
