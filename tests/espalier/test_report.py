"""The report: its numbers, and its page."""

import json
import re
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from espalier.cli import main
from evaluation.intervals import bootstrap, wilson
from evaluation.report import MOST_EPISODES, Report, Score, make_report, read_runs
from evaluation.report_chart import render_scatter
from evaluation.report_page import escape, render_page
from services.contracts.episode import Episode, EpisodeCreate, Failure, Figures, Result, State
from services.contracts.usage import Usage

HOSTILE = '<script>alert("1")</script>&\u202eevil'


def play(task: str, score: float | None, method: str = "react", *, calls: int = 4, **request: Any) -> Episode:
    """An ended episode; one without a score has failed."""
    result = None
    if score is not None:
        done = score == 1.0
        result = Result(
            branch="0",
            score=score,
            success=done,
            good_enough=done,
            ended="done" if done else "limit",
            steps=3,
        )
    body = {"environment": "twin", "task_id": task, "method": method, **request}
    return Episode(
        id=f"ep_{task}",
        state=State.FAILED if result is None else State.COMPLETED,
        request=EpisodeCreate.model_validate(body),
        created_at=100.0,
        ended_at=110.0,
        result=result,
        failure=Failure(reason="model") if result is None else None,
        figures=Figures(
            steps=5,
            forks=1,
            usage=Usage(calls=calls, prompt_tokens=90, cached_tokens=40, completion_tokens=10),
        ),
    )


def write_run(
    folder: Path,
    episodes: list[Episode],
    split: str = "corridors",
    column: str = "",
    *,
    finished: bool = True,
) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"run": "eval-1", "policy": {"split": split}}))
    (folder / "episodes.jsonl").write_text("".join(f"{one.model_dump_json()}\n" for one in episodes))
    if column:
        (folder / "cell.json").write_text(json.dumps({"column": column}))
    if finished:
        (folder / "summary.json").write_text("{}")
    return folder


def play_all(scores: Sequence[float | None], method: str = "react", **options: Any) -> list[Episode]:
    return [play(f"corridors/{number}", score, method, **options) for number, score in enumerate(scores)]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    write_run(tmp_path / "a", play_all([1.0, 0.0, 0.0, None]))
    write_run(tmp_path / "b", play_all([1.0, 1.0, 0.0, 1.0], "tmbr", calls=9), column="tmbr margin 0.1")
    write_run(tmp_path / "c", play_all([0.0, 0.0, 0.0, 0.0], "io", calls=20))
    return make_report(read_runs([tmp_path]), "react")


def test_scores_have_rates_costs_and_failures_apart(report: Report) -> None:
    react, tmbr, io = report.scores
    assert (react.column, react.n, react.failed, react.success_rate) == ("react", 4, 1, 1 / 3)
    assert (react.success_ci95, react.reward_ci95) == (wilson(1, 3), bootstrap([1.0, 0.0, 0.0]))
    assert (tmbr.column, tmbr.failed, tmbr.mean_reward) == ("tmbr margin 0.1", 0, 3 / 4)
    assert (tmbr.llm_calls, tmbr.calls_per_episode, tmbr.env_steps, tmbr.forks) == (36, 9, 20, 4)
    assert (tmbr.prompt_tokens, tmbr.cached_tokens, tmbr.completion_tokens) == (360, 160, 40)
    assert [score.pareto for score in (react, tmbr, io)] == [True, True, False]
    assert report.columns == ["react", "tmbr margin 0.1", "io"]


def test_pairs_leave_out_tasks_that_one_lacks(report: Report) -> None:
    tmbr, io = report.comparisons
    assert (tmbr.column, tmbr.tasks, tmbr.won, tmbr.lost, tmbr.tied, tmbr.p) == (
        "tmbr margin 0.1",
        3,
        1,
        0,
        2,
        1.0,
    )
    assert tmbr.difference == pytest.approx(1 / 3)
    assert (io.tasks, io.won, io.lost) == (3, 0, 1)


def test_the_baseline_is_chosen(tmp_path: Path) -> None:
    write_run(tmp_path / "a", play_all([1.0, 0.0]))
    write_run(tmp_path / "b", play_all([0.0, 0.0], "io"))
    runs = read_runs([tmp_path])
    [other] = make_report(runs, "io").comparisons
    assert (other.column, other.won) == ("react", 1)
    nothing = make_report(runs, "tmbr")
    assert nothing.comparisons == []
    assert "No split has both a run of tmbr" in render_page(nothing)


def test_ends_are_counted(report: Report) -> None:
    found = {(end.column, end.success, end.ended, end.good_enough): end.count for end in report.ends}
    assert found == {
        ("react", False, "limit", False): 2,
        ("react", True, "done", True): 1,
        ("react", None, "model", None): 1,
        ("tmbr margin 0.1", True, "done", True): 3,
        ("tmbr margin 0.1", False, "limit", False): 1,
        ("io", False, "limit", False): 4,
    }
    page = render_page(report)
    assert "not solved: limit, judged not good enough" in page
    assert "failed: model" in page


def test_seeds_are_one_column_and_averaged_per_task(tmp_path: Path) -> None:
    for seed, scores in enumerate(([1.0, 0.0, None], [0.0, 0.0, 1.0])):
        write_run(tmp_path / f"react{seed}", play_all(scores, seed=seed))
    write_run(tmp_path / "io", play_all([1.0, 0.0, 1.0], "io"))
    made = make_report(read_runs([tmp_path]), "react")
    react = next(score for score in made.scores if score.column == "react")
    assert (react.seeds, react.tasks, react.n, react.failed) == (2, 3, 6, 1)
    assert react.success_rate == pytest.approx((0.5 + 0 + 1) / 3)
    assert react.success_ci95 == bootstrap([0.5, 0.0, 1.0])
    [io] = made.comparisons
    assert (io.tasks, io.won, io.lost, io.tied) == (3, 1, 0, 2)
    assert io.difference == pytest.approx(0.5 / 3)


def test_two_policies_of_one_name_are_two_columns(tmp_path: Path) -> None:
    write_run(tmp_path / "x" / "low", play_all([1.0], "tmbr", params={"margin": 0.1}))
    write_run(tmp_path / "x" / "high", play_all([0.0], "tmbr", params={"margin": 0.9}))
    write_run(tmp_path / "x" / "react", play_all([0.0]))
    made = make_report(read_runs([tmp_path]), "react")
    assert set(made.columns) == {"react", "tmbr (x/low)", "tmbr (x/high)"}


def test_the_last_attempt_of_a_task_counts_and_torn_lines_do_not(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [play("corridors/0", None), play("corridors/0", 1.0)], finished=False)
    with (folder / "episodes.jsonl").open("a") as lines:
        lines.write('{"id": "ep_torn')
    made = make_report(read_runs([folder, tmp_path]), "react")
    assert (made.episode_count, made.scores[0].failed, made.scores[0].success_rate) == (1, 0, 1.0)
    assert len(made.runs) == 1, "a folder that is named twice is read once"
    assert "Not finished: a." in render_page(made)


def test_graded_rewards_are_shown_beside_success(tmp_path: Path) -> None:
    write_run(tmp_path / "a", play_all([0.5, 1.0]))
    made = make_report(read_runs([tmp_path]), "react")
    assert made.scores[0].graded
    page = render_page(made)
    assert "mean reward 75.0% [" in page
    assert re.search(r'transform="rotate\([^"]*">mean reward<', page)


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    VOID = frozenset({"meta", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_is_whole_and_loads_nothing(report: Report) -> None:
    text = render_page(report)
    page = Page(text)
    assert page.open == []
    assert {"table", "svg", "circle", "polyline", "style", "script"} <= set(page.tags)
    assert not {"link", "img", "iframe", "object", "base"} & set(page.tags)
    assert not {name for name, _ in page.attributes} & {"src", "href", "action", "srcset", "onclick"}
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text.replace("// Sorts", ""))
    assert "prefers-color-scheme: dark" in text
    assert ("name", "viewport") in page.attributes
    shown = "".join(page.texts)
    for part in ("33.3% [", "75.0% [30.1, 95.4]", "1 failed", "+33.3 ["):
        assert part in shown
    assert page.tags.count("circle") == 3


def test_the_numbers_of_the_page_are_those_of_the_json(report: Report) -> None:
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_what_runs_contain_is_escaped(tmp_path: Path) -> None:
    episode = play(HOSTILE, 0.5, method=HOSTILE[:30], environment=HOSTILE)
    assert episode.result is not None
    ended = episode.result.model_copy(update={"ended": HOSTILE})
    episodes = [
        episode.model_copy(update={"result": ended, "id": HOSTILE}),
        play("x", None, method=HOSTILE[:30], environment=HOSTILE).model_copy(
            update={"failure": Failure(reason=HOSTILE)}
        ),
    ]
    folder = write_run(tmp_path / HOSTILE.replace("/", "."), episodes, HOSTILE, HOSTILE, finished=False)
    text = render_page(make_report(read_runs([folder]), HOSTILE))
    page = Page(text)
    assert page.tags.count("script") == 1, "the page's own"
    assert "alert(&quot;1&quot;)" in text
    assert "\u202e" not in text
    assert "\\u202eevil" in "".join(page.texts)
    assert escape("<&\"'\x1b") == "&lt;&amp;&quot;&#x27;\\x1b"


def test_the_list_of_episodes_is_bounded(tmp_path: Path) -> None:
    write_run(tmp_path / "a", play_all([1.0] * (MOST_EPISODES + 3)))
    made = make_report(read_runs([tmp_path]), "react")
    assert (made.episode_count, len(made.episodes)) == (MOST_EPISODES + 3, MOST_EPISODES)
    assert "3 more episodes are left out" in render_page(made)


def make_score(column: str, value: float | None, calls: float) -> Score:
    names = {"env": "twin", "split": "corridors", "column": column}
    zeros = dict.fromkeys(
        ("failed", "llm_calls", "prompt_tokens", "cached_tokens", "completion_tokens", "env_steps", "forks"),
        0,
    )
    rates = {"success_rate": value, "mean_reward": value, "success_ci95": None, "reward_ci95": None}
    numbers = {"seeds": 1, "tasks": 1, "n": 1, "graded": False, "calls_per_episode": calls}
    return Score.model_validate({**names, **zeros, **rates, **numbers})


def test_a_chart_without_results_or_calls_is_drawn_all_the_same() -> None:
    colours = {"a": 0, "b": 1}
    assert render_scatter([make_score("a", None, 3.0)], colours, escape) == ""
    chart = render_scatter([make_score("a", 0.0, 0.0), make_score("b", 1.0, 0.0)], colours, escape)
    assert chart.count("<circle") == 2
    assert "nan" not in chart


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["espalier", "report", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_writes_the_page_and_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs" / "a", play_all([1.0, 0.0]))
    write_run(tmp_path / "runs" / "b", play_all([1.0, 1.0], "io"))
    out = tmp_path / "new" / "report.html"
    assert run(monkeypatch, tmp_path / "runs", "--out", out, "--baseline", "io") == 0
    assert "2 runs, 4 episodes" in capsys.readouterr().out
    numbers = Report.model_validate_json(out.with_suffix(".json").read_bytes())
    assert out.read_text() == render_page(numbers)
    assert numbers.baseline == "io"


@pytest.mark.parametrize("kind", ["empty", "json", "no run", "no split", "broken"])
def test_what_cannot_be_reported_is_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "a", [] if kind == "empty" else play_all([1.0]))
    if kind == "no split":
        (folder / "run.json").write_text("{}")
    if kind == "broken":
        (folder / "run.json").write_text("{")
    name = "r.json" if kind == "json" else "r.html"
    assert run(monkeypatch, tmp_path / "b" if kind == "no run" else folder, "--out", tmp_path / name) == 1
    said = {
        "empty": "no episode that ended",
        "json": "ends in .html",
        "no run": "holds no run",
        "no split": "names no split",
        "broken": "is not JSON",
    }
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said[kind] in error
    assert error.count("\n") == 1
    assert not (tmp_path / name).exists()
