"""Samples texts that a regular expression matches in full.

No library does this here: `exrex` is under the AGPL and draws from Python's global source of random numbers,
whereas an answer of the scripted engine depends on its request alone.
"""

import random
import re
import string
from collections.abc import Iterable
from typing import Any, cast

_LETTERS = string.ascii_lowercase
_PRINTABLE = string.ascii_letters + string.digits + " .,-_"
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_lowercase,
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": _LETTERS,
    "CATEGORY_NOT_WORD": " ",
    "CATEGORY_NOT_SPACE": _LETTERS,
}
_MORE = 6
"""At most this many repeats over the least that the pattern requires."""
_TRIES = 200


def sample(pattern: str, source: random.Random) -> str:
    """Return a text that the whole of a pattern matches.

    Raises:
        ValueError: None was found, as for a pattern with look-arounds that exclude most texts.
    """
    # The standard library's own parser of patterns: there is no public one.
    parser = cast(Any, re)._parser
    tree = parser.parse(pattern)
    for _ in range(_TRIES):
        text = _Sampler(source).sequence(tree)
        if re.fullmatch(pattern, text):
            return text
    raise ValueError(f"found no text that matches {pattern!r}")


class _Sampler:
    """Walks a parsed pattern and writes a text for it."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.groups: dict[int, str] = {}

    def sequence(self, items: Iterable[Any]) -> str:
        return "".join(self.item(str(code), value) for code, value in items)

    def item(self, code: str, value: Any) -> str:
        match code:
            case "LITERAL":
                return chr(value)
            case "NOT_LITERAL":
                return self._other_than({chr(value)})
            case "ANY":
                return self.source.choice(_LETTERS)
            case "IN":
                return self._one_of(value)
            case "BRANCH":
                return self.sequence(self.source.choice(value[1]))
            case "SUBPATTERN":
                text = self.sequence(value[3])
                if value[0] is not None:
                    self.groups[value[0]] = text
                return text
            case "GROUPREF":
                return self.groups.get(value, "")
            case "ATOMIC_GROUP":
                return self.sequence(value)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, body = value
                times = self.source.randint(least, min(int(most), least + _MORE))
                return "".join(self.sequence(body) for _ in range(times))
            case _:  # anchors and look-arounds take no text
                return ""

    def _one_of(self, members: list[Any]) -> str:
        allowed: list[str] = []
        for code, value in members:
            match str(code):
                case "LITERAL":
                    allowed.append(chr(value))
                case "RANGE":
                    allowed.extend(map(chr, range(value[0], min(value[1], value[0] + 200) + 1)))
                case "CATEGORY":
                    allowed.extend(_CATEGORIES[str(value)])
                case _:  # NEGATE
                    pass
        if members and str(members[0][0]) == "NEGATE":
            return self._other_than(set(allowed))
        return self.source.choice(allowed)

    def _other_than(self, excluded: set[str]) -> str:
        return self.source.choice([sign for sign in _PRINTABLE if sign not in excluded] or ["\u00e9"])
