"""Generated tasks: tables like AgentBench's and a question of each of its kinds, made from a seed.

The same seed, split and number make the same task. The names of people, towns and titles are parted between
the splits, so that no table of one is in the other.
"""
# ruff: noqa: S608 - writing SQL is what it does

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from envs.dbbench import phrases
from envs.dbbench.columns import Column, Pools, draw_column
from envs.dbbench.port import Table
from envs.dbbench.questions import Question, described

TOPICS = Path(__file__).with_name("topics.json")
KINDS = (
    "counting",
    "aggregation-SUM",
    "comparison",
    "INSERT",
    "aggregation-AVG",
    "ranking",
    "UPDATE",
    "aggregation-MIN",
    "other",
    "DELETE",
    "aggregation-MAX",
)
TRIES = 200
ANSWERS = 6
"""The most rows that a comparison asks for."""
NONE_SHARE = 0.06
"""How many comparisons and aggregates have no row."""


@dataclass(frozen=True)
class Sheet:
    """A table with what its columns mean."""

    table: Table
    columns: tuple[Column, ...]
    things: str

    @property
    def key(self) -> int:
        """The column that names a row."""
        return next(place for place, column in enumerate(self.columns) if column.key)

    def places(self, wanted: Callable[[Column], bool]) -> list[int]:
        """The columns that are so."""
        return [place for place, column in enumerate(self.columns) if wanted(column)]


@dataclass(frozen=True)
class Condition:
    """What rows are asked for."""

    place: int
    relation: str
    """`=`, `<` or `>`."""
    value: str

    def holds(self, sheet: Sheet, row: tuple[str | None, ...]) -> bool:
        """Whether a row is one of them."""
        given = row[self.place] or ""
        if self.relation == "=":
            return given.lower() == self.value.lower()
        number, bound = sheet.columns[self.place].number(given), sheet.columns[self.place].number(self.value)
        if number is None or bound is None:
            return False
        return number < bound if self.relation == "<" else number > bound


Maker = Callable[[random.Random, Sheet, str], Question | None]
"""Makes a question of a kind about a sheet; None where this sheet has none."""


class Generator:
    """Makes tasks.

    Args:
        seed: What they are made from.
    """

    def __init__(self, seed: int) -> None:
        told: dict[str, Any] = json.loads(TOPICS.read_text(encoding="utf-8"))
        self._topics: list[dict[str, Any]] = told["topics"]
        self._pools: dict[str, list[str]] = told["pools"]
        self._seed = seed

    def question(self, split: str, number: int) -> Question:
        """One task."""
        draw = random.Random(f"dbbench/{self._seed}/{split}/{number}")  # noqa: S311
        pools = Pools(draw, self._pools, side=int("valid" in split))
        kind = KINDS[number % len(KINDS)]
        makers: dict[str, Maker] = {
            "counting": _counting,
            "comparison": _comparison,
            "ranking": _ranking,
            "other": _look_up,
            "INSERT": partial(_insert, pools=pools),
            "UPDATE": partial(_update, pools=pools),
            "DELETE": _delete,
        }
        make = makers.get(kind, _aggregate)
        for _ in range(TRIES):
            question = make(draw, self._sheet(draw, pools), kind)
            if question is not None:
                return question
        raise AssertionError(f"no task {split}/{number} in {TRIES} tries")

    def _sheet(self, draw: random.Random, pools: Pools) -> Sheet:
        topic = draw.choice(self._topics)
        pools.fresh()
        count = draw.randint(8, 24)
        columns = tuple(draw_column(draw, told) for told in topic["columns"])
        name = draw.choice(topic["tables"]).format(
            year=draw.randint(1961, 2019),
            city=pools.value("city").replace(" ", "_"),
            serial=draw.randint(1, 12),
        )
        cells = [[column.value(draw, pools, row) for row in range(count)] for column in columns]
        rows = list(zip(*cells, strict=True))
        return Sheet(Table.of(name, [column.name for column in columns], rows), columns, topic["things"])


def _question(kind: str, sheet: Sheet, text: str, sql: str, label: list[str] | None) -> Question:
    given = None if label is None else tuple(label)
    return Question(kind, text, (sheet.table,), described((sheet.table,)), given, sql)


def _conditions(draw: random.Random, sheet: Sheet, avoid: set[int]) -> list[Condition]:
    """One or two conditions that at least one row meets; seldom, none."""
    row = draw.choice(sheet.table.rows)
    found: list[Condition] = []
    places = [
        place for place in range(len(sheet.columns)) if place not in avoid and not sheet.columns[place].key
    ]
    for place in draw.sample(places, min(len(places), draw.choice((1, 1, 2)))):
        column, value = sheet.columns[place], row[place] or ""
        number = column.number(value)
        if not value or value in BLANKS:
            continue
        if column.ordered and number is not None and draw.random() < 0.6:
            relation = draw.choice("<>")
            found.append(Condition(place, relation, column.beyond(draw, number, relation)))
        else:
            found.append(Condition(place, "=", column.spoken(value)))
    return found


def _asked(draw: random.Random, sheet: Sheet, conditions: list[Condition], style: str) -> str:
    parts = []
    for condition in conditions:
        form = draw.choice(phrases.RELATIONS[condition.relation][style])
        said = _said(draw, sheet, condition.place)
        article = "an" if said[0].lower() in "aeiou" else "a"
        parts.append(form.format(a=article, column=said, value=condition.value))
    return draw.choice((", and ", " and ")).join(parts)


def _said(draw: random.Random, sheet: Sheet, place: int) -> str:
    name = sheet.table.columns[place]
    return name.lower() if draw.random() < 0.25 else name


def _met(sheet: Sheet, conditions: list[Condition]) -> list[tuple[str | None, ...]]:
    return [row for row in sheet.table.rows if all(condition.holds(sheet, row) for condition in conditions)]


def _where(sheet: Sheet, conditions: list[Condition], *more: str) -> str:
    parts = list(more)
    for condition in conditions:
        column = sheet.columns[condition.place]
        if condition.relation == "=":
            value = condition.value
            parts.append(f"{_name(column.name)} = {_text(column.written(value))}")
        else:
            if column.blank:
                parts.append(f"{_name(column.name)} REGEXP '^[0-9]'")
            parts.append(f"{_number(column)} {condition.relation} {condition.value.replace(',', '')}")
    return " AND ".join(parts)


def _counting(draw: random.Random, sheet: Sheet, kind: str) -> Question | None:
    conditions = _conditions(draw, sheet, set())
    rows = _met(sheet, conditions)
    if not conditions or not rows:
        return None
    style, form = draw.choice(phrases.COUNT)
    text = form.format(things=sheet.things, conds=_asked(draw, sheet, conditions, style))
    sql = f"SELECT COUNT(*) FROM {_name(sheet.table.name)} WHERE {_where(sheet, conditions)}"
    return _question(kind, sheet, text, sql, [str(len(rows))])


def _aggregate(draw: random.Random, sheet: Sheet, kind: str) -> Question | None:
    function = kind.partition("-")[2]
    places = sheet.places(lambda column: column.ordered and column.counts)
    if not places:
        return None
    place = draw.choice(places)
    column = sheet.columns[place]
    conditions = _conditions(draw, sheet, {place})
    numbers = [
        number for row in _met(sheet, conditions) if (number := column.number(row[place] or "")) is not None
    ]
    if not conditions or not numbers:
        return None
    value = {"SUM": sum, "MIN": min, "MAX": max, "AVG": lambda them: sum(them) / len(them)}[function](numbers)
    style, form = draw.choice(phrases.AGGREGATES[function])
    asked = _asked(draw, sheet, conditions, style)
    text = form.format(column=_said(draw, sheet, place), things=sheet.things, conds=asked)
    guard = (f"{_name(column.name)} REGEXP '^[0-9]'",) if column.blank else ()
    where = _where(sheet, conditions, *guard)
    sql = f"SELECT {function}({_number(column)}) FROM {_name(sheet.table.name)} WHERE {where}"
    return _question(kind, sheet, text, sql, [f"{round(value, 4):.12g}"])


def _comparison(draw: random.Random, sheet: Sheet, kind: str) -> Question | None:
    place = draw.choice([sheet.key, *sheet.places(lambda column: not column.blank)])
    conditions = _conditions(draw, sheet, {place})
    if not any(condition.relation != "=" for condition in conditions):
        return None
    if draw.random() < NONE_SHARE:
        conditions = [_impossible(sheet, condition) for condition in conditions]
    found = list(dict.fromkeys(row[place] or "" for row in _met(sheet, conditions)))
    if len(found) > ANSWERS or "" in found:
        return None
    style, form = draw.choice(phrases.COMPARE)
    text = form.format(column=_said(draw, sheet, place), conds=_asked(draw, sheet, conditions, style))
    name = _name(sheet.table.columns[place])
    sql = f"SELECT DISTINCT {name} FROM {_name(sheet.table.name)} WHERE {_where(sheet, conditions)}"
    return _question(kind, sheet, text, sql, found or ["none"])


def _impossible(sheet: Sheet, condition: Condition) -> Condition:
    if condition.relation == "=":
        return condition
    column = sheet.columns[condition.place]
    numbers = [
        number
        for row in sheet.table.rows
        if (number := column.number(row[condition.place] or "")) is not None
    ]
    bound = min(numbers) if condition.relation == "<" else max(numbers)
    return Condition(condition.place, condition.relation, column.form(bound))


def _ranking(draw: random.Random, sheet: Sheet, kind: str) -> Question | None:
    places = sheet.places(lambda column: column.ordered and column.counts)
    if not places:
        return None
    place, direction = draw.choice(places), draw.choice(("DESC", "ASC"))
    column = sheet.columns[place]
    known = [
        (number, row) for row in sheet.table.rows if (number := column.number(row[place] or "")) is not None
    ]
    known.sort(key=lambda pair: pair[0], reverse=direction == "DESC")
    if len(known) < 2 or known[0][0] == known[1][0]:
        return None
    form = draw.choice(phrases.RANK[direction])
    asked = {
        "column": _said(draw, sheet, sheet.key),
        "number": _said(draw, sheet, place),
        "things": sheet.things,
    }
    key = _name(sheet.table.columns[sheet.key])
    guard = f" WHERE {_name(column.name)} REGEXP '^[0-9]'" if column.blank else ""
    source = f"{_name(sheet.table.name)}{guard}"
    sql = f"SELECT {key} FROM {source} ORDER BY {_number(column)} {direction} LIMIT 1"
    return _question(kind, sheet, form.format(**asked), sql, [known[0][1][sheet.key] or ""])


def _look_up(draw: random.Random, sheet: Sheet, kind: str) -> Question | None:
    row = draw.choice(sheet.table.rows)
    place = draw.choice([place for place in range(len(sheet.columns)) if place != sheet.key])
    key, value = row[sheet.key] or "", row[place] or ""
    if (
        not value
        or value in BLANKS
        or sum((other[sheet.key] or "").lower() == key.lower() for other in sheet.table.rows) > 1
    ):
        return None
    column = sheet.columns[sheet.key]
    form = draw.choice(phrases.LOOK_UP)
    spoken = column.spoken(key)
    said = spoken.lower() if draw.random() < 0.2 else spoken
    text = form.format(column=_said(draw, sheet, place), key=said)
    table, names = _name(sheet.table.name), sheet.table.columns
    sql = f"SELECT {_name(names[place])} FROM {table} WHERE {_name(names[sheet.key])} = {_text(key)}"
    return _question(kind, sheet, text, sql, [value])


def _insert(draw: random.Random, sheet: Sheet, kind: str, pools: Pools) -> Question | None:
    values = [column.value(draw, pools, len(sheet.table.rows)) for column in sheet.columns]
    pair, form = draw.choice(phrases.INSERT)
    names = sheet.table.columns
    pairs = [pair.format(column=name, value=value) for name, value in zip(names, values, strict=True)]
    text = form.format(table=sheet.table.name, pairs=_joined(pairs))
    columns, texts = ", ".join(map(_name, names)), ", ".join(map(_text, values))
    return _question(
        kind, sheet, text, f"INSERT INTO {_name(sheet.table.name)} ({columns}) VALUES ({texts})", None
    )


def _update(draw: random.Random, sheet: Sheet, kind: str, pools: Pools) -> Question | None:
    row = draw.choice(sheet.table.rows)
    key = row[sheet.key] or ""
    others = [place for place in range(len(sheet.columns)) if place != sheet.key]
    places = sorted(draw.sample(others, draw.choice((1, 1, 2))))
    values = [sheet.columns[place].value(draw, pools, draw.randint(0, 40)) for place in places]
    if any(value == row[place] or not value for place, value in zip(places, values, strict=True)):
        return None
    pair, form = draw.choice(phrases.UPDATE)
    names = sheet.table.columns
    pairs = [
        pair.format(column=names[place], value=value) for place, value in zip(places, values, strict=True)
    ]
    text = form.format(table=sheet.table.name, pairs=" and ".join(pairs), where=names[sheet.key], key=key)
    sets = ", ".join(
        f"{_name(names[place])} = {_text(value)}" for place, value in zip(places, values, strict=True)
    )
    where = f"{_name(names[sheet.key])} = {_text(key)}"
    return _question(kind, sheet, text, f"UPDATE {_name(sheet.table.name)} SET {sets} WHERE {where}", None)


def _delete(draw: random.Random, sheet: Sheet, kind: str) -> Question | None:
    conditions = _conditions(draw, sheet, set())
    rows = _met(sheet, conditions)
    if not conditions or not rows or len(rows) == len(sheet.table.rows):
        return None
    style, form = draw.choice(phrases.DELETE)
    asked = _asked(draw, sheet, conditions, style)
    text = form.format(table=sheet.table.name, things=sheet.things, conds=asked)
    return _question(
        kind, sheet, text, f"DELETE FROM {_name(sheet.table.name)} WHERE {_where(sheet, conditions)}", None
    )


def _joined(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0]


def _name(name: str) -> str:
    return f"`{name}`"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _number(column: Column) -> str:
    name = _name(column.name)
    return f"REPLACE({name}, ',', '') + 0" if column.commas else f"{name} + 0"


BLANKS = frozenset(("", "-", "N/A"))
"""How a missing value is written."""
