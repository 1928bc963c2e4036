"""The verdict, 1 or 0: AgentBench's rules (`dbbench/result_processor.py`) with their faults mended.

README.md lists what was mended and for which records it makes a difference.
"""

import hashlib
import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from envs.dbbench.engines.port import Row
from envs.dbbench.literals import Literal, read_literal

NOTHING = frozenset(("none", "null", "undefined", "nan", ""))
"""Ways to write that there is no value."""
TOLERANCE = 1e-2
"""Numbers that differ by no more are equal (AgentBench's)."""
HASH_LETTERS = 5
LONGEST_HASH = 1024
"""The official checksums were made of so many characters of row hashes (MySQL's `group_concat_max_len`)."""
Plain = str | float | None


def answers(text: str) -> list[str | None]:
    """An answer's values: a list in JSON or Python, rows as shown, or one value; nothing is evaluated."""
    given = text.strip()
    if given[:1] in ("[", "(") and given[-1:] in ("]", ")"):
        found = read_literal(given)
        if found is not None:
            return list(_flat(found))
        return _split(given[1:-1])
    return [_bare(given)]


def correct(answer: str, label: Sequence[str | None]) -> bool:
    """Whether an answer is the label.

    One value is compared with one; several as numbers, each once, or else as sets.
    """
    given, wanted = [plain(value) for value in answers(answer)], [plain(value) for value in label]
    if _none(given) or _none(wanted):
        return _none(given) and _none(wanted)
    if len(given) == 1 and len(wanted) == 1:
        return same(given[0], wanted[0])
    if all(isinstance(value, float) for value in (*given, *wanted)):
        return len(given) == len(wanted) and _paired(_numbers(given), _numbers(wanted))
    return _within(given, wanted) and _within(wanted, given)


def plain(value: str | None) -> Plain:
    """A value as it is compared: None for no value, a number, or a text without commas."""
    stripped = (value or "").strip().strip("'\"").strip()
    if stripped.lower() in NOTHING:
        return None
    bare = stripped.removesuffix("%").strip() if stripped.endswith("%") else stripped.replace(",", "")
    try:
        number = float(bare) if bare.isascii() and "_" not in bare else math.inf
    except ValueError:
        return bare
    return number if math.isfinite(number) else bare


def same(one: Plain, other: Plain) -> bool:
    """Whether two values are equal: numbers within the tolerance."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= TOLERANCE
    return one == other


def digest(rows: Iterable[Row], cut: int | None = None) -> str:
    """A table's checksum: MD5 of its rows' hashes in order.

    Args:
        rows: What it holds.
        cut: After so many characters the hashes are cut, as MySQL does when it joins them.
    """
    hashes = sorted(
        _md5(",".join(value for value in row if value is not None))[:HASH_LETTERS] for row in rows
    )
    return _md5(",".join(hashes)[:cut])


def official(answer_md5: object) -> tuple[str, ...]:
    """The checksums of a record's `answer_md5`, one a table, in order."""
    return tuple(sorted(re.findall(r"\b[0-9a-f]{32}\b", str(answer_md5 or ""))))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _flat(values: Iterable[Literal]) -> Iterable[str | None]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _split(text: str) -> list[str | None]:
    """Values that commas part, where quotes do not hold them together; read once from left to right."""
    parts: list[str | None] = []
    start = at = 0
    fresh = True
    while at <= len(text):
        sign = text[at : at + 1]
        if sign in ("", ","):
            if text[start:at].strip():
                parts.append(_bare(text[start:at]))
            start = at = at + 1
            fresh = True
        elif fresh and sign in "'\"":
            at, fresh = _quoted_end(text, at), False
        else:
            fresh = fresh and sign.isspace()
            at += 1
    return parts


def _quoted_end(text: str, at: int) -> int:
    """Where a quoted value ends; behind its first sign where no quote closes it before a comma or the end."""
    place = at + 1
    while place < len(text) and text[place] != text[at]:
        place += 2 if text[place] == "\\" else 1
    if place >= len(text):
        return at + 1
    behind = place + 1
    while behind < len(text) and text[behind].isspace():
        behind += 1
    return place + 1 if text[behind : behind + 1] in ("", ",") else at + 1


def _bare(text: str) -> str:
    stripped = text.strip()
    quoted = len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in "'\""
    return stripped[1:-1] if quoted else stripped


def _none(values: Sequence[Plain]) -> bool:
    return all(value is None for value in values)


def _numbers(values: Sequence[Plain]) -> list[float]:
    """The numbers among values, in order."""
    return sorted(value for value in values if isinstance(value, float))


def _paired(given: Sequence[float], wanted: Sequence[float]) -> bool:
    """Whether each number has one of its own beside it: in order, as many as there can be are found."""
    return all(same(one, other) for one, other in zip(given, wanted, strict=True))


def _within(some: Sequence[Plain], others: Sequence[Plain]) -> bool:
    """Whether each value is among the others; a number is looked up in their order."""
    texts = {value for value in others if not isinstance(value, float)}
    numbers = _numbers(others)
    for value in some:
        if not isinstance(value, float):
            if value not in texts:
                return False
            continue
        place = bisect_left(numbers, value)
        if not any(same(value, other) for other in numbers[max(0, place - 1) : place + 1]):
            return False
    return True
