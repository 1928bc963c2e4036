"""What the makers of tasks over Wikipedia's tables share: a task with its plan, names of tables, lists."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envs.dbbench.engines.port import MAX_NAME, Table
from envs.dbbench.tasks.plan import Plan
from envs.dbbench.tasks.questions import Question, described
from envs.dbbench.tasks.reading import bare

SUFFIXES = ("", "", "", " Table", " Data", " List", " Records", " Database")
CASES = 3
"""How often, of so many tables, a name is written in another case than the title's."""
SIMPLE = frozenset('\\`"')
"""Characters of cells that are not put into a sentence."""
LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Made:
    """A task and how it is solved."""

    question: Question
    plan: Plan


def name_table(draw: random.Random, title: str) -> str:
    """Return a name for a table: its title, shortened, in one of the ways in which tables are named."""
    plain = re.sub(r"\s*\([^)]*\)|[`\"\\]", "", title)
    plain = " ".join(plain.split()[: draw.choice((4, 6, 8))]) or "table"
    plain = f"{plain}{draw.choice(SUFFIXES)}"
    chance = draw.random()
    if chance < 0.2:
        plain = re.sub(r"\W+", "_", plain).strip("_")
    elif chance < 0.35:
        plain = re.sub(r"\W+", "_", plain.lower()).strip("_")
    return plain[:MAX_NAME].strip() or "table_1"


def make_question(kind: str, text: str, table: Table, label: Sequence[str] | None, plan: Plan) -> Made:
    """Return a task over one table."""
    given = None if label is None else tuple(label)
    return Made(Question(kind, text, (table,), described((table,)), given, plan.sql()), plan)


def join_list(draw: random.Random, items: Sequence[str], joins: Sequence[tuple[str, str]]) -> str:
    """Return items as a list in words."""
    between, last = draw.choice(list(joins))
    return items[0] if len(items) == 1 else f"{between.join(items[:-1])}{last}{items[-1]}"


def is_number(value: str) -> bool:
    """Whether a text is a number, with or without commas between the thousands."""
    return bool(re.fullmatch(r"-?\d[\d,]*(?:\.\d+)?", value.strip()))


def read_number(value: str) -> float:
    """Return the number that a text is, as `is_number` has it."""
    return float(value.replace(",", ""))


def is_plain(value: str) -> bool:
    """Whether a cell can stand in a sentence."""
    return (
        bool(value.strip())
        and value == value.strip()
        and not SIMPLE & set(value)
        and len(value) <= LONGEST_SHOWN
    )


def say_header(draw: random.Random, header: str) -> str:
    """Return a header as a sentence has it: whole, in lower case, or without its unit."""
    chance = draw.random()
    if chance < 0.6:
        return header
    return header.lower() if chance < 0.8 else bare(header)


def fill(form: str, words: Mapping[str, str]) -> str:
    """Return a form with its places filled in one pass, so that no value is read as a form.

    A value at the start keeps its letters' case: it may go into the table.
    """
    text = re.sub(r"\{(\w+)\}", lambda found: words[found[1]], form)
    return text if form.startswith("{") else f"{text[0].upper()}{text[1:]}"
