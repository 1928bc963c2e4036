"""One task: a question about tables, and what makes an answer right."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.dbbench import scoring
from envs.dbbench.engines.port import Table
from envs.serving.environment import BadTaskError
from services.contracts.task import InlineTask

CHANGES = ("INSERT", "UPDATE", "DELETE")
SPLITS = ("dev", "standard")
MOST_TABLES, MOST_COLUMNS, MOST_ROWS = 10, 200, 10_000
MOST_LABELS, LONGEST_TEXT = 10_000, 100_000
"""How many values a client's label has, and how long one of its texts is, characters."""
LARGEST_NUMBER = 10**30
KNOWN = ("table", "label", "sql", "type", "add_description", "answer_md5", "evidence")


class RecordError(ValueError):
    """Raised when a file or a record is malformed; the message has the place."""


@dataclass(frozen=True, slots=True)
class Question:
    """A task."""

    kind: str
    """AgentBench's type: counting, comparison, ranking, aggregation-SUM, other, INSERT, UPDATE ..."""
    text: str
    tables: tuple[Table, ...]
    note: str
    """The description of the tables (`add_description`)."""
    label: tuple[str | None, ...] | None = None
    """The right answer; None where the gold statement gives it, or where the table is what counts."""
    sql: str = ""
    """The gold statement; not always one that runs, in official records."""
    checksums: tuple[str, ...] = ()
    """What the tables' checksums are to be, where the table is what counts."""
    evidence: str = ""

    @property
    def changes(self) -> bool:
        """Whether the table is what counts."""
        return self.kind in CHANGES

    @property
    def shown(self) -> str:
        """The first observation, as AgentBench's user words it."""
        evidence = f"Evidence about the question: {self.evidence}\n" if self.evidence else ""
        return (
            f"{evidence}Additional table information about the question: {self.note}\nQuestion: {self.text}"
        )


def described(tables: Sequence[Table]) -> str:
    """Return the description of tables, in AgentBench's words."""
    return " ".join(
        f"The name of this table is {table.name}, "
        f"and the headers of this table are {','.join(table.columns)}."
        for table in tables
    )


def read_official(folder: Path) -> dict[str, list[Question]]:
    """The official splits that a folder has, as `dbbench/<split>.jsonl` or `<split>.jsonl`.

    Raises:
        RecordError: There are none, or a record is not AgentBench's.
    """
    splits: dict[str, list[Question]] = {}
    for split in SPLITS:
        paths = (folder / "dbbench" / f"{split}.jsonl", folder / f"{split}.jsonl")
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            splits[split] = list(_records(path))
    return splits


def from_record(record: Mapping[str, Any]) -> Question:
    """A task out of a record of AgentBench's.

    Raises:
        RecordError: It is malformed.
    """
    try:
        kind = record["type"][0] if isinstance(record["type"], list) else str(record["type"])
        label = tuple(None if value is None else str(value) for value in record.get("label") or ())
        tables, renamed = _tables(record["table"])
        sql = str((record.get("sql") or {}).get("query") or "")
        description = str(record.get("add_description") or "")
        changes = kind in CHANGES
        return Question(
            kind=kind,
            text=str(record["description"]),
            tables=tables,
            # A name that MySQL does not take was changed: an agent must see what it is now.
            note=described(tables) if renamed or not description else description,
            label=None if changes else label,
            sql=sql or (str(label[0]) if changes and label else ""),
            checksums=scoring.official(record.get("answer_md5")),
            evidence=str(record.get("evidence") or ""),
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise RecordError(f"not a record of AgentBench's dbbench: {type(error).__name__} {error}") from error


def from_inline(task: InlineTask) -> Question:
    """A task of a client's own: `data` has `table`, and `label` or `sql`; README.md has the form.

    Raises:
        BadTaskError: Something is missing or too large.
    """
    data = task.data
    _check_data(data)
    if "table" not in data:
        raise BadTaskError(
            "give data.table: {table_name, table_info: {columns, rows}} or {name, columns, rows}"
        )
    if not (data.get("label") or data.get("sql") or data.get("answer_md5")):
        raise BadTaskError("give data.label (a list) or data.sql (the statement that answers or changes)")
    label, sql = data.get("label"), data.get("sql")
    record = {
        "type": [data.get("type", "other")],
        "description": task.instruction,
        "table": data["table"],
        "label": [label] if isinstance(label, str | int | float) else label,
        "sql": {"query": sql} if isinstance(sql, str) else sql,
        "add_description": data.get("add_description"),
        "answer_md5": data.get("answer_md5"),
        "evidence": data.get("evidence"),
    }
    try:
        question = from_record(record)
    except RecordError as error:
        raise BadTaskError(f"the task's data: {error}") from error
    if not question.changes and not question.label:
        question = Question(question.kind, question.text, question.tables, question.note, None, question.sql)
    _check_size(question.tables)
    return question


def _check_data(data: Mapping[str, Any]) -> None:
    """Refuse what no table and no label can hold: nested values, infinite numbers and NaN, half characters.

    Raises:
        BadTaskError: Something of this is in it.
    """
    label, sql, tables = data.get("label"), data.get("sql"), data.get("table")
    values = label if isinstance(label, list) else [label]
    if len(values) > MOST_LABELS:
        raise BadTaskError(f"data.label has at most {MOST_LABELS} values")
    for value in values:
        _check_value("data.label", value)
    for name in KNOWN[3:]:
        if not isinstance(data.get(name), str | None):
            raise BadTaskError(f"data.{name} is a text")
        _check_value(f"data.{name}", data.get(name))
    query = sql.get("query") if isinstance(sql, Mapping) else sql
    if not isinstance(query, str | None):
        raise BadTaskError("data.sql is a statement")
    _check_value("data.sql", query)
    for table in tables if isinstance(tables, list) else [tables]:
        _check_table(table)


def _check_table(table: object) -> None:
    if table is None:
        return
    info = table.get("table_info", table) if isinstance(table, Mapping) else None
    rows = info.get("rows") if isinstance(info, Mapping) else None
    columns = info.get("columns") if isinstance(info, Mapping) else None
    if not isinstance(rows, list) or not isinstance(columns, list):
        raise BadTaskError("data.table has columns and rows, each a list")
    if len(columns) > MOST_COLUMNS or len(rows) > MOST_ROWS:
        raise BadTaskError(f"a table has 1 to {MOST_COLUMNS} columns and at most {MOST_ROWS} rows")
    for column in columns:
        _check_value("data.table.columns", column.get("name") if isinstance(column, Mapping) else column)
    for row in rows:
        if not isinstance(row, list) or len(row) > MOST_COLUMNS:
            raise BadTaskError(f"data.table.rows are lists of at most {MOST_COLUMNS} values")
        for value in row:
            _check_value("data.table.rows", value)


def _check_value(place: str, value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise BadTaskError(f"{place} has a number that is not finite")
    if not isinstance(value, str | int | float | None):
        raise BadTaskError(f"{place} has texts, numbers and null")
    if isinstance(value, int) and abs(value) >= LARGEST_NUMBER:
        raise BadTaskError(f"{place} has a number of more than 30 digits: give it as a text")
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise BadTaskError(f"{place} has a text of more than {LONGEST_TEXT} characters")
        if any("\ud800" <= sign <= "\udfff" for sign in value):
            raise BadTaskError(f"{place} has half a character (a lone surrogate)")


def _check_size(tables: Sequence[Table]) -> None:
    if not tables or len(tables) > MOST_TABLES or len({table.name for table in tables}) < len(tables):
        raise BadTaskError(f"give one to {MOST_TABLES} tables, each with a name of its own")
    for table in tables:
        if not table.columns or len(table.columns) > MOST_COLUMNS or len(table.rows) > MOST_ROWS:
            raise BadTaskError(f"a table has 1 to {MOST_COLUMNS} columns and at most {MOST_ROWS} rows")


def _records(path: Path) -> Iterator[Question]:
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                yield from_record(json.loads(line))
            except ValueError as error:
                raise RecordError(f"{path}, line {number}: {error}") from error


def _tables(given: Any) -> tuple[tuple[Table, ...], bool]:
    """The tables, and whether a name in them had to be changed."""
    tables: list[Table] = []
    renamed = False
    for listed in given if isinstance(given, list) else [given]:
        info = listed.get("table_info", listed)
        columns = [
            column["name"] if isinstance(column, Mapping) else str(column) for column in info["columns"]
        ]
        name = str(listed.get("table_name") or listed.get("name") or "table_1")
        table = Table.of(name, columns, info["rows"])
        renamed = renamed or table.columns != tuple(columns) or table.name != name
        tables.append(table)
    return tuple(tables), renamed
