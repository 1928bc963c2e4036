"""Sentences with places and choices: drawn by the generator, and read again by the expert.

`[one|other]` is a choice, `{column}` a place; a choice may have places in it.
"""

import random
import re
from collections.abc import Mapping
from functools import cache

CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
PLACE = re.compile(r"\{(\w+)\}")
PART = re.compile(rf"{CHOICE.pattern}|{PLACE.pattern}")


def chosen(form: str, draw: random.Random) -> str:
    """A form with its choices made."""
    return CHOICE.sub(lambda found: draw.choice(found[1].split("|")), form)


def filled(form: str, places: Mapping[str, str]) -> str:
    """A form without choices, with its places filled."""
    return PLACE.sub(lambda found: places[found[1]], form)


def pattern(form: str, places: Mapping[str, str] | None = None) -> str:
    """A form as a regular expression with a group for each place that has no pattern of its own."""
    return _pattern(form, places or {}, {})


@cache
def compiled(form: str) -> re.Pattern[str]:
    """A form that is read often."""
    return re.compile(pattern(form), re.IGNORECASE | re.DOTALL)


def read(form: str, text: str) -> dict[str, str] | None:
    """What stands at the places of a form, the second time as `place__2`; None for another form."""
    found = compiled(form).fullmatch(text)
    return {name: text for name, text in found.groupdict().items() if text is not None} if found else None


def _pattern(form: str, known: Mapping[str, str], seen: dict[str, int]) -> str:
    parts: list[str] = []
    end = 0
    for found in PART.finditer(form):
        parts.append(re.escape(form[end : found.start()]))
        end = found.end()
        name = found[2]
        if name is None:
            parts.append(f"(?:{'|'.join(_pattern(part, known, seen) for part in found[1].split('|'))})")
        elif name in known:
            parts.append(known[name])
        else:
            seen[name] = seen.get(name, 0) + 1
            parts.append(f"(?P<{name}>.+?)" if seen[name] == 1 else f"(?P<{name}__{seen[name]}>.+?)")
    return "".join([*parts, re.escape(form[end:])])
