"""One statement of MySQL's for SQLite."""

import re
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from envs.dbbench.engines.port import DATABASE
from envs.dbbench.mysql import calls, casts, changes, comparisons, expressions, queries, unions, windows
from envs.dbbench.mysql.changes import change
from envs.dbbench.mysql.checks import Schema, check
from envs.dbbench.mysql.dialect import Reader, Writer
from envs.dbbench.mysql.functions import like
from envs.dbbench.mysql.order import check_groups, check_order
from envs.dbbench.mysql.rewrite import Rewriter
from envs.dbbench.mysql.rules import RULES, refuse
from envs.dbbench.mysql.statements import DENIED, SYNTAX, SqlError

Rows = list[tuple[Any, ...]]
LIMITED_VALUES = re.compile(r"\)\s*LIMIT\s+[1-9]\d*\Z", re.IGNORECASE)
"""MariaDB takes a LIMIT after VALUES, as after a SELECT."""
RULE_MODULES = (calls, casts, changes, comparisons, expressions, queries, unions, windows)
"""Modules whose rules register themselves as they are imported."""
KEPT = (exp.Select, exp.SetOperation, exp.Subquery, exp.Insert, exp.Update, exp.Delete)


@dataclass(frozen=True, slots=True)
class Translated:
    """What is to be done for a statement."""

    sql: str = ""
    """What SQLite is to run."""
    rows: Rows | None = None
    """The answer, where it needs no database."""
    changes: bool = False
    """Whether it changes rows."""
    strict: bool = False
    """Whether a text that is no number is an error where one is read (in MariaDB, not for DELETE)."""


def translate(sql: str, schema: Schema) -> Translated:
    """Translate a statement that `statements.checked` let pass.

    Raises:
        SqlError: MySQL would refuse it, or it cannot be translated.
    """
    statement = _parsed(sql)
    if isinstance(statement, exp.Show):
        return Translated(rows=_show(statement, schema))
    if isinstance(statement, exp.Describe):
        return Translated(rows=_columns(statement.this.name, schema))
    if not isinstance(statement, KEPT):
        raise SqlError(DENIED, "command denied")
    if not isinstance(statement, exp.Subquery):
        RULES.arguments(statement)
    if statement.find(exp.Into):
        refuse("SELECT ... INTO")
    _drop_dual(statement)
    _drop_defaults(statement)
    check(statement, schema)
    rewriter = Rewriter(schema)
    if isinstance(statement, exp.Insert | exp.Update | exp.Delete):
        strict = isinstance(statement, exp.Insert | exp.Update) and not statement.args.get("ignore")
        written = change(rewriter, statement, schema)
        return Translated(_written(written), changes=True, strict=strict)
    written, _ = rewriter.query(statement, None)
    return Translated(_written(written))


def _drop_dual(statement: exp.Expr) -> None:
    """Take `FROM DUAL` away, a table of MySQL's with one row and no column."""
    for select in statement.find_all(exp.Select):
        source = select.args.get("from_")
        table = source.this if source is not None else None
        name = table.this if isinstance(table, exp.Table) and not table.db else None
        plain = isinstance(name, exp.Identifier) and not name.quoted and name.name.upper() == "DUAL"
        if plain and not select.args.get("joins"):
            select.set("from_", None)


def _drop_defaults(statement: exp.Expr) -> None:
    """Put NULL, every column's default, where DEFAULT is written as a value."""
    values: list[Any] = []
    if isinstance(statement, exp.Update):
        values = [one.expression for one in statement.expressions if isinstance(one, exp.EQ)]
    elif isinstance(statement, exp.Insert) and isinstance(statement.expression, exp.Values):
        values = [value for row in statement.expression.expressions for value in row.expressions]
    for value in values:
        named = isinstance(value, exp.Column | exp.Var) and value.name.upper() == "DEFAULT"
        if named and not (isinstance(value, exp.Column) and (value.table or value.this.quoted)):
            value.replace(exp.Null())


def _written(statement: exp.Expr) -> str:
    return statement.sql(dialect=Writer, identify=True, comments=False)


def _parsed(sql: str) -> exp.Expr:
    word = sql[:7].upper()
    given = f"INSERT {sql[7:]}" if word == "REPLACE" else sql
    if given[:6].upper() == "INSERT":
        given = LIMITED_VALUES.sub(")", given)
    try:
        reader = Reader()
        tokens = reader.tokenize(given)
        check_order(tokens)
        if word[:4] != "SHOW":
            check_groups(tokens)
        parsed = reader.parser().parse(tokens, given)
    except SqlglotError as error:
        raise SqlError(SYNTAX, f"You have an error in your SQL syntax: {_reason(error)}") from error
    except RecursionError as error:
        raise SqlError(1436, "The statement is nested too deeply") from error
    statements = [statement for statement in parsed if statement is not None]
    if len(statements) != 1:
        raise SqlError(SYNTAX, "You have an error in your SQL syntax: one statement at a time")
    return statements[0]  # type: ignore[return-value]


def _reason(error: SqlglotError) -> str:
    found: list[dict[str, Any]] = getattr(error, "errors", [])
    if not found:
        return str(error).partition("\n")[0][:120]
    return f"near '{found[0].get('highlight') or ''}{(found[0].get('end_context') or '')[:40]}'"


def _show(statement: exp.Show, schema: Schema) -> Rows:
    what, target = statement.name.upper(), statement.args.get("target")
    if what == "TABLES":
        names = sorted(name for name in schema if _is_like(name, statement))
        return [(name, "BASE TABLE") if statement.args.get("full") else (name,) for name in names]
    if what == "DATABASES":
        return [(name,) for name in (DATABASE, "information_schema") if _is_like(name, statement)]
    if what == "COLUMNS" and target is not None:
        rows = [row for row in _columns(target.name, schema) if _is_like(row[0], statement)]
        if not statement.args.get("full"):
            return rows
        general, rights = "utf8mb4_general_ci", "select,insert,update"
        return [
            (name, kind, general, null, key, default, extra, rights, "")
            for name, kind, null, key, default, extra in rows
        ]
    if what == "CREATE TABLE" and target is not None:
        _columns(target.name, schema)
        lines = ",\n".join(f"  `{column}` text DEFAULT NULL" for column in schema[target.name])
        options = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"
        return [(target.name, f"CREATE TABLE `{target.name}` (\n{lines}\n) {options}")]
    raise SqlError(DENIED, f"SHOW {what} command denied")


def _is_like(name: str, statement: exp.Show) -> bool:
    pattern = statement.args.get("like")
    return pattern is None or bool(like(pattern.name, name))


def _columns(table: str, schema: Schema) -> Rows:
    if table not in schema:
        raise SqlError(1146, f"Table '{DATABASE}.{table}' doesn't exist")
    return [(column, "text", "YES", "", None, "") for column in schema[table]]
