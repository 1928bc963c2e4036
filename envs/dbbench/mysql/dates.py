"""MySQL's functions of dates, for SQLite. What is no date is NULL.

There is no clock: now is always the same moment, so that a session can be rebuilt from its actions.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from envs.dbbench.mysql.faults import fail
from envs.dbbench.mysql.functions import Function, strict
from envs.dbbench.mysql.values import Value, integer, strict_now, text, truncated

NOW = datetime(2024, 1, 1, 12, 0, 0)
ZERO = "0000-00-00 00:00:00"
"""A moment before all others: compared in place of a text that is not a moment."""
DATE = re.compile(
    r"\s*(\d{4}|\d{1,2})[^\w\s](\d{1,2})[^\w\s](\d{1,2})(?!\d)"
    r"(?:[T\s]\s*(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?)?)?",
    re.ASCII,
)
COMPACT = re.compile(r"\s*(\d{2}(?:\d{2})?)(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?(?!\d)", re.ASCII)
CLOCK = re.compile(r"\s*-?(?:(\d{1,2})\s+)?(\d{1,3}):(\d{1,2})(?::(\d{1,2}))?(?!\d)", re.ASCII)
DIGITS = re.compile(r"\s*-?(\d{1,7})(?![\de])", re.ASCII)
LONGEST_TIME = 838
"""The most hours of a TIME."""
WEEKS = "UuVvXx"
"""Signs for weeks, which MySQL counts in several ways."""
NOT_OFFERED = 1235
WRONG_VALUE = 1411
CENTURY = 70
"""Years of two digits below this are of the years 2000."""
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
    """A text, or a number of digits, as a date and a time; None where it is neither."""
    given = text(value) or ""
    if isinstance(value, int):
        given = given.zfill(6) if len(given) <= 6 else given.zfill(8) if len(given) <= 8 else given.zfill(12)
    found = DATE.match(given) or COMPACT.match(given)
    try:
        if found:
            year, *rest = (int(part or 0) for part in found.groups())
            if len(found[1]) <= 2:
                year += 2000 if year < CENTURY else 1900
            return datetime(year, *rest)  # type: ignore[arg-type]
    except ValueError:
        pass
    if value is not None:
        truncated(value)
    return None


def clock(value: Value) -> tuple[int, int, int] | None:
    """The hours, minutes and seconds of a time, or of a date and a time; None where it is neither."""
    given = text(value) or ""
    found = CLOCK.match(given)
    if found:
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        hours += 24 * days
    elif _has_time(given):
        when = moment(value)
        return when and (when.hour, when.minute, when.second)
    else:
        digits = DIGITS.match(given)
        if digits is None:
            truncated(value)
            return None
        rest, seconds = divmod(int(digits[1]), 100)
        hours, minutes = divmod(rest, 100)
    if minutes > 59 or seconds > 59:
        truncated(value)
        return None
    return (hours, minutes, seconds) if hours <= LONGEST_TIME else (LONGEST_TIME, 59, 59)


def _has_time(given: str) -> bool:
    found = DATE.match(given) or COMPACT.match(given)
    return found is not None and found[4] is not None


def timed(place: int, *, dates: bool = False) -> Function:
    """HOUR, MINUTE or SECOND.

    Args:
        place: Which of the three.
        dates: Whether a date is taken for its midnight, as EXTRACT does.
    """

    def guarded(value: Value) -> Value:
        if dates and value is not None and DATE.match(text(value) or ""):
            when = moment(value)
            return when and (when.hour, when.minute, when.second)[place]
        found = clock(value) if value is not None else None
        return None if found is None else found[place]

    return guarded


def digits(value: Value) -> Value:
    """A moment as a number: 20010203, or 20010203101112."""
    if value is None:
        return None
    when, given = moment(value), text(value) or ""
    if when is None:
        return 0
    return int(when.strftime("%Y%m%d%H%M%S" if ":" in given else "%Y%m%d"))


def compared(value: Value) -> Value:
    """A moment or a text as it is compared with a moment."""
    if value is None:
        return None
    when = moment(value)
    return ZERO if when is None else when.strftime("%Y-%m-%d %H:%M:%S")


def from_days(value: Value) -> Value:
    """FROM_DAYS."""
    try:
        return date.fromordinal(integer(value) - DAYS_BEFORE_YEAR_ONE).strftime("%Y-%m-%d")
    except (ValueError, OverflowError):
        return None


def made(year: Value, day: Value) -> Value:
    """MAKEDATE."""
    given, count = integer(year), integer(day)
    if count < 1 or not 0 <= given <= 9999:
        return None
    given += 0 if given > 99 else 2000 if given < CENTURY else 1900
    try:
        return (date(given, 1, 1) + timedelta(days=count - 1)).strftime("%Y-%m-%d")
    except (ValueError, OverflowError):
        return None


def dated(function: Callable[..., Value]) -> Function:
    """A function whose first argument is a date."""

    def guarded(value: Value, *rest: Value) -> Value:
        when = moment(value)
        return None if when is None or None in rest else function(when, *rest)

    return guarded


def shift(when: datetime, count: Value, unit: Value, has_time: bool) -> Value:
    """A date so many units later."""
    name, amount = (text(unit) or "").upper(), integer(count)
    try:
        if name in MONTHS:
            months = when.year * 12 + when.month - 1 + amount * MONTHS[name]
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
    given = text(form) or ""
    if any(f"%{sign}" in given.replace("%%", "") for sign in WEEKS):
        fail(NOT_OFFERED, "This engine doesn't yet support 'weeks in DATE_FORMAT'")
    return re.sub(r"%.", lambda sign: _written(when, sign[0]), given)


def str_to_date(value: Value, form: Value) -> Value:
    """A text in a form of MySQL's, as a date."""
    given = text(form) or ""
    signs = SIGNS | UNPADDED
    python = re.sub(r"%.", lambda sign: signs.get(sign[0], sign[0][1:]), given)
    try:
        when = datetime.strptime((text(value) or "").strip(), python)
    except ValueError:
        if strict_now():
            fail(
                WRONG_VALUE,
                f"Incorrect datetime value: '{(text(value) or '')[:60]}' for function str_to_date",
            )
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
    "COMPARED_MOMENT": compared,
    "DATE": dated(lambda when: when.strftime("%Y-%m-%d")),
    "DATEDIFF": dated(datediff),
    "DATE_FORMAT": dated(date_format),
    "DAY": dated(lambda when: when.day),
    "DAYNAME": dated(lambda when: when.strftime("%A")),
    "DATETIME": dated(lambda when: when.strftime("%Y-%m-%d %H:%M:%S")),
    "DAYOFWEEK": dated(lambda when: when.isoweekday() % 7 + 1),
    "DAYOFYEAR": dated(lambda when: when.timetuple().tm_yday),
    "HOUR": timed(0),
    "LAST_DAY": dated(lambda when: f"{when:%Y-%m}-{_last_day(when.year, when.month):02d}"),
    "MINUTE": timed(1),
    "MONTH": dated(lambda when: when.month),
    "MONTHNAME": dated(lambda when: when.strftime("%B")),
    "NOW": lambda: NOW.strftime("%Y-%m-%d %H:%M:%S"),
    "QUARTER": dated(lambda when: (when.month + 2) // 3),
    "SECOND": timed(2),
    "EXTRACT_HOUR": timed(0, dates=True),
    "EXTRACT_MINUTE": timed(1, dates=True),
    "EXTRACT_SECOND": timed(2, dates=True),
    "FROM_DAYS": strict(from_days),
    "MAKEDATE": strict(made),
    "MOMENT_NUMBER": digits,
    "STR_TO_DATE": strict(str_to_date),
    "TO_DAYS": dated(lambda when: when.toordinal() + DAYS_BEFORE_YEAR_ONE),
    "UNIX_TIMESTAMP": lambda: int(NOW.replace(tzinfo=UTC).timestamp()),
    "WEEKDAY": dated(lambda when: when.weekday()),
    "YEAR": dated(lambda when: when.year),
}
"""What an agent may call, by MySQL's names."""
