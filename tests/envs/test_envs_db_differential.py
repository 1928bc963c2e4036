"""Random statements on SQLite and on MariaDB: what is offered answers, changes and fails alike."""

import ast
import contextlib
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from envs.dbbench.engines.mysql_engine import LOST, SESSION
from envs.dbbench.engines.mysql_server import COLLATION, Server
from envs.dbbench.engines.shown import shown
from envs.dbbench.engines.sqlite_session import Bounds, build, contents, run
from envs.dbbench.mysql.rules import NOT_OFFERED
from envs.dbbench.mysql.statements import checked, done, reads
from envs.dbbench.mysql.values import weight
from tests.envs.test_envs_db_random import TABLES, Part, Statements, shrink
from tests.envs.test_envs_db_support import mariadb

LIMIT = 100_000
BOUNDS = Bounds(20.0, 2**22, LIMIT)
SCHEMA = {table.name: table.columns for table in TABLES}
SEED = os.environ.get("ESPALIER_TEST_SEED", "0")
FEW, MANY = 300, 20_000
MOST_REFUSED = 0.12
"""How many of the statements may be refused by SQLite's side as not offered."""
CLOSE = 1e-11
"""How far doubles may be apart: the two reckon functions such as EXP with libraries of their own."""
VALUE_ERRORS = (None, 1292, 1365, 1411, 1690)
"""How a statement that changes rows ends where a value is wrong; which of the values is met first is free."""
REGEXP_ERROR, REGEXP_ERRORS = 1139, range(3685, 3700)
"""The number of every fault of a regular expression in MariaDB, and the numbers in MySQL."""
ROW_ERRORS = {4078: 1241}
"""Errors of MariaDB's, and MySQL's for the same."""
WIDE = 1e15
"""MariaDB cuts doubles of this size to a width of its own in temporary tables."""
FOLDED = ("GROUP BY", "DISTINCT", "UNION", "INTERSECT", "EXCEPT", "MIN(", "MAX(", "ORDER BY", "GREATEST(", "LEAST(")  # fmt: skip # noqa: E501
"""In a statement with one of these, which of several equal texts is shown is free."""


@dataclass(frozen=True)
class Answer:
    """What a statement did."""

    code: int | None
    """The error's number."""
    text: str
    rows: tuple[Any, ...] = ()
    """The tables afterwards, where it changes rows."""


class Reference:
    """A connection to a MariaDB with the tables."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._start()

    def _start(self) -> None:
        server = Server.parse(self._stack.enter_context(mariadb()))
        self._connection = self._stack.enter_context(server.connect(server.admin, 60.0))
        self.run(f"CREATE OR REPLACE DATABASE differential CHARACTER SET utf8mb4 COLLATE {COLLATION}")
        self.run("USE differential")
        for table in TABLES:
            columns = ", ".join(f"`{column}` TEXT" for column in table.columns)
            self.run(f"CREATE TABLE `{table.name}` ({columns})")
            for row in table.rows:
                values = ", ".join(self._connection.escape(value) for value in row)
                self.run(f"INSERT INTO `{table.name}` VALUES ({values})")
        self._connection.commit()
        self.run(SESSION.format(deadline="max_statement_time = 20"))

    def close(self) -> None:
        """Leave, and end the server."""
        self._stack.close()

    def run(self, sql: str) -> Any:
        """Run a statement; its cursor."""
        cursor = self._connection.cursor()
        cursor.execute(sql)
        return cursor

    def answer(self, sql: str) -> Answer:
        """What a statement does; nothing stays changed."""
        sql = sql.replace("SYSDATE()", "NOW()")
        try:
            cursor = self.run(sql)
            if reads(sql):
                # Microseconds of a moment that was a text are MariaDB's alone.
                return Answer(None, shown(cursor.fetchall(), LIMIT).replace(".000000'", "'"))
            text = done(cursor.rowcount)
            rows = [
                tuple(row) for table in TABLES for row in self.run(f"SELECT * FROM `{table.name}`").fetchall()
            ]
            return Answer(None, text, tuple(sorted(rows, key=str)))
        except pymysql.Error as error:
            if error.args[0] in LOST:
                # MariaDB 10.11 itself ends now and then; a new one answers the statements that follow.
                self.close()
                self._start()
            return Answer(int(error.args[0]), str(error.args[1]))
        finally:
            with contextlib.suppress(pymysql.Error):
                self._connection.rollback()


def ours(database: bytes, sql: str) -> Answer:
    """What a statement does on SQLite."""
    ran = run(database, SCHEMA, sql, BOUNDS)
    if not ran.ok:
        return Answer(int(ran.text.removeprefix("Error ").partition(":")[0]), ran.text)
    if reads(checked(sql)):
        return Answer(None, ran.text)
    after = ran.database or database
    rows = [row for table in TABLES for row in contents(after, table, BOUNDS)]
    return Answer(None, ran.text, tuple(sorted(rows, key=str)))


def differs(sql: str, one: Answer, other: Answer) -> bool:
    """Whether two answers are not the same.

    SQLite's side may refuse what it does not offer. It is as strict as MySQL 8 where rows are changed;
    MariaDB is not in all of their parts.
    """
    if other.code in LOST:
        return False
    if one.code is not None or other.code is not None:
        if other.code == REGEXP_ERROR:
            return one.code not in REGEXP_ERRORS
        strict = not reads(sql) and one.code in VALUE_ERRORS and other.code in VALUE_ERRORS
        return one.code not in (other.code, ROW_ERRORS.get(other.code or 0), NOT_OFFERED) and not strict
    if one.text.startswith("Query OK"):
        return one.text != other.text or _apart(one.rows, other.rows)
    folded = any(word in sql for word in FOLDED)
    left, right = (_rows(answer.text, folded=folded) for answer in (one, other))
    if "ORDER BY 1" not in sql:
        left, right = sorted(left, key=_key), sorted(right, key=_key)
    return _apart(left, right)


def _rows(text: str, *, folded: bool) -> list[Any]:
    rows = ast.literal_eval(text.replace("nan", "None"))
    return [
        tuple(weight(value) if folded and isinstance(value, str) else value for value in row) for row in rows
    ]


def _key(row: Any) -> str:
    return str([f"{value:.6g}" if isinstance(value, int | float) else value for value in row])


def _apart(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) != len(other) or any(_apart(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, int | float) and isinstance(other, int | float):
        if min(abs(one), abs(other)) >= WIDE:
            return False
        return not math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-300)
    return one != other


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    """MariaDB."""
    connected = Reference()
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def database() -> bytes:
    """The tables in SQLite."""
    return build(list(TABLES), BOUNDS)


def compare(reference: Reference, database: bytes, seed: str, count: int) -> tuple[list[str], Counter[str]]:
    """Run statements on both: what differs, made small, and how often what happened."""
    statements = Statements(seed)
    found: list[str] = []
    seen: Counter[str] = Counter()

    def apart(part: Part) -> bool:
        sql = str(part)
        return differs(sql, ours(database, sql), reference.answer(sql))

    for number in range(count):
        statement = statements.statement()
        sql = str(statement)
        one, other = ours(database, sql), reference.answer(sql)
        seen["refused" if one.code == NOT_OFFERED and other.code != NOT_OFFERED else "run"] += 1
        seen["errors"] += other.code is not None
        seen["lost"] += other.code in LOST
        if differs(sql, one, other):
            least = str(shrink(statement, apart))
            one, other = ours(database, least), reference.answer(least)
            found.append(f"{number}: {least}\n  SQLite:  {one}\n  MariaDB: {other}")
    return found, seen


def test_a_few_random_statements_are_alike(reference: Reference, database: bytes) -> None:
    found, seen = compare(reference, database, f"few/{SEED}", FEW)
    assert found == [], "\n".join(found)
    assert seen["refused"] <= MOST_REFUSED * FEW
    assert seen["errors"] < FEW / 3, "most statements run"


@pytest.mark.verify
@pytest.mark.parametrize("part", range(4))
def test_many_random_statements_are_alike(reference: Reference, database: bytes, part: int) -> None:
    found, seen = compare(reference, database, f"many/{SEED}/{part}", MANY // 4)
    assert found == [], "\n".join(found)
    assert seen["refused"] <= MOST_REFUSED * MANY / 4
    assert seen["lost"] < 5


def test_a_difference_is_found_and_made_small(reference: Reference, database: bytes) -> None:
    """The comparison itself: a fault that is put in comes out as a small statement."""
    statement = next(part for part in (Statements("shrink").statement() for _ in range(1)) if part.size > 0)
    sql = str(statement)
    assert not differs(sql, reference.answer(sql), reference.answer(sql))
    right, wrong = "SELECT t.Name LIKE 'g%' FROM `t x` AS t", "SELECT t.Name NOT LIKE 'g%' FROM `t x` AS t"
    assert differs(right, ours(database, right), reference.answer(wrong))
