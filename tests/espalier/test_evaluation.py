"""Intervals and summaries."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.intervals import bootstrap, wilson
from evaluation.run import describe_difference
from evaluation.summary import list_metrics, summarise
from evaluation.tables import main, render_table
from services.contracts.episode import Episode, EpisodeCreate, Failure, Figures, Result, State
from services.contracts.usage import Usage


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Wilson's interval as R's binom.confint(methods = "wilson") gives it
        (0, 10, 0.0, 0.277533),
        (5, 10, 0.236593, 0.763407),
        (10, 10, 0.722467, 1.0),
        (81, 263, 0.255263, 0.366176),
    ],
)
def test_wilson(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-4)


@settings(deadline=None)
@given(n=st.integers(1, 500), data=st.data())
def test_wilson_holds_the_rate_and_narrows(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    found, wider = wilson(10 * successes, 10 * n), wilson(successes, n)
    assert found is not None
    assert wider is not None
    assert 0 <= wider[0] - 1e-12 <= successes / n <= wider[1] + 1e-12 <= 1 + 2e-12 or successes in (0, n)
    assert found[1] - found[0] < wider[1] - wider[0]


def test_nothing_has_no_interval() -> None:
    assert wilson(0, 0) is None
    assert bootstrap([]) is None


def test_the_bootstrap_repeats_and_holds_the_mean() -> None:
    values = [0.0, 0.0, 0.5, 1.0, 1.0, 1.0]
    found = bootstrap(values)
    assert found == bootstrap(values)
    assert found is not None
    assert 0 <= found[0] < sum(values) / 6 < found[1] <= 1
    assert bootstrap([0.25] * 5) == (0.25, 0.25)


def episode(state: State, score: float = 0.0, **figures: Any) -> Episode:
    result = Result(branch="0", score=score, success=score == 1.0, ended="done", steps=4)
    return Episode(
        id="ep_1",
        state=state,
        request=EpisodeCreate(environment="twin", task_id="corridors/1", method="react"),
        created_at=100.0,
        ended_at=110.0,
        result=result if state is State.COMPLETED else None,
        failure=Failure(reason="model") if state is State.FAILED else None,
        figures=Figures(**figures),
    )


def test_failed_is_not_zero() -> None:
    outcome = summarise(
        [
            episode(State.COMPLETED, 1.0),
            episode(State.COMPLETED, 0.5),
            episode(State.FAILED),
            episode(State.CANCELLED),
        ],
        "corridors",
    )
    assert (outcome.n, outcome.failed) == (4, 2)
    assert (outcome.success_rate, outcome.success_rate_failed_as_zero, outcome.mean_reward) == (
        0.5,
        0.25,
        0.75,
    )
    assert outcome.ci95.success_rate == wilson(1, 2)


def test_where_all_failed_there_is_no_rate() -> None:
    outcome = summarise([episode(State.FAILED)], "corridors")
    assert (outcome.success_rate, outcome.mean_reward, outcome.ci95.success_rate) == (None, None, None)
    assert (outcome.steps_mean, outcome.invalid_action_rate, outcome.format_error_rate) == (None, None, None)
    assert outcome.success_rate_failed_as_zero == 0.0


def test_rates_and_sums_are_over_all_steps() -> None:
    usage = Usage(calls=3, prompt_tokens=100, cached_tokens=60, completion_tokens=9)
    outcome = summarise(
        [
            episode(State.COMPLETED, 1.0, steps=6, invalid_actions=3, candidates=8, malformed=2, usage=usage),
            episode(State.COMPLETED, 0.0, refused_followed=3, refused_repeated=1),
            episode(State.COMPLETED, 0.0, steps=2, repeated=2, refused_followed=2, usage=usage),
        ],
        "corridors",
    )
    assert (outcome.invalid_action_rate, outcome.loop_rate, outcome.format_error_rate) == (
        3 / 8,
        2 / 8,
        2 / 8,
    )
    assert (outcome.llm_calls, outcome.prompt_tokens, outcome.cached_tokens, outcome.completion_tokens) == (
        6,
        200,
        120,
        18,
    )
    assert outcome.repeat_after_refusal_rate == 1 / 5
    assert (outcome.wall_s, outcome.num_branch) == (10.0, None)


@pytest.mark.parametrize(
    ("method", "shown"),
    [("io", None), ("cot", None), ("react", None), ("best_of_n", 3), ("tot", 3), ("tmbr", 3)],
)
def test_methods_that_walk_one_path_have_no_branches(method: str, shown: int | None) -> None:
    counts = {"num_branch": 3, "num_path": 3, "num_subtasks": 3}
    body = EpisodeCreate.model_validate({"environment": "twin", "task_id": "x", "method": method, **counts})
    outcome = summarise([episode(State.FAILED).model_copy(update={"request": body})], "corridors")
    assert (outcome.num_branch, outcome.num_path, outcome.num_subtasks) == (shown, shown, shown)


def test_the_difference_of_two_policies_names_what_was_set() -> None:
    before = {"seed": 0, "params": {"margin": 0.1, "sure": 1}, "adapter": "a@1"}
    now = {"seed": 1, "params": {"margin": 0.2, "sure": 1}, "limit": None}
    assert describe_difference(before, now) == (
        'adapter: "a@1" there, not set now; limit: not set there, null now; '
        "params.margin: 0.1 there, 0.2 now; seed: 0 there, 1 now"
    )


def test_nothing_is_not_summed_up() -> None:
    with pytest.raises(ValueError, match="no episodes"):
        summarise([], "corridors")


def test_a_table_has_a_row_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = summarise([episode(State.COMPLETED, 1.0)], "valid")
    (tmp_path / "summary.json").write_text(found.model_dump_json())
    monkeypatch.setattr("sys.argv", ["tables", str(tmp_path), str(tmp_path)])
    main()
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 4
    assert rows[2] == rows[3]
    assert f"| {found.env} | valid |" in rows[2]


@pytest.mark.parametrize(
    ("text", "outcome"), [(None, "the run has not ended"), ("{}", "is not a run's summary")]
)
def test_a_folder_without_a_summary_is_told(
    text: str | None,
    outcome: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if text is not None:
        (tmp_path / "summary.json").write_text(text)
    monkeypatch.setattr("sys.argv", ["tables", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert outcome in capsys.readouterr().err


def test_a_cell_shows_its_value_its_interval_and_what_stands_beside_it() -> None:
    found = summarise([episode(State.COMPLETED, 1.0), episode(State.FAILED)], "valid")
    head, _, row = render_table([found]).split("\n")
    cells = dict(zip(head.strip("| ").split(" | "), row.strip("| ").split(" | "), strict=True))
    assert cells["n (failed)"] == "2 (1)"
    assert cells["success, 95%"] == "100.0 [20.7, 100.0]"
    assert cells["format errors"] == "-"
    assert cells["adapter"] == "none"


def test_the_page_lists_every_metric_with_its_column() -> None:
    text = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    listed = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\| ", text.partition("| metric |")[2], re.MULTILINE))
    assert listed == {name: metric.title for name, metric in list_metrics().items()}
