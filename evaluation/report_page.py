"""A report as one HTML page that needs no network: its style, its script and its charts are inside.

Everything that comes from runs passes `escape`: names of tasks are text of others.
"""

import html
from collections.abc import Iterable, Sequence
from importlib.resources import files

from espalier.plain import plain
from evaluation.report import Comparison, End, EpisodeRow, Report, Score
from evaluation.report_chart import render_scatter

COLOURS = 8
"""Of the style sheet; further columns begin again."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The page's own content security policy: it loads nothing."""


def escape(text: object) -> str:
    """Return a text as HTML, with invisible characters written out."""
    return html.escape(plain(str(text)), quote=True)


def render_page(report: Report) -> str:
    """Return the page."""
    folder = files("evaluation")
    style, script = (folder.joinpath(f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    unfinished = [run.folder for run in report.runs if not run.finished]
    parts = [
        "<h1>Evaluation report</h1>",
        f"<p>{len(report.runs)} runs, {report.episode_count} episodes.</p>",
        f"<p class='bad'>Not finished: {escape(', '.join(unfinished))}.</p>" if unfinished else "",
        "<h2>Results</h2>",
        "<p>Success with its 95% interval, and mean reward where rewards are graded. Rates leave out what "
        "infrastructure broke. Calls, tokens, environment steps and forks are per episode, of all paths.</p>",
        _render_scores(report),
        f"<h2>Paired with {escape(report.baseline)}</h2>",
        _render_comparisons(report),
        "<h2>Results against cost</h2>",
        "<p>The dashed line joins the Pareto front: the policies that no other one beats with as few calls. "
        "Bars are 95% intervals.</p>",
        _render_charts(report),
        "<h2>How episodes end</h2>",
        "<p>Episodes by why the committed path ended and by the judge's verdict on it, where the method "
        "has one.</p>",
        *(_render_ends(report, place) for place in report.splits),
        "<h2>Episodes</h2>",
        _render_episodes(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation report</title><style>\n{style}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + f"\n<script>\n{script}</script>\n</body></html>\n"
    )


def _render_table(head: Iterable[str], rows: Iterable[str]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table><thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _show_percent(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "-"
    bounds = f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""
    return f"{100 * value:.1f}%{bounds}"


def _show_count(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 10_000 else f"{value:.1f}"


def _render_scores(report: Report) -> str:
    found = {(one.env, one.split, one.column): one for one in report.scores}
    rows = (
        f"<tr><th>{escape(env)}<small>{escape(split)}</small></th>"
        + "".join(_render_score(found.get((env, split, column))) for column in report.columns)
        + "</tr>"
        for env, split in report.splits
    )
    return _render_table(["environment", *report.columns], rows)


def _render_score(score: Score | None) -> str:
    if score is None:
        return "<td>-</td>"
    lines = [
        f"mean reward {_show_percent(score.mean_reward, score.reward_ci95)}" if score.graded else "",
        f"n {score.n}" + (f" on {score.tasks} tasks, {score.seeds} seeds" if score.seeds > 1 else ""),
        f"{score.calls_per_episode:.1f} calls",
        f"{_show_count((score.prompt_tokens + score.completion_tokens) / score.n)} tokens",
        f"{score.env_steps / score.n:.1f} steps, {score.forks / score.n:.1f} forks",
    ]
    shown = "".join(f"<small>{escape(line)}</small>" for line in lines if line)
    failed = f'<small class="bad">{score.failed} failed</small>' if score.failed else ""
    return f"<td><b>{_show_percent(score.success_rate, score.success_ci95)}</b>{shown}{failed}</td>"


def _render_comparisons(report: Report) -> str:
    if not report.comparisons:
        return f"<p>No split has both a run of {escape(report.baseline)} and of another method.</p>"
    head = ("environment", "split", "method", "tasks", "won", "lost", "tied", "p", "mean reward, difference")
    about = (
        "<p>On the tasks that both have a result for; seeds are averaged per task. p is McNemar's exact "
        "test, two-sided (with several seeds a sign test). The difference is in percentage points, with a "
        "95% bootstrap interval over tasks. No p is corrected for the number of comparisons.</p>"
    )
    return about + _render_table(head, map(_render_comparison, report.comparisons))


def _render_comparison(one: Comparison) -> str:
    shown, tone = "-", ""
    if one.difference is not None and one.ci95 is not None:
        low, high = one.ci95
        shown = f"{100 * one.difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        tone = " good" if low > 0 else " bad" if high < 0 else ""
    numbers = (one.tasks, one.won, one.lost, one.tied, f"{one.p:.3f}" if one.p >= 0.001 else f"{one.p:.1e}")
    return (
        "<tr>"
        + "".join(f"<td>{escape(text)}</td>" for text in (one.env, one.split, one.column))
        + "".join(f'<td class="number">{number}</td>' for number in numbers)
        + f'<td class="number{tone}">{shown}</td></tr>'
    )


def _render_charts(report: Report) -> str:
    colours = {column: number % COLOURS for number, column in enumerate(report.columns)}
    charts = (
        f"<figure><h3>{escape(env)} {escape(split)}</h3>"
        + render_scatter(
            [one for one in report.scores if (one.env, one.split) == (env, split)], colours, escape
        )
        + "</figure>"
        for env, split in report.splits
    )
    return f'<div class="charts">{"".join(charts)}</div>'


def _describe_end(end: End) -> str:
    if end.success is None:
        return f"failed: {end.ended}"
    verdict = {None: "", True: ", judged good enough", False: ", judged not good enough"}[end.good_enough]
    return f"{'solved' if end.success else 'not solved'}: {end.ended}{verdict}"


def _render_ends(report: Report, place: tuple[str, str]) -> str:
    here = [end for end in report.ends if (end.env, end.split) == place]
    columns = [column for column in report.columns if any(end.column == column for end in here)]
    counts = {(_describe_end(end), end.column): end.count for end in here}
    # What was not solved first: that is what the table is read for.
    kinds = sorted({_describe_end(end) for end in here}, key=lambda kind: (kind.startswith("solved"), kind))
    rows = (
        f"<tr><td>{escape(kind)}</td>"
        + "".join(f'<td class="number">{counts.get((kind, column), 0)}</td>' for column in columns)
        + "</tr>"
        for kind in kinds
    )
    env, split = place
    return f"<h3>{escape(env)} {escape(split)}</h3>" + _render_table(["end", *columns], rows)


EPISODE_HEAD = ("environment", "split", "method", "seed", "task", "score", "steps", "calls", "end", "episode")
NUMBERS = frozenset({"seed", "score", "steps", "calls"})


def _render_episodes(report: Report) -> str:
    left_out = report.episode_count - len(report.episodes)
    titles = "".join(
        f'<th data-kind="{"number" if title in NUMBERS else "text"}">{title}</th>' for title in EPISODE_HEAD
    )
    about = f"<p>{left_out} more episodes are left out; report.json has their sums.</p>" if left_out else ""
    rows = "\n".join(map(_render_episode, report.episodes))
    return (
        f'{about}<input id="filter" type="search" hidden placeholder="Filter: words of a row" '
        f'aria-label="Filter episodes"><p id="shown"></p><div class="wide tall"><table id="episodes">'
        f"<thead><tr>{titles}</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
    )


def _render_episode(row: EpisodeRow) -> str:
    tone = "" if row.success is None else "good" if row.success else "bad"
    texts: Sequence[tuple[str, object]] = (
        ("", row.env),
        ("", row.split),
        ("", row.column),
        ("number", row.seed),
        ("task", row.task),
        (f"number {tone}", "-" if row.score is None else f"{row.score:.2f}"),
        ("number", "-" if row.steps is None else row.steps),
        ("number", row.calls),
        ("", row.ended),
        ("", row.id),
    )
    return "<tr>" + "".join(f'<td class="{kind}">{escape(text)}</td>' for kind, text in texts) + "</tr>"
