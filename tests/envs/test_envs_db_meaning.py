"""MySQL's types and precision, statement by statement; MariaDB gives the same answers where it has them."""
# ruff: noqa: E501 - statements stand one a line

from collections.abc import Iterator

import pymysql
import pytest

from envs.dbbench.engines.mysql_engine import SESSION
from envs.dbbench.engines.mysql_server import COLLATION, Server
from envs.dbbench.engines.port import Table
from envs.dbbench.engines.shown import shown
from envs.dbbench.engines.sqlite_session import Bounds, build, contents, run
from tests.envs.test_envs_db_support import mariadb

BOUNDS = Bounds(5.0, 2**22, 10_000)
TABLE = Table.of("t", ["a", "n"], [["x", "2"], ["y", "5"], ["z", "abc"], [None, "10"]])
SCHEMA = {"t": ("a", "n")}
ALIKE = {
    "2/3*100, 1/3*3, ROUND(2/3, 6), 10/4, 1.5/3, CONCAT(2/3), CONCAT(7/2)": "66.6667, 1, 0.666667, 2.5, 0.5, '0.6667', '3.5000'",
    "2/3 = 0.6667, FLOOR(2/3*3), 0.1 + 0.2 = 0.3, 0.1e0 + 0.2e0 = 0.3e0": "1, 1, 1, 0",
    "CONCAT(1.50 * 2), CONCAT(1.0 + 1), CONCAT(7.50 % 2), CONCAT(-2.50), CONCAT(1e15), CONCAT(1e-5)": "'3.00', '2.0', '1.50', '-2.50', '1e15', '0.00001'",
    "CASE WHEN 1 THEN 1 ELSE 'a' END, IF(0, 'a', 2.50), COALESCE(NULL, 1, 2.50), IFNULL(1, 2e0)": "'1', '2.50', 1, 1",
    "CONCAT(CASE WHEN 1 THEN 1 ELSE 2.50 END), CONCAT(IF(1, 1, 2.50)), CONCAT(GREATEST(1, 2.50))": "'1.00', '1.00', '2.50'",
    "CAST('abcdef' AS CHAR(4)), CONVERT('abcdef', CHAR(2)), CAST(12345 AS DECIMAL(3, 1)), CAST(-1 AS UNSIGNED)": "'abcd', 'ab', 99.9, 18446744073709551615",
    "HOUR('10:11:12'), MINUTE('10:11:12'), SECOND('10:11:12'), HOUR('2001-01-01 10:11:12'), HOUR('abc')": "10, 11, 12, 10, None",
    "ROUND(2.5), ROUND(2.5e0), ROUND('2.567', 1), TRUNCATE(-1.999, 1), ROUND(1234.5, -2), CONCAT(ROUND(2e0, 1))": "3, 2, 2.6, -1.9, 1200, '2.0'",
    "~1, 1 << 63, 5 & 3, 3 ^ 1, '5abc' | 2": "18446744073709551614, 9223372036854775808, 1, 2, 7",
    "SUM(n + 0) / COUNT(*) * 100, AVG(n > 3), CONCAT(AVG(LENGTH(n))) FROM t": "425, 0.5, '1.7500'",
    "'2' BETWEEN '10' AND 5, '2' BETWEEN 1 AND '5', 'b' BETWEEN 'a' AND 'c'": "0, 1, 1",
    "DATE('2001-01-02') = '2001-1-2', DATE('2001-01-02') + 0, YEAR(NOW()) + 1": "1, 20010102, 2025",
    "(SELECT COUNT(*) FROM (SELECT 1 AS k UNION SELECT 1.0 UNION SELECT 2) AS q), 1 IN (SELECT '1.0')": "2, 1",
}
"""What is selected, and what both show."""
ERRORS = {
    "SELECT 9223372036854775807 + 1": 1690,
    "SELECT CAST(1 AS UNSIGNED) - 2": 1690,
    "SELECT 1e308 * 10": 1690,
    "SELECT (SELECT n FROM t)": 1242,
    "SELECT (SELECT 1, 2)": 1241,
    "SELECT n FROM t WHERE n IN (SELECT n FROM t LIMIT 1)": 1235,
    "SELECT a FROM t UNION SELECT a, n FROM t": 1222,
    "UPDATE t SET n = n + 1": 1292,
    "UPDATE t SET n = 1 / 0": 1365,
    "INSERT INTO t VALUES (1)": 1136,
    "SELECT x.a FROM t AS x, t AS x": 1066,
    "SELECT @@version_of_nothing": 1193,
    "SELECT LEAST(1)": 1582,
}


@pytest.fixture(scope="module")
def database() -> bytes:
    return build([TABLE], BOUNDS)


@pytest.fixture(scope="module")
def cursor() -> Iterator[pymysql.cursors.Cursor]:
    with mariadb() as url:
        server = Server.parse(url)
        with server.connect(server.admin, 60.0) as connection:
            made = connection.cursor()
            made.execute(f"CREATE DATABASE m CHARACTER SET utf8mb4 COLLATE {COLLATION}")
            made.execute("USE m")
            made.execute("CREATE TABLE t (a TEXT, n TEXT)")
            made.execute("INSERT INTO t VALUES ('x', '2'), ('y', '5'), ('z', 'abc'), (NULL, '10')")
            made.execute(SESSION.format(deadline="max_statement_time = 20"))
            yield made


@pytest.mark.parametrize(("items", "values"), ALIKE.items())
def test_both_show_the_same(database: bytes, cursor: pymysql.cursors.Cursor, items: str, values: str) -> None:
    assert run(database, SCHEMA, f"SELECT {items}", BOUNDS).text == f"[({values})]"
    cursor.execute(f"SELECT {items}")
    assert shown(cursor.fetchall(), 10_000) == f"[({values})]"


@pytest.mark.parametrize(("sql", "code"), ERRORS.items())
def test_both_fail_with_the_same_number(
    database: bytes, cursor: pymysql.cursors.Cursor, sql: str, code: int
) -> None:
    assert run(database, SCHEMA, sql, BOUNDS).text.startswith(f"Error {code}: ")

    def theirs() -> None:
        cursor.execute(sql)
        cursor.fetchall()

    with pytest.raises(pymysql.Error) as failed:
        theirs()
    assert failed.value.args[0] == code


@pytest.mark.parametrize(
    ("value", "stored"),
    [("1e2", "100"), ("1.50", "1.50"), ("7 / 2", "3.500000000"), ("2 * 2.5", "5.0"), ("TRUE", "1"), ("-5", "-5"),
     ("1 = 1", "1"), ("CONCAT('a', 1.0)", "a1.0"), ("DATE('2001-1-2')", "2001-01-02"), ("NULL", None), ("x'41'", "A")],
)  # fmt: skip
def test_both_store_the_same(
    database: bytes, cursor: pymysql.cursors.Cursor, value: str, stored: str | None
) -> None:
    ran = run(database, SCHEMA, f"INSERT INTO t VALUES ('new', {value})", BOUNDS)
    assert ran.database is not None, ran.text
    assert contents(ran.database, TABLE, BOUNDS)[-1] == ("new", stored)
    cursor.execute(f"INSERT INTO t VALUES ('new', {value})")
    cursor.execute("SELECT n FROM t WHERE a = 'new'")
    assert cursor.fetchall() == [(stored,)]
    cursor.execute("DELETE FROM t WHERE a = 'new'")


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (
            "SELECT n, LAG(n, 1, 0) OVER (ORDER BY n) FROM t",
            "[('10', '0'), ('2', '10'), ('5', '2'), ('abc', '5')]",
        ),
        (
            "SELECT DATE_FORMAT('2001-03-04', '%u')",
            "Error 1235: This engine doesn't yet support 'weeks in DATE_FORMAT'",
        ),
        ("INSERT INTO t VALUES (), (DEFAULT, 1)", "Query OK, 2 rows affected"),
        ("UPDATE t SET a = DEFAULT, n = 1 WHERE a = 'x'", "Query OK, 1 row affected"),
        ("SELECT 1 FROM DUAL WHERE 1 = 1", "[(1,)]"),
        ("SELECT _utf8mb4'x' = 'X'", "[(1,)]"),
        ("SELECT '\uffff1 5' + 1, CONVERT(x'EFBFBF31' USING utf8mb4) = 1", "[(1, 0)]"),
    ],
)
def test_what_mysql_has(database: bytes, sql: str, text: str) -> None:
    assert run(database, SCHEMA, sql, BOUNDS).text == text


def test_long_chains_run_and_deep_ones_are_refused(database: bytes) -> None:
    def text(sql: str) -> str:
        return run(database, SCHEMA, sql, BOUNDS).text

    assert text(f"SELECT {' + '.join(['1'] * 90)}, {' - '.join(['1.0'] * 60)}") == "[(90, -58)]"
    conditions = " OR ".join(f"n = {number}" for number in range(600))
    assert text(f"SELECT COUNT(*) FROM t WHERE {conditions}") == "[(4,)]"
    assert text(f"SELECT {'UPPER(' * 90}'a'{')' * 90}").startswith("Error 1436: ")


def test_windows_take_functions_in_their_clauses(database: bytes) -> None:
    sql = "SELECT n, SUM(n) OVER (PARTITION BY LENGTH(n) ORDER BY ABS(n), LOWER(n)) FROM t ORDER BY n"
    assert run(database, SCHEMA, sql, BOUNDS).text == "[('10', 10), ('2', 2), ('5', 7), ('abc', 0)]"
