"""Reads the data sets: WikiTableQuestions' tables and questions, and WikiSQL's questions."""

import json
import lzma
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.dbbench.tasks.plan import Condition
from envs.serving.tasks import falls_in

TABLES, LOOK_UPS, ASKED = (
    "wikitablequestions/tables.jsonl.xz",
    "wikitablequestions/train.jsonl.xz",
    "wikisql/train.jsonl.xz",
)
UNSEEN = 10
"""One table in so many is kept out of training."""
FEWEST_COLUMNS, MOST_COLUMNS, FEWEST_ROWS, MOST_ROWS = 3, 9, 5, 45
LONGEST_HEADER, LONGEST_CELL = 40, 70
"""Of the tables that are used, characters."""


class SourceError(ValueError):
    """Raised when a data set cannot be read; the message has the file and the reason."""


@dataclass(frozen=True, slots=True)
class WikiTable:
    """A table of Wikipedia."""

    id: str
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of WikiSQL with its query; its table has no rows."""

    table: str
    text: str
    columns: tuple[str, ...]
    """The known columns of its table."""
    select: str
    function: str
    """Empty, or MAX, MIN, COUNT, SUM or AVG."""
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class LookUp:
    """A question of WikiTableQuestions with its answers; it has no query."""

    table: WikiTable
    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Sources:
    """What a folder has of one side of the division into training and unseen."""

    tables: Sequence[WikiTable]
    look_ups: Sequence[LookUp]
    asked: Sequence[Asked]
    values: Mapping[tuple[str, str], Sequence[str]]
    """The values that WikiSQL's questions have of a column, by table and column."""


def read_sources(folder: Path) -> dict[bool, Sources]:
    """Return the tables and questions of a folder: of unseen tables under True, of the others under False.

    Raises:
        SourceError: A file is missing or malformed.
    """
    tables = {table.id: table for table in _tables(folder / TABLES)}
    asked = list(_asked(folder / ASKED))
    texts = {one.text.lower() for one in asked if not is_unseen(one.table)}
    sides = {
        False: [one for one in asked if not is_unseen(one.table)],
        # Some tables stand there twice under two ids, with the same questions.
        True: [one for one in asked if is_unseen(one.table) and one.text.lower() not in texts],
    }
    look_ups = [
        LookUp(tables[line["table_id"]], line["question"], tuple(line["answers"]))
        for line in _lines(folder / LOOK_UPS)
        if line["table_id"] in tables
    ]
    return {
        unseen: Sources(
            [table for table in tables.values() if is_unseen(table.id) is unseen],
            [one for one in look_ups if is_unseen(one.table.id) is unseen],
            sides[unseen],
            _list_values(sides[unseen]),
        )
        for unseen in (False, True)
    }


def _list_values(asked: Sequence[Asked]) -> dict[tuple[str, str], list[str]]:
    """Return the values that questions have of each column, by table and column."""
    values: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in asked:
        for condition in one.conditions:
            values[one.table, condition.column].append(condition.value)
    return values


def is_unseen(table_id: str) -> bool:
    """Whether a table is kept out of training, by the SHA-256 of its id."""
    return falls_in(table_id, UNSEEN)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                found = json.loads(line)
                if not isinstance(found, dict):
                    raise SourceError(f"{path}, line {number}: not an object")
                yield found
    except (OSError, lzma.LZMAError, ValueError) as error:
        raise error if isinstance(error, SourceError) else SourceError(f"{path}: {error}") from error


def _tables(path: Path) -> Iterator[WikiTable]:
    """Yield the tables that a small model can read: few columns, names of their own, short cells."""
    for line in _lines(path):
        try:
            headers = tuple(" ".join(str(header).split()) for header in line["headers"])
            rows = tuple(tuple(str(cell).replace("\n", "\\n") for cell in row) for row in line["rows"])
            table = WikiTable(str(line["table_id"]), str(line["title"]), headers, rows)
        except (KeyError, TypeError) as error:
            raise SourceError(f"{path}: a table lacks {error}") from error
        if _is_fit(table):
            yield table


def _is_fit(table: WikiTable) -> bool:
    names = {header.lower() for header in table.headers}
    return (
        FEWEST_COLUMNS <= len(table.headers) <= MOST_COLUMNS
        and FEWEST_ROWS <= len(table.rows) <= MOST_ROWS
        and len(names) == len(table.headers)
        and all(0 < len(header) <= LONGEST_HEADER and "`" not in header for header in table.headers)
        and all(len(row) == len(table.headers) for row in table.rows)
        and all(len(cell) <= LONGEST_CELL for row in table.rows for cell in row)
    )


def _asked(path: Path) -> Iterator[Asked]:
    for line in _lines(path):
        try:
            yield Asked(
                table=str(line["table_id"]),
                text=" ".join(str(line["question"]).split()),
                columns=tuple(map(str, line["columns"])),
                select=str(line["select"]),
                function=str(line["agg"]),
                conditions=tuple(
                    Condition(str(one["column"]), str(one["operator"]), str(one["value"]))
                    for one in line["conditions"]
                ),
            )
        except (KeyError, TypeError) as error:
            raise SourceError(f"{path}: a question lacks {error}") from error
