"""Slips that an analyst makes on purpose, and how each is mended: demonstrations of recovery."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from envs.dbbench.engines.port import Table
from envs.dbbench.reference import Reference
from envs.dbbench.tasks.plan import INSERT, Condition, Plan, name
from envs.dbbench.tasks.reading import bare

NAMES = 0.1
"""How many sessions begin with a slip in a name."""
VALUES, COLUMNS = 0.16, 0.14
"""How many, where the table is known, begin with a wrong value, or a condition on a wrong column."""
LOOKS = 0.5
"""How often some rows are looked at before a condition on a wrong column is mended."""


@dataclass(frozen=True, slots=True)
class Slip:
    """A statement with a slip."""

    sql: str
    thought: str = ""
    """Why it was written; empty for that of the right statement."""
    fault: str = ""
    """What its result shows."""
    mended: str = ""
    """What is right."""
    silent: bool = False
    """Whether the database takes it and finds nothing, rather than refusing it."""
    looks: bool = False
    """Whether some rows are looked at before it is mended."""


def draw_slip(draw: random.Random, plan: Plan, instruction: str, reference: Reference | None) -> Slip | None:
    """Return a slip for a plan, or None where the session has none or none can be made.

    Args:
        draw: Chance.
        plan: The right plan.
        instruction: The task, whose words a wrong value takes in.
        reference: Has the table, without which a wrong value might be a right one.
    """
    chance = draw.random()
    if chance < NAMES:
        return slip_name(draw, plan, reference.table.columns if reference else ())
    if reference is None or plan.shape == INSERT:
        return None
    equal = [one for one in plan.conditions if one.relation == "="]
    if not equal:
        return None
    if chance < NAMES + VALUES:
        return slip_value(draw, plan, draw.choice(equal), instruction, reference.table)
    if chance < NAMES + VALUES + COLUMNS:
        return slip_column(draw, plan, draw.choice(equal), reference.table)
    return None


def slip_name(draw: random.Random, plan: Plan, columns: Sequence[str] = ()) -> Slip | None:
    """Return a statement in which a name with blanks or signs is shortened, or stands without backticks.

    Args:
        draw: Chance.
        plan: The right plan.
        columns: The table's columns, none of which a shortened name may be.
    """
    sql = plan.sql()
    names = sorted(set(re.findall(r"`([^`]+)`", sql)))
    odd = [one for one in names if not re.fullmatch(r"\w+", one)]
    if not odd:
        return None
    chosen = draw.choice(odd)
    short = bare(chosen).split()[-1]
    if draw.random() < 0.5 and short.lower() not in {one.lower() for one in (*names, *columns)}:
        fault = f"There is no `{short}`: the name must be copied whole, `{chosen}`."
        return Slip(sql.replace(name(chosen), name(short)), fault=fault)
    return Slip(sql.replace(name(chosen), chosen), fault=f"`{chosen}` must stand in backticks.")


def slip_value(
    draw: random.Random, plan: Plan, condition: Condition, instruction: str, table: Table
) -> Slip | None:
    """Return a statement whose value has a word of the sentence too many, or one of its own too few."""
    wrong = [one for one in _near_values(condition.value, instruction) if not _stands(table, one, None)]
    if not wrong:
        return None
    slip = replace(condition, value=draw.choice(wrong))
    return _make_silent(plan, condition, slip, f"The value is '{condition.value}'.")


def slip_column(draw: random.Random, plan: Plan, condition: Condition, table: Table) -> Slip | None:
    """Return a statement whose condition is on a column that does not have the value."""
    taken = {one.column for one in plan.conditions}
    others = [
        column
        for column in table.columns
        if column not in taken and not _stands(table, condition.value, column)
    ]
    if not others:
        return None
    slip = replace(condition, column=draw.choice(others))
    mended = f"The value '{condition.value}' is one of {name(condition.column)}."
    return _make_silent(plan, condition, slip, mended, looks=draw.random() < LOOKS)


def _make_silent(plan: Plan, right: Condition, wrong: Condition, mended: str, *, looks: bool = False) -> Slip:
    """Return the plan's statement with a wrong condition in place of a right one; it finds nothing."""
    conditions = tuple(wrong if one == right else one for one in plan.conditions)
    fault = f"Nothing has {name(wrong.column)} = '{wrong.value}'."
    statement = replace(plan, conditions=conditions).sql()
    return Slip(statement, fault=fault, mended=mended, silent=True, looks=looks)


def _near_values(value: str, instruction: str) -> list[str]:
    """List values that a hasty reader takes: with the next word or the last, or without a word of its own."""
    found = re.search(rf"(\w+)?(\W?)(?<!\w){re.escape(value)}(?!\w)(\W?)(\w+)?", instruction, re.IGNORECASE)
    words = value.split()
    near = [" ".join(words[1:]), " ".join(words[:-1])] if len(words) > 1 else []
    if found:
        if found[4] and found[3] == " ":
            near.append(f"{value} {found[4]}")
        if found[1] and found[2] == " ":
            near.append(f"{found[1]} {value}")
    return [one for one in near if one.strip()]


def _stands(table: Table, value: str, column: str | None) -> bool:
    """Whether a column, or any, has a value."""
    places = range(len(table.columns)) if column is None else [table.columns.index(column)]
    return any(
        (row[at] or "").strip().lower() == value.strip().lower() for row in table.rows for at in places
    )
