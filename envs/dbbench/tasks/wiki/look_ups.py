"""Finds the query of WikiTableQuestions' simple questions, which come with answers and no query.

A query is kept where it alone fits: its value stands in the question, and its result is the answer.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from envs.dbbench.engines.port import Table
from envs.dbbench.tasks import plan as plans
from envs.dbbench.tasks.plan import Condition, Plan
from envs.dbbench.tasks.wiki.made import Made, is_number, make_question, name_table, read_number
from envs.dbbench.tasks.wiki.sources import LookUp

SHORTEST = 4
"""The shortest value that is looked for in a question, characters; a shorter one stands there by chance."""
MOST_FOUND = re.compile(r"\b(?:most|highest|largest|biggest|greatest|longest|top)\b", re.IGNORECASE)
LEAST_FOUND = re.compile(r"\b(?:least|lowest|smallest|fewest|shortest)\b", re.IGNORECASE)
COUNTED = re.compile(r"\bhow many\b|\bnumber of\b", re.IGNORECASE)
DIFFERENT = re.compile(
    r"\b(?:before|after|next|previous|not|other|difference|consecutive|first|last|same|both|more|less|than|total|only|"
    r"average|besides|above|below|between)\b",
    re.IGNORECASE,
)
"""Words of questions that need more than a condition."""


@dataclass(frozen=True, slots=True)
class Solved:
    """A question and its query."""

    look_up: LookUp
    plan: Plan
    kind: str


def solve(look_up: LookUp) -> Solved | None:
    """Return a question with its query, or None if no query fits it, or more than one does."""
    if len(look_up.answers) != 1 or DIFFERENT.search(look_up.text):
        return None
    found = list(_queries(look_up, ""))
    return Solved(look_up, *found[0]) if len(found) == 1 else None


def make_look_up(draw: random.Random, solved: Solved) -> Made:
    """Return the task of a question."""
    table = solved.look_up.table
    name = name_table(draw, table.title)
    made = Table.of(name, table.headers, table.rows)
    return make_question(
        solved.kind, solved.look_up.text, made, solved.look_up.answers, replace(solved.plan, table=made.name)
    )


def _queries(look_up: LookUp, name: str) -> Iterator[tuple[Plan, str]]:
    if COUNTED.search(look_up.text):
        for condition, rows in _conditions(look_up):
            if str(len(rows)) == look_up.answers[0]:
                yield Plan(plans.COUNT, name, conditions=(condition,)), "counting"
    elif MOST_FOUND.search(look_up.text) or LEAST_FOUND.search(look_up.text):
        yield from _ranked(look_up, name)
    else:
        for condition, rows in _conditions(look_up):
            for place, header in enumerate(look_up.table.headers):
                values = {row[place].lower() for row in rows}
                if header != condition.column and values == {look_up.answers[0].lower()}:
                    yield Plan(plans.ROWS, name, (header,), (condition,)), "other"


def _conditions(look_up: LookUp) -> Iterator[tuple[Condition, list[tuple[str, ...]]]]:
    """Yield the conditions whose value stands in the question, with the rows that meet them."""
    text = look_up.text.lower()
    for place, header in enumerate(look_up.table.headers):
        cells = {row[place].lower(): row[place] for row in look_up.table.rows}
        for lower, cell in cells.items():
            if len(lower) >= SHORTEST and re.search(rf"(?<!\w){re.escape(lower)}(?!\w)", text):
                rows = [row for row in look_up.table.rows if row[place].lower() == lower]
                yield Condition(header, "=", cell), rows


def _ranked(look_up: LookUp, name: str) -> Iterator[tuple[Plan, str]]:
    """Yield the rankings by a column of numbers that the question names."""
    descending = bool(MOST_FOUND.search(look_up.text))
    text = look_up.text.lower()
    for at, header in enumerate(look_up.table.headers):
        numbers = [row[at] for row in look_up.table.rows]
        if not all(map(is_number, numbers)) or header.lower().rstrip("s") not in text:
            continue
        best = (max if descending else min)(map(read_number, numbers))
        rows = [row for row in look_up.table.rows if read_number(row[at]) == best]
        for place, want in enumerate(look_up.table.headers):
            if place != at and len(rows) == 1 and rows[0][place].lower() == look_up.answers[0].lower():
                direction = "DESC" if descending else "ASC"
                yield Plan(plans.ROWS, name, (want,), (), "", header, direction, 1), "ranking"
