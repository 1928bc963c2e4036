"""Rows as an agent sees them: AgentBench's list of tuples, cut at its length."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from envs.dbbench.mysql.decimals import TAG, Exact, read
from envs.dbbench.mysql.values import text, whole

CUT = "[TRUNCATED]"
MOST_ROWS = 1000
"""No more rows are ever read: an answer is cut long before."""


def shown(rows: Iterable[Sequence[object]], limit: int) -> str:
    """Rows as a list of tuples, numbers plain on every engine.

    Args:
        rows: The rows; no more are read than are shown.
        limit: Where the text is cut, characters.
    """
    parts: list[str] = []
    length = 0
    for number, row in enumerate(rows):
        parts.append(_tuple(row, limit))
        length += len(parts[-1]) + 2
        if length > limit or number >= MOST_ROWS:
            break
    return cut(f"[{', '.join(parts)}]", limit)


def cut(text: str, limit: int) -> str:
    """Return a text cut at the limit, with a mark where it was cut."""
    return text if len(text) <= limit else text[:limit] + CUT


def _tuple(row: Sequence[object], limit: int) -> str:
    values = [repr(plain(value, limit)) for value in row]
    return f"({', '.join(values)}{',' if len(values) == 1 else ''})"


def plain(value: object, limit: int | None = None) -> str | int | float | None:
    """A value that has a short `repr`: whole numbers without a fraction, dates as texts."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return whole(value)
    if isinstance(value, str) and value[:1] == TAG:
        given = read(value)
        return plain(given.rounded if isinstance(given, Exact) else float(f"{given.value:.{given.scale}f}"))
    if isinstance(value, str | bytes):
        shown = (text(value) or "") if limit is None else value[: limit + 1]
        return text(shown)
    return _moment(value)


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value) if isinstance(value, date | time | timedelta) else repr(value)
