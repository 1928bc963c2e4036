"""How a sentence mentions a value of a table: in other letters, with a noun beside it, quoted, or in part."""

import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from envs.dbbench.tasks.plan import Condition
from envs.dbbench.tasks.reading import bare

OTHER_CASE, IN_PART, NOUN_BEFORE, NOUN_BEHIND, QUOTED = 0.15, 0.12, 0.15, 0.1, 0.1
"""How often each way of mentioning a value is taken where it is possible."""
SHORTEST_PART = 4
"""The fewest characters of a mention in part."""
PERSON = re.compile(
    r"player|driver|name|coach|candidate|wrestler|athlete|rider|winner|artist|director|author|swimmer",
    re.IGNORECASE,
)
"""Headers whose values are often people, who are also called by their last names."""
SIGNS = "*†‡#^§ "
"""Signs of footnotes behind a value."""
DASH = "\u2013"
NOUN = re.compile(r"[A-Za-z]{3,}(?: [a-z]{3,})?")
"""Headers that can be put beside a value in a sentence."""
NO_NOUNS = frozenset(
    ("name", "title", "date", "year", "season", "notes", "result", "no", "pos", "time", "home")
)


def fold(text: str) -> str:
    """Return a text as the database compares it: without letters' case and accents."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).lower().strip()


def name_noun(header: str) -> str | None:
    """Return a header as the noun of its values, or None if it is no noun."""
    noun = bare(header)
    return noun.lower() if NOUN.fullmatch(noun) and noun.lower() not in NO_NOUNS else None


def mention(
    draw: random.Random, condition: Condition, cells: Sequence[str], *, alone: bool
) -> tuple[str, Condition]:
    """Return how a sentence mentions the value of a condition, and the condition that follows from it.

    Args:
        draw: Chance.
        condition: Has the value as the table has it.
        cells: All values of its column.
        alone: Whether the value stands without its column and without quotes.
    """
    value = condition.value
    chance = draw.random()
    if chance < OTHER_CASE:
        cased = draw.choice((value.lower(), value.lower(), value.upper(), value.title()))
        same = fold(cased) == fold(value)
        return (cased, replace(condition, value=cased)) if same else (value, condition)
    chance -= OTHER_CASE
    if chance < IN_PART:
        parts = [part for part in _shorten(condition.column, value) if _points_at(part, value, cells)]
        if parts:
            part = draw.choice(parts)
            return part, replace(condition, mention=part)
        return value, condition
    chance -= IN_PART
    noun = name_noun(condition.column)
    if not alone or chance < 0:
        return value, condition
    if noun and noun not in value.lower():
        if chance < NOUN_BEFORE:
            return f"{draw.choice(('the ', ''))}{noun} {value}", condition
        if chance < NOUN_BEFORE + NOUN_BEHIND and not re.match("the ", value, re.IGNORECASE):
            return f"the {value} {noun}", condition
    if NOUN_BEFORE + NOUN_BEHIND <= chance < NOUN_BEFORE + NOUN_BEHIND + QUOTED and "'" not in value:
        return draw.choice((f"'{value}'", f'"{value}"')), condition
    return value, condition


def _shorten(header: str, value: str) -> list[str]:
    """List ways in which people write a value that is longer, or has signs that no keyboard has."""
    parts = [
        re.sub(r"\s*\([^)]*\)$", "", value),
        value.rstrip(SIGNS),
        value.partition(", ")[0],
        value.partition(" • ")[0],
        value.replace(DASH, "-"),
    ]
    if PERSON.search(header) and re.fullmatch(r"\w+ \w+", value):
        parts.append(value.rsplit(maxsplit=1)[-1])
    return [
        one
        for one in dict.fromkeys(parts)
        if one != value and len(one) >= SHORTEST_PART and not set("%_'") & set(one)
    ]


def _points_at(part: str, value: str, cells: Sequence[str]) -> bool:
    """Whether a mention in part is no value itself, and stands in one value alone."""
    pattern = re.compile(".".join(map(re.escape, fold(part).split("-"))))
    others = {fold(cell) for cell in cells if fold(cell) != fold(value)}
    return (
        fold(part) not in (fold(value), *others)
        and bool(pattern.search(fold(value)))
        and not any(pattern.search(other) for other in others)
    )
