"""Regular expressions of MySQL 8 (ICU), read sign by sign and written for Python's `re`.

What both mean alike is translated; everything else is refused under MySQL's number. Letters' case counts
where the text has the collation utf8mb4_bin, or where the match type sets it.
"""

import re
import sys
from collections.abc import Callable
from functools import lru_cache

from envs.dbbench.mysql.faults import fail
from envs.dbbench.mysql.values import Value, integer, text

ILLEGAL, BAD_ESCAPE, NOT_OFFERED, NO_PARENTHESIS, BAD_INTERVAL = 3685, 3689, 3690, 3691, 3692
MAX_BELOW_MIN, BAD_REFERENCE, NO_BRACKET, BAD_RANGE = 3693, 3694, 3696, 3697
MOST_REPEATS = 1000
SHORT = frozenset("dDwWsS")
CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
POSIX: dict[str, Callable[[str], bool]] = {
    "alpha": str.isalpha,
    "digit": str.isdecimal,
    "alnum": lambda sign: sign.isalpha() or sign.isdecimal(),
    "upper": str.isupper,
    "lower": str.islower,
    "space": str.isspace,
    "blank": lambda sign: sign in " \t\u00a0\u3000",
    "punct": lambda sign: sign.isprintable() and not sign.isalnum() and not sign.isspace(),
    "cntrl": lambda sign: sign < " " or "\x7f" <= sign <= "\x9f",
    "xdigit": lambda sign: sign in "0123456789abcdefABCDEF",
    "print": lambda sign: sign == " " or sign.isprintable(),
    "graph": lambda sign: sign != " " and sign.isprintable(),
}
"""POSIX classes by name."""


@lru_cache(maxsize=256)
def compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """A pattern for Python.

    Raises:
        SqlError: MySQL would refuse it, or Python has nothing that means the same.
    """
    if not pattern:
        fail(ILLEGAL, "Illegal argument to a regular expression.")
    try:
        return re.compile(_Pattern(pattern).written(), flags)
    except (re.error, OverflowError, RecursionError) as error:
        return fail(NOT_OFFERED, f"The regular expression is not offered ({error}).")


def flags(match_type: str, *, exact: bool) -> int:
    """Return a match type (`c`, `i`, `m`, `n`) as Python's flags.

    Raises:
        SqlError: It has another letter.
    """
    found = 0 if exact else re.IGNORECASE
    for sign in match_type:
        match sign:
            case "c":
                found &= ~re.IGNORECASE
            case "i":
                found |= re.IGNORECASE
            case "m":
                found |= re.MULTILINE
            case "n":
                found |= re.DOTALL
            case _:
                fail(1210, "Incorrect arguments to regexp_like")
    return found


def matches(value: Value, pattern: Value, match_type: Value = "") -> Value:
    """`REGEXP`, `REGEXP_LIKE`."""
    if value is None or pattern is None or match_type is None:
        return None
    return int(_of(value, pattern, match_type).search(text(value) or "") is not None)


def find(value: Value, pattern: Value, *rest: Value) -> re.Match[str] | None:
    """Return the match for `REGEXP_SUBSTR` and `REGEXP_INSTR`; position and occurrence count from 1."""
    start, occurrence = (integer(part) for part in (*rest[:2], 1, 1)[:2])
    given = text(value) or ""
    if not 0 < start <= len(given) + 1:
        fail(3686, "Index out of bounds in regular expression search.")
    at = start - 1
    found: re.Match[str] | None = None
    search = _of(value, pattern, rest[2] if len(rest) > 2 else "")
    for _ in range(max(1, occurrence)):
        found = search.search(given, at)
        if found is None:
            return None
        at = found.end() if found.end() > found.start() else found.end() + 1
        if at > len(given) + 1:
            return None
    return found


def substring(value: Value, pattern: Value, *rest: Value) -> Value:
    """`REGEXP_SUBSTR`; NULL where nothing matches, as in MySQL (an empty text in MariaDB)."""
    if None in (value, pattern, *rest):
        return None
    found = find(value, pattern, *rest)
    return found[0] if found else None


def position(value: Value, pattern: Value, *rest: Value) -> Value:
    """`REGEXP_INSTR` with at most position and occurrence."""
    if None in (value, pattern, *rest):
        return None
    found = find(value, pattern, *rest)
    return found.start() + 1 if found else 0


def replaced(value: Value, pattern: Value, by: Value) -> Value:
    """`REGEXP_REPLACE`: `$1` is a group in what stands instead, as in MySQL; MariaDB has a backslash."""
    if None in (value, pattern, by):
        return None
    search, parts = _of(value, pattern, ""), _parts(text(by) or "")
    if any(isinstance(part, int) and part > search.groups for part in parts):
        fail(3686, "Index out of bounds in regular expression search.")

    def written(match: re.Match[str]) -> str:
        return "".join((match[part] or "") if isinstance(part, int) else part for part in parts)

    return search.sub(written, text(value) or "")


def _of(value: Value, pattern: Value, match_type: Value) -> re.Pattern[str]:
    exact = isinstance(value, bytes) or isinstance(pattern, bytes)
    return compiled(text(pattern) or "", flags(text(match_type) or "", exact=exact))


def _parts(by: str) -> list[str | int]:
    parts: list[str | int] = []
    at = 0
    while at < len(by):
        if by[at] == "\\" and at + 1 < len(by):
            parts.append(by[at + 1])
            at += 2
        elif by[at] == "$" and by[at + 1 : at + 2].isdecimal():
            parts.append(int(by[at + 1]))
            at += 2
        elif by[at] == "$":
            fail(ILLEGAL, "Illegal argument to a regular expression.")
        else:
            parts.append(by[at])
            at += 1
    return parts


@lru_cache(maxsize=len(POSIX))
def _ranges(name: str) -> str:
    """The characters of a POSIX class, as ranges in brackets."""
    test, parts, first = POSIX[name], [], -1
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and test(chr(code))
        if inside and first < 0:
            first = code
        elif not inside and first >= 0:
            parts.append(f"\\U{first:08x}" + (f"-\\U{code - 1:08x}" if code - 1 > first else ""))
            first = -1
    return "".join(parts)


class _Pattern:
    """One pattern, read from its first sign to its last."""

    def __init__(self, pattern: str) -> None:
        self._given = pattern
        self._at = 0
        self._open: list[bool] = []
        self._groups = 0
        self._closed: set[int] = set()
        self._numbers: list[int] = []

    def written(self) -> str:
        """The pattern for Python."""
        parts: list[str] = []
        repeatable = False
        while self._at < len(self._given):
            sign = self._given[self._at]
            if sign in "*+?{":
                if not repeatable:
                    fail(3688, f"Syntax error in regular expression on line 1, character {self._at + 1}.")
                parts.append(self._quantifier())
                repeatable = False
                continue
            part, repeatable = self._atom(sign)
            parts.append(part)
        if self._numbers:
            fail(NO_PARENTHESIS, "Mismatched parenthesis in regular expression.")
        return "".join(parts)

    def _atom(self, sign: str) -> tuple[str, bool]:
        self._at += 1
        match sign:
            case "(":
                return self._group(), False
            case ")":
                if not self._numbers:
                    fail(NO_PARENTHESIS, "Mismatched parenthesis in regular expression.")
                self._closed.add(self._numbers.pop())
                return ")", True
            case "|":
                return "|", False
            case "^":
                return "^", False
            case "$":
                return "$", False
            case ".":
                return ".", True
            case "[":
                return self._bracket(), True
            case "\\":
                return self._escape(inside=False)
            case _:
                return re.escape(sign), True

    def _group(self) -> str:
        if not self._given.startswith("?", self._at):
            self._groups += 1
            self._numbers.append(self._groups)
            return "("
        for opening in ("?:", "?=", "?!"):
            if self._given.startswith(opening, self._at):
                self._at += len(opening)
                self._numbers.append(0)
                return f"({opening}"
        return fail(NOT_OFFERED, "The regular expression contains a feature that is not offered.")

    def _quantifier(self) -> str:
        sign = self._given[self._at]
        self._at += 1
        if sign == "{":
            found = INTERVAL.match(self._given, self._at)
            if found is None:
                fail(BAD_INTERVAL, "Incorrect description of a {min,max} interval.")
            low, high = int(found[1]), int(found[3]) if found[3] else None
            if low > MOST_REPEATS or (high or 0) > MOST_REPEATS:
                fail(BAD_INTERVAL, "Incorrect description of a {min,max} interval.")
            if high is not None and high < low:
                fail(MAX_BELOW_MIN, "The maximum is less than the minumum in a {min,max} interval.")
            self._at = found.end()
            sign = "{" + found[0]
        following = self._given[self._at : self._at + 1]
        if following and following in "?+":
            self._at += 1
            return sign + following
        return sign

    def _escape(self, *, inside: bool) -> tuple[str, bool]:
        sign = self._given[self._at : self._at + 1]
        self._at += 1
        if not sign:
            fail(BAD_ESCAPE, "Unrecognized escape sequence in regular expression.")
        if sign in SHORT:
            return f"\\{sign}", True
        if sign in CONTROLS:
            return re.escape(CONTROLS[sign]), True
        if not inside and sign in "bBAZz":
            return {"z": r"\Z", "Z": r"(?=\n?\Z)"}.get(sign, f"\\{sign}"), False
        if not inside and sign.isdecimal() and sign != "0":
            if int(sign) not in self._closed:
                fail(BAD_REFERENCE, "Invalid back-reference in regular expression.")
            return f"(?:\\{sign})", True
        if sign.isalnum():
            fail(BAD_ESCAPE, "Unrecognized escape sequence in regular expression.")
        return re.escape(sign), True

    def _bracket(self) -> str:
        opening = "[^" if self._given.startswith("^", self._at) else "["
        self._at += len(opening) - 1
        parts: list[str] = []
        last: str | None = None
        first = True
        while True:
            sign = self._given[self._at : self._at + 1]
            if not sign:
                fail(NO_BRACKET, "Missing a close bracket in regular expression.")
            if sign == "]" and not first:
                self._at += 1
                return f"{opening}{''.join(parts)}]"
            first = False
            if sign == "-" and last is not None and self._given[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                end = self._single()
                if end is None or end < last:
                    fail(BAD_RANGE, "The range is not valid in a character class.")
                parts.append(f"-{re.escape(end)}")
                last = None
                continue
            if sign == "[":
                parts.append(self._posix())
                last = None
                continue
            if sign == "\\" and self._given[self._at + 1 : self._at + 2] in SHORT:
                self._at += 1
                parts.append(self._escape(inside=True)[0])
                last = None
                continue
            if self._given.startswith(("&&", "--"), self._at):
                fail(NOT_OFFERED, "The regular expression contains a feature that is not offered.")
            last = self._single()
            parts.append(re.escape(last or "") if last != "^" else r"\^")

    def _single(self) -> str | None:
        """One character in brackets."""
        sign = self._given[self._at : self._at + 1]
        if sign == "[":
            return None
        self._at += 1
        if sign != "\\":
            return sign
        if self._given[self._at : self._at + 1] in SHORT:
            return None
        return re.sub(r"\\(.)", r"\1", self._escape(inside=True)[0], flags=re.DOTALL)

    def _posix(self) -> str:
        found = NAMED.match(self._given, self._at)
        if found is None or found[2] not in POSIX:
            fail(ILLEGAL, "Illegal argument to a regular expression.")
        if found[1]:
            fail(NOT_OFFERED, "The regular expression contains a feature that is not offered.")
        self._at = found.end()
        return _ranges(found[2])


INTERVAL = re.compile(r"(\d{1,5})(,(\d{0,5}))?\}", re.ASCII)
NAMED = re.compile(r"\[:(\^?)([a-z]{1,8}):\]")
