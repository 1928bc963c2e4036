"""Tables of generated tasks: a topic's columns under some of their names, and rows."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from envs.dbbench.engines.port import Table
from envs.dbbench.tasks.columns import Column
from envs.dbbench.tasks.plan import CONTAINS, Condition
from envs.dbbench.tasks.pools import Pools
from envs.dbbench.tasks.topics import Topic, about, topics

Row = tuple[str | None, ...]
LEAST_COLUMNS = 3
SUFFIXES = (" Table", " Data", " List", " Records", " Info", " Overview", "_1", " Database", " Statistics")


@dataclass(frozen=True)
class Sheet:
    """A table with what its columns mean."""

    table: Table
    columns: tuple[Column, ...]
    topic: Topic

    @property
    def key(self) -> int:
        """The column that names a row."""
        return next(place for place, column in enumerate(self.columns) if column.key)

    def places(self, wanted: Callable[[Column], bool]) -> list[int]:
        """The columns that are so."""
        return [place for place, column in enumerate(self.columns) if wanted(column)]

    def whole(self, place: int) -> bool:
        """Whether every value of a column is a number."""
        column = self.columns[place]
        return all(column.number(row[place] or "") is not None for row in self.table.rows)

    def met(self, conditions: tuple[Condition, ...]) -> list[Row]:
        """The rows that meet conditions: exactly, or, where there are none, with texts inside others."""
        for exactly in (True, False):
            rows = [
                row for row in self.table.rows if all(self._holds(one, row, exactly) for one in conditions)
            ]
            if rows:
                return rows
        return []

    def _holds(self, condition: Condition, row: Row, exactly: bool) -> bool:
        place = self.table.columns.index(condition.column)
        column, given = self.columns[place], row[place] or ""
        if condition.relation == "=" and exactly:
            return given.lower() == condition.value.lower()
        if condition.relation in ("=", CONTAINS):
            return condition.value.lower() in given.lower()
        number, bound = column.number(given), float(condition.value.replace(",", ""))
        if number is None:
            return False
        return {
            "<": number < bound,
            ">": number > bound,
            "<=": number <= bound,
            ">=": number >= bound,
        }[condition.relation]


def draw_sheet(draw: random.Random, pools: Pools) -> Sheet:
    """A table."""
    topic = draw.choice(topics())
    pools.fresh()
    kept = [column for column in topic.columns if column.key or draw.random() < 0.85]
    if len(kept) < LEAST_COLUMNS:
        kept = list(topic.columns)
    if draw.random() < 0.25:
        draw.shuffle(kept)
    style = draw.choices(STYLES, weights=WEIGHTS)[0]
    drawn = [column.column(draw) for column in kept]
    columns = tuple(replace(column, name=style(column.name)) for column in drawn)
    if topic not in about(tuple(column.name for column in columns)):
        columns = tuple(drawn)
    count = draw.randint(6, 22)
    cells = [[column.value(draw, pools, row) for row in range(count)] for column in columns]
    names = [column.name for column in columns]
    table = Table.of(_table_name(draw, pools, topic), names, list(zip(*cells, strict=True)))
    return Sheet(table, columns, topic)


def _plain(name: str) -> str:
    return name


def _snake(name: str) -> str:
    return (
        "".join(sign if sign.isalnum() else "_" for sign in name.lower()).strip("_").replace("__", "_")
        or name
    )


def _spaced(name: str) -> str:
    return name.replace("(", "( ").replace(")", " )").replace("/", " / ")


def _colon(name: str) -> str:
    return f"{name}:"


STYLES = (_plain, _snake, _spaced, _colon, str.lower, str.upper, str.title)
WEIGHTS = (76, 6, 5, 2, 4, 2, 5)


def _table_name(draw: random.Random, pools: Pools, topic: Topic) -> str:
    name = draw.choice(topic.tables).format(
        year=draw.randint(1961, 2022),
        town=pools.name("town"),
        country=pools.word("country"),
        region=pools.word("region"),
        n=draw.randint(1, 9),
    )
    if draw.random() < 0.25:
        name += draw.choice(SUFFIXES)
    if draw.random() < 0.12:
        name = draw.choice((f"{draw.randint(1950, 2022)} {name}", f"{name} ({draw.randint(1950, 2022)})"))
    chance = draw.random()
    if chance < 0.15:
        return _snake(name)
    if chance < 0.25:
        return name.replace(" ", "_").replace("'", "")
    if chance < 0.32:
        return "".join(word[0].upper() + word[1:] for word in name.replace("'", "").split())
    return name
