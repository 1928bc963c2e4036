"""The chart of a report: what policies earn against what they cost, as inline SVG."""

import math
from collections.abc import Callable, Sequence

from evaluation.report import Score

Escape = Callable[[str], str]

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 18, 46
"""Margins; the right one is for names of points at the edge."""


def render_scatter(scores: Sequence[Score], colours: dict[str, int], escape: Escape) -> str:
    """Return the chart of one split: a point for each policy, the Pareto front as a line.

    Args:
        scores: The policies; those without a result are left out.
        colours: The number of each column's colour.
        escape: Makes text safe for HTML.
    """
    points = sorted(
        (one for one in scores if one.value is not None), key=lambda one: (one.calls_per_episode, one.column)
    )
    if not points:
        return ""
    graded = any(one.graded for one in points)
    most = _round_up(max(one.calls_per_episode for one in points))

    def x(calls: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * calls / most

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value

    env, split = points[0].env, points[0].split
    label = "mean reward" if graded else "success"
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{env} {split}: {label} against model calls per episode")}">'
    ]
    for step in range(6):
        share = step / 5
        height, across = y(share), x(most * share)
        parts += [
            f'<line class="grid" x1="{LEFT}" y1="{height:.1f}" x2="{WIDTH - RIGHT}" y2="{height:.1f}"/>',
            f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{100 * share:.0f}%</text>',
            f'<text x="{across:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{most * share:g}</text>',
        ]
    parts += [
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        "model calls per episode</text>",
        f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})">{label}</text>',
    ]
    front = [(x(one.calls_per_episode), y(one.value or 0.0)) for one in points if one.pareto]
    line = " ".join(f"{across:.1f},{height:.1f}" for across, height in front)
    parts.append(f'<polyline class="front" points="{line}"/>')
    taken: list[tuple[float, float]] = []
    for one in points:
        across, height = x(one.calls_per_episode), y(one.value or 0.0)
        interval = one.reward_ci95 if graded else one.success_ci95
        if interval is not None:
            low, high = y(interval[0]), y(interval[1])
            parts.append(
                f'<line class="interval c{colours[one.column]}" x1="{across:.1f}" y1="{low:.1f}" '
                f'x2="{across:.1f}" y2="{high:.1f}"/>'
            )
        shown = f"{one.column}: {100 * (one.value or 0.0):.1f}% at {one.calls_per_episode:.1f} calls"
        parts.append(
            f'<circle class="point c{colours[one.column]}" cx="{across:.1f}" cy="{height:.1f}" '
            f'r="{6 if one.pareto else 4}"><title>{escape(shown)}</title></circle>'
        )
        parts.append(_render_name(one.column, across, height, taken, escape))
    return "".join([*parts, "</svg>"])


def _render_name(
    name: str, across: float, height: float, taken: list[tuple[float, float]], escape: Escape
) -> str:
    """Write a point's name beside it, below the names that would lie under it."""
    at = min(height + 4, HEIGHT - BOTTOM - 2)
    while any(abs(at - other) < 13 and abs(across - beside) < 140 for beside, other in taken):
        at += 13
    taken.append((across, at))
    short = name if len(name) <= 22 else f"{name[:21]}…"
    return f'<text class="name" x="{across + 10:.1f}" y="{at:.1f}">{escape(short)}</text>'


def _round_up(value: float) -> float:
    """Return the next number of 1, 2, 2.5, 5 or 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if value <= step * power * (1 + 1e-9))
