"""One statement on one database in SQLite, with everything that could leave it shut off.

A database is a value: bytes in, bytes out. It lives in memory for the time of one statement.
"""

import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlglot.errors import SqlglotError

from envs.dbbench.engines.port import Row, Table
from envs.dbbench.engines.shown import cut, shown
from envs.dbbench.mysql import aggregates, arithmetic, dates, decimals, functions, patterns
from envs.dbbench.mysql.checks import Schema
from envs.dbbench.mysql.faults import Faults, collected
from envs.dbbench.mysql.statements import SYNTAX, UNKNOWN_COLUMN, SqlError, checked, done, too_slow
from envs.dbbench.mysql.translate import Translated, translate
from envs.dbbench.mysql.values import Value, collate, compare, compare_numbers, number, strictly, text

PAGE = 4096
HEAP = 64 * 2**20
"""What SQLite may take, bytes."""
OPS_BETWEEN_CHECKS = 1000
CALLED = re.compile(r"\bMY_(\w+)\(")
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: functions.LONGEST,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 200_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 500,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 2000,
}
ROWS = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)
ERRORS = (
    ("no such column: ", UNKNOWN_COLUMN, "Unknown column '{}'"),
    ("ambiguous column name: ", 1052, "Column '{}' is ambiguous"),
    ("misuse of aggregate", 1111, "Invalid use of group function"),
    ("database or disk is full", 1114, "The table is full"),
    ("string or blob too big", 1301, "A result is longer than max_allowed_packet"),
    ("out of memory", 1041, "Out of memory"),
    ("not authorized", 1142, "command denied"),
    ("parser stack overflow", 1436, "The statement is nested too deeply"),
    ("Expression tree is too large", 1436, "The statement is nested too deeply"),
)
"""How SQLite's errors begin, and MySQL's number and words."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one statement may take."""

    seconds: float
    size: int
    """The largest database, bytes."""
    shown: int
    """Where what is shown is cut, characters."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a statement did."""

    text: str
    ok: bool
    database: bytes | None = None
    """The database after it, where it changed."""


def build(tables: list[Table], bounds: Bounds) -> bytes:
    """A new database.

    Raises:
        SqlError: The tables are too large, or SQLite does not take them.
    """
    with _Connection(None, bounds) as connection:
        try:
            for table in tables:
                columns = ", ".join(f"{_name(column)} TEXT COLLATE mysql" for column in table.columns)
                connection.execute(f"CREATE TABLE {_name(table.name)} ({columns})")
                marks = ", ".join("?" * len(table.columns))
                connection.executemany(f"INSERT INTO {_name(table.name)} VALUES ({marks})", table.rows)  # noqa: S608
        except sqlite3.Error as error:
            raise _translated(error) from error
        return connection.serialize()


def run(database: bytes, schema: Schema, sql: str, bounds: Bounds) -> Ran:
    """Run one statement of MySQL's."""
    try:
        plan = _planned(checked(sql), schema)
        if plan.rows is not None:
            return Ran(shown(plan.rows, bounds.shown), ok=True)
        return _execute(database, plan, bounds)
    except SqlError as error:
        return Ran(cut(str(error), bounds.shown), ok=False)
    except RecursionError:
        return Ran("Error 1436: The statement is nested too deeply", ok=False)
    except MemoryError:
        return Ran("Error 1041: Out of memory", ok=False)


def _planned(sql: str, schema: Schema) -> Translated:
    try:
        return translate(sql, schema)
    except (ValueError, TypeError, LookupError, AttributeError, SqlglotError) as error:
        raise SqlError(SYNTAX, f"You have an error in your SQL syntax ({type(error).__name__})") from error


def contents(database: bytes, table: Table, bounds: Bounds) -> list[Row]:
    """All rows of a table."""
    with _Connection(database, bounds) as connection:
        columns = ", ".join(map(_name, table.columns))
        return connection.execute(f"SELECT {columns} FROM {_name(table.name)}").fetchall()  # noqa: S608


def _execute(database: bytes, plan: Translated, bounds: Bounds) -> Ran:
    with ExitStack() as stack:
        connection = stack.enter_context(_Connection(database, bounds, plan.sql))
        deadline = time.monotonic() + bounds.seconds
        stack.enter_context(strictly(plan.strict))
        faults = stack.enter_context(collected())
        connection.set_progress_handler(lambda: time.monotonic() > deadline, OPS_BETWEEN_CHECKS)
        connection.set_authorizer(_allows)
        try:
            cursor = connection.execute(plan.sql)
            if not plan.changes:
                return Ran(shown(cursor, bounds.shown), ok=True)
            rows = cursor.rowcount
            connection.set_progress_handler(None, 0)
            return Ran(done(rows), ok=True, database=connection.serialize())
        except sqlite3.Error as error:
            if time.monotonic() > deadline:
                raise too_slow(bounds.seconds) from error
            raise _fault(faults, error) from error


def _fault(faults: Faults, error: sqlite3.Error) -> SqlError:
    return faults.first or _translated(error)


class _Connection:
    """A connection to a database in memory, for a `with`.

    Args:
        database: What it holds; None for nothing.
        bounds: What it may take.
        sql: The statement that it is for: only functions that it names are made.
    """

    def __init__(self, database: bytes | None, bounds: Bounds, sql: str = "") -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
        self._connection = connection
        connection.create_collation("mysql", collate)
        for name in set(CALLED.findall(sql)):
            if name in CALLS:
                connection.create_function(f"MY_{name}", -1, CALLS[name], deterministic=True)
            elif name in AGGREGATES:
                connection.create_aggregate(f"MY_{name}", -1, AGGREGATES[name])  # type: ignore[arg-type]
            elif name in WINDOWS:
                connection.create_window_function(f"MY_{name}", 1, WINDOWS[name])
        if database is not None:
            connection.deserialize(database)
        for pragma in (
            f"hard_heap_limit={HEAP}",
            f"max_page_count={bounds.size // PAGE}",
            "temp_store=MEMORY",
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
        for limit, value in LIMITS.items():
            connection.setlimit(limit, value)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _allows(action: int, one: str | None, other: str | None, database: str | None, _: str | None) -> int:
    """Reading and changing rows of the session's own tables, and calling functions that are known."""
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        known = (other or "").upper().startswith("MY_") or (other or "").lower() in PLAIN
        return sqlite3.SQLITE_OK if known else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_READ or action in ROWS:
        own = not (one or "").lower().startswith(("sqlite_", "pragma_"))
        return sqlite3.SQLITE_OK if own else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_DENY


def _translated(error: sqlite3.Error) -> SqlError:
    text = str(error)
    for beginning, code, message in ERRORS:
        if text.startswith(beginning):
            return SqlError(code, message.format(text.removeprefix(beginning)))
    if "term out of range" in text:
        return SqlError(UNKNOWN_COLUMN, "Unknown column in 'order clause'")
    if "columns but" in text or "values for" in text:
        return SqlError(1136, "Column count doesn't match value count")
    if "do not have the same number of result columns" in text:
        return SqlError(1222, "The used SELECT statements have a different number of columns")
    if "user-defined" in text:
        return SqlError(1690, "A function has no value for its arguments")
    return SqlError(SYNTAX, f"You have an error in your SQL syntax: {text}")


def _name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _between(compared: Callable[[Value, Value], int | None]) -> Callable[[Value, Value, Value], Value]:
    def guarded(value: Value, low: Value, high: Value) -> Value:
        below, above = compared(value, low), compared(value, high)
        if (below is not None and below < 0) or (above is not None and above > 0):
            return 0
        return None if below is None or above is None else 1

    return guarded


def _compare_exactly(one: Value, other: Value) -> int | None:
    return compare(one, other, rounded=False)


def _compare_numbers(one: Value, other: Value) -> int | None:
    return (
        None if one is None or other is None else compare_numbers(number(one), number(other), rounded=False)
    )


def _compare_doubles(one: Value, other: Value) -> int | None:
    if one is None or other is None:
        return None
    return compare_numbers(decimals.double(number(one)), decimals.double(number(other)))


def _in(value: Value, *members: Value) -> Value:
    found = {_compare_exactly(value, member) for member in members}
    return 1 if 0 in found else None if None in found else 0


def _case_equal(value: Value, other: Value) -> Value:
    order = _compare_exactly(value, other)
    return None if order is None else int(order == 0)


def _same(one: Value, other: Value) -> Value:
    return (
        int(one is None and other is None) if one is None or other is None else int(compare(one, other) == 0)
    )


def _xor(one: Value, other: Value) -> Value:
    return None if one is None or other is None else int(bool(one) != bool(other))


def _compares(name: str) -> Callable[[Value, Value], Value]:
    holds = aggregates.OPERATORS[name]

    def guarded(one: Value, other: Value) -> Value:
        order = compare(one, other)
        return None if order is None else int(holds(order))

    return guarded


def _binary(value: Value) -> Value:
    return value if value is None or isinstance(value, bytes) else (text(value) or "").encode()


def _exact_text(value: Value) -> Value:
    given = text(value)
    return None if given is None else given.rstrip(" ").encode()


PLAIN = frozenset(
    """count min max sum avg coalesce row_number rank dense_rank ntile lag lead first_value last_value
    nth_value percent_rank cume_dist""".split()  # noqa: SIM905
)
"""SQLite's own functions that the translation uses."""
CALLS: dict[str, Callable[..., Any]] = {
    **functions.FUNCTIONS,
    **arithmetic.NUMBERS,
    **dates.DATES,
    **{name: _compares(name) for name in aggregates.OPERATORS},
    "BETWEEN": _between(_compare_exactly),
    "BETWEEN_DOUBLES": _between(_compare_doubles),
    "BETWEEN_NUMBERS": _between(_compare_numbers),
    "BINARY": _binary,
    "CASE_EQ": _case_equal,
    "CAST_BINARY": functions.strict(lambda value, width: (_binary(value) or b"")[:width].ljust(width, b"\0")),  # type: ignore[index]
    "CAST_DECIMAL": functions.strict(arithmetic.to_decimal),
    "CAST_TEXT": functions.strict(lambda value, width: (text(value) or "")[:width]),
    "CONCAT_KEY": functions.texts(lambda *values: "\0".join(values)),
    "DATE_ADD": dates.date_add,
    "DIFFERENCE": dates.difference,
    "EXACT_TEXT": _exact_text,
    "IN": _in,
    "LIKE": functions.like,
    "REGEXP_INSTR": patterns.position,
    "REGEXP_LIKE": patterns.matches,
    "REGEXP_REPLACE": patterns.replaced,
    "REGEXP_SUBSTR": patterns.substring,
    "SAME": _same,
    "STORED": arithmetic.stored,
    "TEXT": text,
    "TRIM_OFF": functions.texts(functions.trim),
    "XOR": _xor,
}
WINDOWS: dict[str, Callable[[], Any]] = {"AVG": aggregates.Average, "SUM": aggregates.Sum}
"""Aggregates that are windows, too."""
AGGREGATES: dict[str, Callable[[], Any]] = {
    "ALL": partial(aggregates.Quantified, False),
    "ANY": partial(aggregates.Quantified, True),
    "ANY_VALUE": aggregates.AnyValue,
    "GROUP_CONCAT": aggregates.GroupConcat,
    "ONE": aggregates.One,
    "SPREAD": aggregates.Spread,
}
