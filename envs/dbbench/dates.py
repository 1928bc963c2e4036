"""MySQL's functions of dates, for SQLite. What is no date is NULL.

There is no clock: now is always the same moment, so that a session can be rebuilt from its actions.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

from envs.dbbench.functions import Function, strict
from envs.dbbench.values import Value, number, text, truncated

NOW = datetime(2024, 1, 1, 12, 0, 0)
DATE = re.compile(r"\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T\s]+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?)?")
COMPACT = re.compile(r"\s*(\d{4})(\d{2})(\d{2})\s*$")
DAYS_BEFORE_YEAR_ONE = 365
MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}
SIGNS = {
    "%a": "%a", "%b": "%b", "%d": "%d", "%f": "%f", "%H": "%H", "%h": "%I", "%I": "%I", "%i": "%M",
    "%j": "%j", "%M": "%B", "%m": "%m", "%p": "%p", "%r": "%I:%M:%S %p", "%S": "%S", "%s": "%S",
    "%T": "%H:%M:%S", "%W": "%A", "%w": "%w", "%Y": "%Y", "%y": "%y", "%%": "%%",
}  # fmt: skip
"""MySQL's signs in a date's form, and Python's."""
UNPADDED = {"%e": "%d", "%c": "%m", "%k": "%H", "%l": "%I"}
"""Signs that are written without a leading zero."""


def moment(value: Value) -> datetime | None:
    """A text as a date and a time; None where it is none."""
    given = text(value) or ""
    found = DATE.match(given) or COMPACT.match(given)
    try:
        if found:
            return datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[misc]
    except ValueError:
        pass
    if value is not None:
        truncated(value)
    return None


def dated(function: Callable[..., Value]) -> Function:
    """A function whose first argument is a date."""

    def guarded(value: Value, *rest: Value) -> Value:
        when = moment(value)
        return None if when is None or None in rest else function(when, *rest)

    return guarded


def shift(when: datetime, count: Value, unit: Value, has_time: bool) -> Value:
    """A date so many units later."""
    name, amount = (text(unit) or "").upper(), number(count)
    try:
        if name in MONTHS:
            months = when.year * 12 + when.month - 1 + int(amount) * MONTHS[name]
            year, month = divmod(months, 12)
            day = min(when.day, _last_day(year, month + 1))
            moved = when.replace(year=year, month=month + 1, day=day)
        elif name in SECONDS:
            moved = when + timedelta(seconds=amount * SECONDS[name])
        else:
            return None
    except (ValueError, OverflowError):
        return None
    timed = has_time or name in ("SECOND", "MINUTE", "HOUR")
    return moved.strftime("%Y-%m-%d %H:%M:%S" if timed else "%Y-%m-%d")


def date_add(value: Value, count: Value, unit: Value) -> Value:
    """`value + INTERVAL count unit`."""
    when = moment(value)
    if when is None or count is None:
        return None
    return shift(when, count, unit, ":" in (text(value) or ""))


def date_format(when: datetime, form: Value) -> Value:
    """A date in a form of MySQL's."""
    return re.sub(r"%.", lambda sign: _written(when, sign[0]), text(form) or "")


def str_to_date(value: Value, form: Value) -> Value:
    """A text in a form of MySQL's, as a date."""
    given = text(form) or ""
    signs = SIGNS | UNPADDED
    python = re.sub(r"%.", lambda sign: signs.get(sign[0], sign[0][1:]), given)
    try:
        when = datetime.strptime((text(value) or "").strip(), python)
    except ValueError:
        truncated(value)
        return None
    timed = bool(re.search(r"%[HhIikklrSsTf]", given))
    return when.strftime("%Y-%m-%d %H:%M:%S" if timed else "%Y-%m-%d")


def difference(unit: Value, one: Value, other: Value) -> Value:
    """TIMESTAMPDIFF: whole units from one date to another."""
    start, end, name = moment(one), moment(other), (text(unit) or "").upper()
    if start is None or end is None:
        return None
    if name in MONTHS:
        months = (end.year - start.year) * 12 + end.month - start.month
        inside = (end.day, end.time()) < (start.day, start.time())
        months -= (
            inside if months > 0 else -((end.day, end.time()) > (start.day, start.time()) and months < 0)
        )
        return int(months / MONTHS[name])
    return int((end - start).total_seconds() / SECONDS[name]) if name in SECONDS else None


def datediff(when: datetime, other: Value) -> Value:
    """Days between two dates."""
    then = moment(other)
    return None if then is None else (when.date() - then.date()).days


def part(unit: str, value: Value) -> Value:
    """EXTRACT."""
    function = DATES.get(unit.upper())
    return function(value) if function else None


def _last_day(year: int, month: int) -> int:
    return (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day


def _written(when: datetime, sign: str) -> str:
    if sign == "%D":
        tail = "th" if 4 <= when.day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(when.day % 10, "th")
        return f"{when.day}{tail}"
    if sign in UNPADDED:
        return str(int(when.strftime(UNPADDED[sign])))
    return when.strftime(SIGNS[sign]) if sign in SIGNS else sign[1:]


DATES: dict[str, Function] = {
    "CURDATE": lambda: NOW.strftime("%Y-%m-%d"),
    "CURRENT_DATE": lambda: NOW.strftime("%Y-%m-%d"),
    "CURRENT_TIMESTAMP": lambda: NOW.strftime("%Y-%m-%d %H:%M:%S"),
    "DATE": dated(lambda when: when.strftime("%Y-%m-%d")),
    "DATEDIFF": dated(datediff),
    "DATE_FORMAT": dated(date_format),
    "DAY": dated(lambda when: when.day),
    "DAYNAME": dated(lambda when: when.strftime("%A")),
    "DAYOFMONTH": dated(lambda when: when.day),
    "DAYOFWEEK": dated(lambda when: when.isoweekday() % 7 + 1),
    "DAYOFYEAR": dated(lambda when: when.timetuple().tm_yday),
    "HOUR": dated(lambda when: when.hour),
    "LAST_DAY": dated(lambda when: f"{when:%Y-%m}-{_last_day(when.year, when.month):02d}"),
    "MINUTE": dated(lambda when: when.minute),
    "MONTH": dated(lambda when: when.month),
    "MONTHNAME": dated(lambda when: when.strftime("%B")),
    "NOW": lambda: NOW.strftime("%Y-%m-%d %H:%M:%S"),
    "QUARTER": dated(lambda when: (when.month + 2) // 3),
    "SECOND": dated(lambda when: when.second),
    "STR_TO_DATE": strict(str_to_date),
    "TO_DAYS": dated(lambda when: when.toordinal() + DAYS_BEFORE_YEAR_ONE),
    "WEEKDAY": dated(lambda when: when.weekday()),
    "YEAR": dated(lambda when: when.year),
}
"""What an agent may call, by MySQL's names."""
