"""Nothing that is written in a statement is lost: each argument of each node is read by a rule, or refused."""
# ruff: noqa: E501 - statements stand one a line

import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest
from sqlglot import exp

from envs.dbbench.engines import sqlite_session
from envs.dbbench.engines.port import Table
from envs.dbbench.engines.sqlite_engine import SqliteEngine
from envs.dbbench.engines.sqlite_session import Bounds, build, contents, run
from envs.dbbench.mysql.calls import SPECIAL
from envs.dbbench.mysql.changes import Assigned
from envs.dbbench.mysql.checks import Schema
from envs.dbbench.mysql.rules import NOT_OFFERED, RULES, Rules
from envs.dbbench.mysql.scope import Scope
from envs.dbbench.mysql.signatures import AGGREGATES, RANKS, REFUSED, SIGNATURES
from envs.dbbench.mysql.statements import SqlError
from envs.dbbench.mysql.translate import translate
from envs.dbbench.settings import DbSettings

BOUNDS = Bounds(5.0, 2**22, 10_000)
TABLE = Table.of("t", ["a", "b"], [["x", "1"], ["y", "20"], ["xy", "3"], [None, "3"]])
SCHEMA: Schema = {"t": ("a", "b")}
OFFERED = dict(RULES.items())
CLASSES = sorted(
    {
        kind
        for kind in vars(exp).values()
        if inspect.isclass(kind) and issubclass(kind, exp.Expr) and not inspect.isabstract(kind)
    },
    key=lambda kind: kind.__name__,
)


def make(kind: type[exp.Expr], **arguments: object) -> exp.Expr:
    try:
        return kind(**arguments)
    except TypeError:
        pytest.skip(f"sqlglot makes no {kind.__name__} of its arguments alone")


def shown(sql: str) -> str:
    return run(build([TABLE], BOUNDS), SCHEMA, sql, BOUNDS).text


def test_sqlglot_has_the_classes_that_are_walked() -> None:
    assert len(CLASSES) > 500
    assert set(OFFERED) - {Assigned} <= set(CLASSES)
    assert 60 < len(OFFERED) < 120


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_argument_that_no_rule_reads_is_refused(kind: type[exp.Expr]) -> None:
    """Every class of sqlglot's with every argument of it, one that a later version may add among them."""
    rule = OFFERED.get(kind)
    for name in (*kind.arg_types, "brand_new"):
        if rule is not None and name in rule.reads:
            continue
        for value in (True, exp.Literal.number(1), [exp.Literal.number(1)], "x"):
            node = make(kind)
            node.args[name] = value
            with pytest.raises(SqlError) as refused:
                RULES.arguments(node)
            assert refused.value.code == NOT_OFFERED
    if rule is None:
        with pytest.raises(SqlError):
            RULES.apply(make(kind), None, Scope())


def test_a_rule_reads_what_its_parameters_name() -> None:
    rules = Rules()

    @rules(exp.Like)
    def like(node: exp.Expr, *, this: object = None, expression: object = None) -> object:
        return node, this, expression

    node = exp.Like(this=exp.column("a"), expression=exp.Literal.string("b"))
    assert rules.apply(node) == (node, node.this, node.expression)
    node.set("negate", True)
    with pytest.raises(SqlError, match="LIKE with NEGATE"):
        rules.apply(node)
    with pytest.raises(ValueError, match="Like"):
        rules(exp.Like)(like)


FREE = {
    "select": {"hint", "operation_modifiers", "locks"},
    "division": {"safe"},
    "adjacent": {"safe"},
    "identifier": {"this", "quoted"},
    "column": {"table"},
    "function": {"this"},
    "connector": {"this", "expression"},
    "window": {"alias", "over"},
    "frame": {"start_side", "end_side"},
    "insert": {"ignore"},
    "user_variable": {"this"},
}
"""Arguments that a rule leaves as they are, reads from the node itself, or that change nothing in MySQL."""


def test_every_argument_that_a_rule_takes_is_used() -> None:
    """A parameter that is taken and dropped would lose what is written."""
    for kind, rule in OFFERED.items():
        tree = ast.parse(textwrap.dedent(inspect.getsource(rule.apply))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        last = tree.body[-1]
        call = last.value if isinstance(last, ast.Return) else None
        name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
        if isinstance(last, ast.Raise) or name == "refuse":
            continue  # It stands in another node only, whose rule reads it.
        loaded = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        assert rule.reads - loaded <= FREE.get(tree.name, set()), kind


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT a FROM t WHERE a NOT LIKE 'x%'", "[('y',)]"),
        ("SELECT a FROM t WHERE a NOT LIKE 'x|%' ESCAPE '|'", "[('x',), ('y',), ('xy',)]"),
        ("SELECT a FROM t WHERE NOT a LIKE 'x%'", "[('y',)]"),
        ("SELECT a FROM t WHERE a NOT REGEXP '^x'", "[('y',)]"),
        ("SELECT a FROM t WHERE a NOT IN ('x', 'y')", "[('xy',)]"),
        ("SELECT a FROM t WHERE b NOT BETWEEN 2 AND 5", "[('x',), ('y',)]"),
        ("SELECT a FROM t WHERE a IS NOT NULL AND b IS NOT TRUE", "[]"),
        ("SELECT COUNT(*) FROM t WHERE NOT EXISTS (SELECT 1 FROM t AS u WHERE u.a = t.b)", "[(4,)]"),
        ("SELECT a FROM t WHERE b NOT IN (SELECT b FROM t WHERE a = 'x')", "[('y',), ('xy',), (None,)]"),
        ("SELECT a FROM t WHERE b <> ALL (SELECT b FROM t WHERE a = 'x')", "[('y',), ('xy',), (None,)]"),
    ],
)
def test_negations(sql: str, rows: str) -> None:
    assert shown(sql) == rows


def test_negated_conditions_change_the_other_rows() -> None:
    database = build([TABLE], BOUNDS)
    for sql, left in (
        ("DELETE FROM t WHERE a NOT LIKE 'x%'", ["x", "xy", None]),
        ("UPDATE t SET a = 'new' WHERE a NOT LIKE '%y' ESCAPE '!'", ["new", "y", "xy", None]),
    ):
        ran = run(database, SCHEMA, sql, BOUNDS)
        assert ran.database is not None
        assert [row[0] for row in contents(ran.database, TABLE, BOUNDS)] == left


REFUSED_STATEMENTS = {
    NOT_OFFERED: """
SELECT a, COUNT(*) FROM t GROUP BY a WITH ROLLUP
INSERT INTO t VALUES ('z', 1) RETURNING a
WITH x AS (SELECT 1) DELETE FROM t
WITH x AS (SELECT 1) UPDATE t SET a = 1
UPDATE t JOIN t AS u ON t.a = u.a SET t.a = 1
DELETE t FROM t JOIN t AS u ON t.a = u.a
DELETE FROM t USING t JOIN t AS u
DELETE QUICK FROM t
SELECT a FROM t PARTITION (p0)
SELECT a FROM t TABLESAMPLE (10)
SELECT a FROM t USE INDEX (x)
SELECT a FROM t WHERE a = 1 QUALIFY 1
SELECT DISTINCT ON (a) b FROM t
SELECT a FROM t FETCH FIRST 1 ROWS ONLY
SELECT a INTO @x FROM t
SELECT * FROM t, LATERAL (SELECT 1) AS l
SELECT GROUP_CONCAT(a LIMIT 1) FROM t
SELECT _latin1'a'
SELECT b'01'
SELECT @x := 1
SELECT a->'$.x' FROM t
SELECT CAST(a AS JSON) FROM t
SELECT CAST(a AS TIME) FROM t
SELECT CAST(a AS DATETIME(3)) FROM t
SELECT CONVERT(a USING latin1) FROM t
SELECT a COLLATE utf8mb4_unicode_ci FROM t
SELECT EXTRACT(YEAR_MONTH FROM a) FROM t
SELECT a + INTERVAL '1:2' MINUTE_SECOND FROM t
SELECT a FROM t WHERE a IN (SELECT a FROM t LIMIT 1)
SELECT a LIKE 'x' IN (1) FROM t
SELECT JSON_EXTRACT(a, '$.x'), 1 FROM t
SELECT SOUNDEX(a) FROM t
SELECT a SOUNDS LIKE 'b' FROM t
SELECT RAND()
SELECT UUID()
SELECT SLEEP(1)
""",
    1305: """
SELECT no_such_function(1)
SELECT MY_CONCAT('a')
SELECT sqlite_version()
""",
    1064: """
SELECT a FROM t AS u (c)
SELECT a, * FROM t
SELECT a FROM t LEFT JOIN t AS u
SELECT a FROM t FULL JOIN t AS u ON 1
SELECT a FROM t ORDER BY a DESC NULLS FIRST
SELECT a FROM t LIMIT 1 + 1
SELECT LAG(a) IGNORE NULLS OVER (ORDER BY a) FROM t
SELECT INTERVAL 1 DAY
""",
    1242: "SELECT (SELECT a FROM t)",
    1241: "SELECT (SELECT a, b FROM t LIMIT 1)",
    1582: "SELECT SUBSTRING_INDEX('a', 'b')",
}
"""What is refused, by MySQL's number."""


@pytest.mark.parametrize(
    ("code", "sql"),
    [(code, sql) for code, text in REFUSED_STATEMENTS.items() for sql in text.strip().splitlines()],
)
def test_what_is_not_offered_is_refused_by_mysqls_number(code: int, sql: str) -> None:
    database = build([TABLE], BOUNDS)
    ran = run(database, SCHEMA, sql, BOUNDS)
    assert ran.text.startswith(f"Error {code}: "), ran.text
    assert (ran.ok, ran.database) == (False, None)


def test_comparisons_hold_alike_from_left_to_right() -> None:
    assert (
        shown("SELECT 3 = 2 < 1, 1 <> 2 <= 0, 0 <=> 5 >= 0, 5 > 4 = 1, 1 = 2 IS NULL") == "[(1, 0, 1, 1, 0)]"
    )
    with pytest.raises(SqlError):
        translate("SELECT a FROM nowhere", SCHEMA)


def test_the_readme_lists_every_function_and_no_other() -> None:
    text = (Path(sqlite_session.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    start = text.index("## SQL in SQLite")
    table = text[start : text.index("Refused are WITH", start)]
    words = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", table))
    offered = {
        *SIGNATURES,
        *SPECIAL,
        *AGGREGATES,
        *RANKS,
        "GROUP_CONCAT",
        "CHAR",
        "EXTRACT",
        "POSITION",
        "TRIM",
    }
    aliases = {
        "CEILING",
        "CHARACTER_LENGTH",
        "OCTET_LENGTH",
        "POWER",
        "CURRENT_DATE",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "CURRENT_TIMESTAMP",
    }
    assert offered - words - aliases == set(), "the README lists them"
    assert offered & REFUSED == set()
    assert words & REFUSED <= {
        "WEEK",
        "TIMESTAMP",
        "MATCH",
        "USER",
        "ROW",
        "TIME",
        "INTERVAL",
        "VALUES",
        "DEFAULT",
    }
    for name in sorted(
        REFUSED
        - {
            "DEFAULT",
            "VALUES",
            "INTERVAL",
            "CURRENT_TIME",
            "CURRENT_USER",
            "CURRENT_ROLE",
            "MATCH",
            "UTC_TIME",
        }
    ):
        ran = run(build([TABLE], BOUNDS), SCHEMA, f"SELECT {name}('1')", BOUNDS)
        assert ran.text.startswith(f"Error {NOT_OFFERED}: "), (name, ran.text)


async def test_every_function_runs_where_no_file_can_be_opened() -> None:
    """A worker that is shut in can import nothing any more."""
    engine = SqliteEngine(DbSettings(dbbench_workers=1, agentbench_data=None))
    await engine.open()
    handle = await engine.create([TABLE])
    try:
        for name, signature in SIGNATURES.items():
            arguments = ", ".join(["'2'"] * signature.least)
            shown = await engine.run(handle, f"SELECT {name}({arguments})")
            assert shown.ok or shown.text.startswith("Error 1690"), (name, shown.text)
    finally:
        await engine.end(handle)
        await engine.close()
