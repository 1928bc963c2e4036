"""MySQL's rules for values: how a text is read as a number, compared, and written."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from functools import lru_cache

from envs.dbbench.mysql import decimals
from envs.dbbench.mysql.decimals import TAG, Exact, Fixed, Number
from envs.dbbench.mysql.faults import fail

Value = str | int | float | bytes | None

NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(\s*\Z)?", re.ASCII)
INTEGER = re.compile(r"\s*([+-]?\d{1,20})(\s*\Z)?", re.ASCII)
LETTERS_END = 0x0530
"""Letters from here on (Hebrew, Arabic, Han, Hangul ...) have no base letter in MySQL's general collation."""
MORE_LETTERS = range(0x1E00, 0x2000)
LAST_OF_BMP = 0xFFFF
REPLACEMENT = "\ufffd"
UNLIKE_BASE = {"ß": "S", "й": "Й", "Й": "Й"}
"""Letters whose weight is not their base letter's."""
EXACT_DIGITS = 10**15
"""From here on MySQL writes a double with an exponent."""
MOST_PLACES = 15
"""A double with its point farther from its first digit is written with an exponent (MySQL's `DBL_DIG`)."""
LARGEST_DOUBLE = 1.7976931348623157e308
TRUNCATED = 1292


_STRICT: ContextVar[bool] = ContextVar("strict", default=False)


@contextmanager
def strictly(strict: bool) -> Iterator[None]:
    """Within this, texts are read as MySQL does in a statement that changes rows."""
    token = _STRICT.set(strict)
    try:
        yield
    finally:
        _STRICT.reset(token)


def strict_now() -> bool:
    """Whether the statement changes rows, so that MySQL takes no text for what it is not."""
    return _STRICT.get()


def truncated(value: Value) -> None:
    """Refuse a text that is not what it is read as, where the statement changes rows.

    Raises:
        SqlError: The statement changes rows.
    """
    if _STRICT.get():
        fail(TRUNCATED, f"Truncated incorrect value: '{(text(value) or '')[:60]}'")


def number(value: Value) -> Number:
    """A value as a number: a text's longest beginning that is one, else 0.

    Raises:
        SqlError: The text has more to it, and the statement changes rows.
    """
    if isinstance(value, int | float):
        return value
    if value is None:
        return 0
    if isinstance(value, str) and value[:1] == TAG:
        return decimals.read(value)
    found = NUMBER.match(text(value) or "")
    if found is None or found[2] is None:
        truncated(value)
    return max(-LARGEST_DOUBLE, min(float(found[1]), LARGEST_DOUBLE)) if found else 0.0


def integer(value: Value) -> int:
    """A value as an integer: a decimal is rounded, a double to the even one, of a text the digits count.

    Raises:
        SqlError: The text has more to it, and the statement changes rows.
    """
    if isinstance(value, str | bytes) and not (isinstance(value, str) and value[:1] == TAG):
        found = INTEGER.match(text(value) or "")
        if found is None or found[2] is None:
            truncated(value)
        return int(found[1]) if found else 0
    given = number(value)
    if isinstance(given, Exact):
        return int(decimals.quantized(given.value, 0))
    return given if isinstance(given, int) else round(decimals.double(given))


def text(value: Value) -> str | None:
    """A value as MySQL writes it."""
    if isinstance(value, str):
        return value if value[:1] != TAG else _number_text(decimals.read(value))
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").replace(TAG, REPLACEMENT)
    return str(value) if isinstance(value, int) else _double_text(value)


def _number_text(value: Exact | Fixed) -> str:
    return f"{value.rounded:f}" if isinstance(value, Exact) else f"{value.value:.{value.scale}f}"


def _double_text(value: float) -> str:
    """A double as MySQL writes it (`my_gcvt`)."""
    digits, _, _ = f"{value!r}e".partition("e")
    mantissa = digits.lstrip("-").replace(".", "").lstrip("0").rstrip("0") or "0"
    if mantissa == "0":
        return "0"
    point = Decimal(repr(value)).adjusted() + 1
    sign = "-" if value < 0 else ""
    if point > MOST_PLACES or point < 1 - MOST_PLACES:
        fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
        return f"{sign}{mantissa[0]}{fraction}e{point - 1}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{mantissa}"
    if point >= len(mantissa):
        return sign + mantissa.ljust(point, "0")
    return f"{sign}{mantissa[:point]}.{mantissa[point:]}"


def whole(value: int | float) -> int | float:
    """A number without a fraction of zero."""
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_DIGITS:
        return int(value)
    return value


def compare(one: Value, other: Value, *, rounded: bool = True) -> int | None:
    """Negative, zero or positive; None where one of them is NULL.

    Two texts are compared by the collation, exact numbers exactly, and else numbers as doubles.

    Args:
        one: A value.
        other: Another.
        rounded: Whether decimals count as they are shown, as in all comparisons but BETWEEN and CASE.
    """
    if one is None or other is None:
        return None
    if isinstance(one, str) and isinstance(other, str):
        if one[:1] != TAG and other[:1] != TAG:
            return _order(weight(one), weight(other))
    elif _is_text(one) and _is_text(other):
        return _order(_binary(one), _binary(other))
    return compare_numbers(number(one), number(other), rounded=rounded)


def compare_numbers(one: Number, other: Number, *, rounded: bool = True) -> int:
    """Negative, zero or positive; exact numbers are compared exactly."""
    if decimals.inexact(one) or decimals.inexact(other):
        return _order(decimals.double(one), decimals.double(other))
    if isinstance(one, int) and isinstance(other, int):
        return _order(one, other)
    left, right = decimals.exact(one), decimals.exact(other)
    return _order(left.rounded, right.rounded) if rounded else _order(left.value, right.value)


def collate(one: str, other: str) -> int:
    """Compare two texts as `utf8mb4_general_ci` does, and decimals as numbers, for SQLite."""
    if one[:1] == TAG and other[:1] == TAG:
        return compare_numbers(decimals.read(one), decimals.read(other))
    return _order(weight(one), weight(other))


def weight(value: str) -> str:
    """What the collation compares: upper case, accents dropped, blanks at the end not counted."""
    stripped = value.rstrip(" ")
    return stripped.upper() if stripped.isascii() else folded(stripped)


def folded(value: str) -> str:
    """A text's letters as the collation sees them, one each."""
    return "".join(map(letter, value))


@lru_cache(maxsize=8192)
def letter(character: str) -> str:
    """One character as `utf8mb4_general_ci` sees it."""
    code = ord(character)
    if code > LAST_OF_BMP:
        return REPLACEMENT
    if character in UNLIKE_BASE:
        return UNLIKE_BASE[character]
    if code < LETTERS_END or code in MORE_LETTERS:
        base = unicodedata.normalize("NFD", character)
        if len(base) > 1 and all(unicodedata.combining(mark) for mark in base[1:]):
            character = base[0]
    upper = character.upper()
    return upper if len(upper) == 1 else character


def _is_text(value: Value) -> bool:
    return isinstance(value, bytes) or (isinstance(value, str) and value[:1] != TAG)


def _binary(value: Value) -> bytes:
    return value if isinstance(value, bytes) else (text(value) or "").encode()


def _order(one: object, other: object) -> int:
    return (one > other) - (one < other)  # type: ignore[operator]
