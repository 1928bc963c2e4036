"""The verdict, 1 or 0: AgentBench's rules (`dbbench/result_processor.py`) with their faults mended.

README.md lists what was mended and for which records it makes a difference.
"""

import ast
import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence

from envs.dbbench.port import Row

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
        found = _literal(given)
        if isinstance(found, list | tuple):
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
        return len(given) == len(wanted) and _paired(given, wanted)
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


def _literal(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _flat(values: Iterable[object]) -> Iterable[str | None]:
    for value in values:
        if isinstance(value, list | tuple):
            for inner in value:
                yield None if inner is None else str(inner)
        else:
            yield None if value is None else str(value)


def _split(text: str) -> list[str | None]:
    """Values that commas part, where quotes do not hold them together."""
    parts = re.findall(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^,]+)\s*(?:,|\Z)""", text)
    return [_bare(part) for part in parts]


def _bare(text: str) -> str:
    stripped = text.strip()
    quoted = len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in "'\""
    return stripped[1:-1] if quoted else stripped


def _none(values: Sequence[Plain]) -> bool:
    return all(value is None for value in values)


def _paired(given: Sequence[Plain], wanted: Sequence[Plain]) -> bool:
    left = list(wanted)
    for value in given:
        match = next((place for place, other in enumerate(left) if same(value, other)), None)
        if match is None:
            return False
        del left[match]
    return True


def _within(some: Sequence[Plain], others: Sequence[Plain]) -> bool:
    return all(any(same(value, other) for other in others) for value in some)
