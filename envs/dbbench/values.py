"""MySQL's rules for values: how a text is read as a number, compared, and written."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

Value = str | int | float | bytes | None

NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(\s*\Z)?", re.ASCII)
LETTERS_END = 0x0530
"""Letters from here on (Hebrew, Arabic, Han, Hangul ...) have no base letter in MySQL's general collation."""
MORE_LETTERS = range(0x1E00, 0x2000)
LAST_OF_BMP = 0xFFFF
REPLACEMENT = "\ufffd"
UNLIKE_BASE = {"ß": "S", "й": "Й", "Й": "Й"}
"""Letters whose weight is not their base letter's."""
EXACT_DIGITS = 10**15
"""From here on MySQL writes a double with an exponent."""


class TruncatedError(ValueError):
    """A text that is no number, or no date, where MySQL's strict mode takes no other."""


_STRICT: ContextVar[bool] = ContextVar("strict", default=False)


@contextmanager
def strictly(strict: bool) -> Iterator[None]:
    """Within this, texts are read as MySQL does in a statement that changes rows."""
    token = _STRICT.set(strict)
    try:
        yield
    finally:
        _STRICT.reset(token)


def truncated(value: Value) -> None:
    """Tell of a text that is not what it is read as.

    Raises:
        TruncatedError: The statement changes rows.
    """
    if _STRICT.get():
        raise TruncatedError(value)


def number(value: Value) -> int | float:
    """A value as a number: a text's longest beginning that is one, else 0.

    Raises:
        TruncatedError: The text has more to it, and the statement changes rows.
    """
    if isinstance(value, int | float):
        return value
    if value is None:
        return 0
    found = NUMBER.match(text(value) or "")
    if found is None or found[2] is None:
        truncated(value)
    return float(found[1]) if found else 0


def text(value: Value) -> str | None:
    """A value as MySQL writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    plain = whole(value)
    return str(plain) if isinstance(plain, int) else repr(plain)


def whole(value: int | float) -> int | float:
    """A number without a fraction of zero."""
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_DIGITS:
        return int(value)
    return value


def compare(one: Value, other: Value) -> int | None:
    """Negative, zero or positive; None where one of them is NULL.

    Two texts are compared by the collation; a text and a number as numbers.
    """
    if one is None or other is None:
        return None
    if isinstance(one, bytes) or isinstance(other, bytes):
        return _order(_binary(one), _binary(other))
    if isinstance(one, str) and isinstance(other, str):
        return _order(weight(one), weight(other))
    return _order(number(one), number(other))


def collate(one: str, other: str) -> int:
    """Compare two texts as `utf8mb4_general_ci` does, for SQLite."""
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


def _binary(value: Value) -> bytes:
    return value if isinstance(value, bytes) else (text(value) or "").encode()


def _order(one: object, other: object) -> int:
    return (one > other) - (one < other)  # type: ignore[operator]
