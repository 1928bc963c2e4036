"""One statement of MySQL's for SQLite."""

import re
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from envs.dbbench.checks import Schema, check, unknown_column
from envs.dbbench.dialect import Reader, Writer, call
from envs.dbbench.functions import like
from envs.dbbench.order import check_order
from envs.dbbench.port import DATABASE
from envs.dbbench.rewrite import Rewriter
from envs.dbbench.scales import Scales
from envs.dbbench.statements import DENIED, SYNTAX, SqlError

Rows = list[tuple[Any, ...]]
LIMITED_VALUES = re.compile(r"\)\s*LIMIT\s+[1-9]\d*\Z", re.IGNORECASE)
"""MariaDB takes a LIMIT after VALUES, as after a SELECT."""
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
    check(statement, schema)
    columns = frozenset(column.lower() for names in schema.values() for column in names)
    scales = Scales(statement, columns)
    if isinstance(statement, exp.Update):
        _chain(statement)
    written = Rewriter(scales).rewrite(statement)
    changes = isinstance(written, exp.Insert | exp.Update | exp.Delete)
    if changes:
        _change(written, schema, scales)
    text = written.sql(dialect=Writer, identify=True, comments=False)
    return Translated(text, changes=changes, strict=isinstance(written, exp.Insert | exp.Update))


def _parsed(sql: str) -> exp.Expr:
    word = sql[:7].upper()
    given = f"INSERT {sql[7:]}" if word == "REPLACE" else sql
    if given[:6].upper() == "INSERT":
        given = LIMITED_VALUES.sub(")", given)
    try:
        reader = Reader()
        tokens = reader.tokenize(given)
        check_order(tokens)
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
        return str(error).splitlines()[0][:120]
    return f"near '{found[0].get('highlight') or ''}{(found[0].get('end_context') or '')[:40]}'"


def _change(statement: Any, schema: Schema, scales: Scales) -> None:
    """Make what changes rows SQLite's: values become texts, limits become subqueries."""
    target = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
    if not isinstance(target, exp.Table) or target.args.get("joins") or statement.args.get("tables"):
        raise SqlError(DENIED, "Statements that change several tables are not offered")
    if isinstance(statement, exp.Insert):
        _insert(statement, target, schema, scales)
        return
    names = {column.lower() for column in schema[target.name]}
    if isinstance(statement, exp.Update):
        for assignment in statement.expressions:
            column = assignment.this
            if column.name.lower() not in names:
                raise unknown_column(column.name)
            column.set("table", None)
            assignment.set("expression", _stored(assignment.expression, scales.of(assignment.expression)))
    if statement.args.get("limit") or statement.args.get("order"):
        _limit(statement, target)


def _insert(statement: Any, target: exp.Table, schema: Schema, scales: Scales) -> None:
    for option in ("conflict", "ignore", "overwrite", "exists"):
        statement.set(option, None)
    named = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
    known = {column.lower() for column in schema[target.name]}
    for column in named:
        if column.name.lower() not in known:
            raise unknown_column(column.name)
    if len({column.name.lower() for column in named}) < len(named):
        raise SqlError(1110, "A column is specified twice")
    values = statement.expression
    if isinstance(values, exp.Values):
        for row in values.expressions:
            row.set("expressions", [_stored(value, scales.of(value)) for value in row.expressions])
    elif isinstance(values, exp.Select):
        items = [item.this if isinstance(item, exp.Alias) else item for item in values.expressions]
        kept = [
            item if isinstance(item, exp.Star | exp.Column) else _stored(item.copy(), None) for item in items
        ]
        values.set("expressions", kept)


def _stored(value: exp.Expr, scale: int | None) -> exp.Expr:
    """A value as it stands in a TEXT column."""
    if isinstance(value, exp.Literal):
        return exp.Literal.string(value.this)
    if isinstance(value, exp.Neg) and isinstance(value.this, exp.Literal) and not value.this.is_string:
        return exp.Literal.string(f"-{value.this.this}")
    if isinstance(value, exp.Null):
        return value
    if isinstance(value, exp.Column) and value.name.upper() == "DEFAULT":
        return exp.Null()
    return call("DECIMALS", value, exp.Literal.number(scale)) if scale else call("TEXT", value)


def _limit(statement: Any, target: exp.Table) -> None:
    """SQLite's UPDATE and DELETE have no ORDER BY and LIMIT."""
    rows = exp.Select(expressions=[exp.Column(this=exp.to_identifier("rowid"))]).from_(target.copy())
    for part in ("where", "order", "limit"):
        if statement.args.get(part):
            rows.set(part, statement.args[part].copy())
            statement.set(part, None)
    statement.set(
        "where",
        exp.Where(
            this=exp.In(this=exp.Column(this=exp.to_identifier("rowid")), query=exp.Subquery(this=rows))
        ),
    )


def _chain(statement: exp.Update) -> None:
    """MySQL's assignments see those before them."""
    earlier: dict[str, exp.Expr] = {}
    for assignment in statement.expressions:
        if not isinstance(assignment, exp.EQ) or not isinstance(assignment.this, exp.Column):
            raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'SET'")
        for column in list(assignment.expression.find_all(exp.Column)):
            before = earlier.get(column.name.lower())
            if before is not None:
                column.replace(exp.Paren(this=before.copy()))
        earlier[assignment.this.name.lower()] = assignment.expression


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
