"""Narrates a row to insert, with few names of columns or none.

Each value has one column that it can belong to: all values stand in the table's order, or a preposition, a
unit or a name stands beside a value, or one column alone is left.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from envs.dbbench.tasks.reading import bare
from envs.dbbench.tasks.wiki import everyday, wordings
from envs.dbbench.tasks.wiki.made import is_number, join_list
from envs.dbbench.tasks.wiki.mentions import name_noun

Pair = tuple[str, str]
COMPOUND = re.compile(
    r"[;()|]|,(?!\d)|:(?!\d)| (?:and|or|with|for|at|in|on|by|as|from|against|of|to)\b", re.IGNORECASE
)
"""What would run a value into its neighbours; such a value stands in quotes."""
YEAR = r"(?:1[5-9]|20)\d\d"
DATE = r"(?:\d{1,2} )?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d.*|\d{1,2} [a-z]{3,9}"
PLURAL = re.compile(
    r"(?!.*(?:pos|status|notes|series|class|result|points won|gas)$)[a-z]+(?: [a-z]+)?s|gold|silver|bronze"
)
"""Headers that are units of their numbers, as in `23 points`."""
LONGEST_ROW = 7
"""How many values a sentence lists without a name."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A preposition that stands for a column."""

    headers: re.Pattern[str]
    values: re.Pattern[str]
    form: str
    group: str
    """Columns of the same group cannot be held apart by it."""


def _hint(headers: str, form: str, group: str, values: str = r"[^\W\d].*") -> Hint:
    return Hint(re.compile(headers), re.compile(values, re.IGNORECASE), form, group)


HINTS = (
    _hint(r"years?|season", "in {value}", "year", YEAR),
    _hint(r".*\bdate", "on {value}", "date", DATE),
    _hint(r"(?:home )?(?:venue|site|stadium|circuit|arena|track|course)", "at {value}", "place"),
    _hint(r"city|town|county|state|region|location|province|district", "in {value}", "place"),
    _hint(r"opponents?|opponent in the final", "against {value}", "opponent", r"(?!at |vs|v )[^\W\d].*"),
    _hint(r"country|nation|nationality|hometown|home ?town", "from {value}", "origin"),
    _hint(r"artist|director|author|producer|performer|composer|writer|designer", "by {value}", "maker"),
    _hint(r"role", "as {value}", "role"),
    _hint(r"team|club|constructor", "for {value}", "team"),
    _hint(r"network|tv|channel|tv network", "on {value}", "network"),
    _hint(r"partner", "together with {value}", "partner"),
    _hint(r"attendance|crowd", "in front of {value} people", "crowd", r"\d[\d,]*"),
)


@dataclass(frozen=True, slots=True)
class Narrated:
    """What fills a sentence, and the row's columns with their values, as the sentence has them."""

    form: str
    words: dict[str, str]
    pairs: tuple[Pair, ...]


def narrate(
    draw: random.Random, headers: Sequence[str], values: Sequence[str | None], key: int
) -> Narrated | None:
    """Return a narrated row, or None where its values cannot be distinguished.

    Args:
        draw: Chance.
        headers: The table's columns.
        values: The row, None where a value is missing or cannot stand in a sentence.
        key: The place of the column that names a row.
    """
    given = [(header, value) for header, value in zip(headers, values, strict=True) if value is not None]
    whole = len(given) == len(headers)
    style = draw.choice(("row", "row", "lead", "story", "story", "story"))
    if style == "row":
        return _list_row(draw, given) if whole and len(given) <= LONGEST_ROW else None
    if style == "lead":
        first = None not in values[:2] and len(given) > 2
        return _lead(draw, given) if first else None
    return _tell_story(draw, headers, given, key, whole=whole)


def _list_row(draw: random.Random, given: Sequence[Pair]) -> Narrated | None:
    shown = _quote(draw, [value for _, value in given])
    if shown is None:
        return None
    row = join_list(draw, shown, (*wordings.JOINS, (", ", ", ")))
    return Narrated(draw.choice(everyday.ROWS), {"row": row}, tuple(given))


def _lead(draw: random.Random, given: Sequence[Pair]) -> Narrated | None:
    shown = _quote(draw, [value for _, value in given])
    if shown is None:
        return None
    items = [
        _name_value(draw, header, value) for (header, _), value in zip(given[2:], shown[2:], strict=True)
    ]
    lead = f"{shown[0]}{draw.choice((' and ', ', '))}{shown[1]}"
    words = {"lead": lead, "pairs": join_list(draw, items, wordings.JOINS[:2])}
    return Narrated(draw.choice(everyday.LEADS), words, tuple(given))


def _tell_story(
    draw: random.Random, headers: Sequence[str], given: Sequence[Pair], key: int, *, whole: bool
) -> Narrated | None:
    values = dict(given)
    name = values.get(headers[key])
    shown = _quote(draw, [value for _, value in given])
    noun = name_noun(headers[key])
    if (
        name is None
        or not name[0].isalpha()
        or shown is None
        or len(given) < 3
        or (not whole and noun is None)
    ):
        return None
    quoted = {header: value for (header, _), value in zip(given, shown, strict=True)}
    subject = quoted[headers[key]]
    if noun and (not whole or draw.random() < 0.35) and noun not in name.lower():
        subject = f"{draw.choice(('the ', 'the ', ''))}{noun} {subject}"
    elif not whole:
        return None
    phrases: list[tuple[str, Pair]] = []
    named: list[tuple[str, Pair]] = []
    hints = 0
    for header, value in given:
        if header == headers[key]:
            continue
        hint = find_hint(header, value, headers)
        unit = bare(header).lower()
        if hint is not None and draw.random() < 0.85:
            phrases.append((hint.form.replace("{value}", quoted[header]), (header, value)))
        elif is_number(value) and PLURAL.fullmatch(unit) and draw.random() < 0.8:
            word = unit.removesuffix("s") if value == "1" else unit
            named.append((f"{value} {word}", (header, value)))
            hints += 1
        else:
            named.append((_name_value(draw, header, quoted[header]), (header, value)))
    if not phrases and not hints:
        return None
    story = draw.choice((" ", ", ")).join(text for text, _ in phrases)
    if named:
        rest = join_list(draw, [text for text, _ in named], wordings.JOINS[:2])
        story = f"{story}{draw.choice((', with ', ' with '))}{rest}" if story else f"with {rest}"
    pairs = ((headers[key], name), *(pair for _, pair in (*phrases, *named)))
    return Narrated(draw.choice(everyday.STORIES), {"subject": subject, "story": story}, pairs)


def find_hint(header: str, value: str, headers: Sequence[str]) -> Hint | None:
    """Return the preposition that stands for a column, or None if it has none of its own in the table."""
    found = _hint_of(header)
    if found is None or not found.values.fullmatch(value):
        return None
    same = [one for one in headers if (other := _hint_of(one)) is not None and other.group == found.group]
    return found if len(same) == 1 else None


def _hint_of(header: str) -> Hint | None:
    plain = bare(header).lower()
    return next((hint for hint in HINTS if hint.headers.fullmatch(plain)), None)


def _quote(draw: random.Random, values: Sequence[str]) -> list[str] | None:
    """Return values with quotes around all, or those that run into others; None if one has quotes."""
    everywhere = draw.random() < 0.35
    quote = draw.choice(("'", "'", '"'))
    bad = [value for value in values if (everywhere or COMPOUND.search(value)) and quote in value]
    if bad:
        return None
    return [f"{quote}{value}{quote}" if everywhere or COMPOUND.search(value) else value for value in values]


def _name_value(draw: random.Random, header: str, value: str) -> str:
    """Return a value beside its column's name."""
    name = header if draw.random() < 0.5 else bare(header).lower()
    article = "an" if name[0].lower() in "aeiou" else "a"
    return draw.choice(
        (f"{name} {value}", f"{article} {name} of {value}", f"{value} as {name}", f"the {name} {value}")
    )
