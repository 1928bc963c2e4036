"""INSERT, REPLACE, UPDATE and DELETE: values become texts, limits become subqueries."""

from typing import Any

from sqlglot import exp

from envs.dbbench.mysql.checks import Schema
from envs.dbbench.mysql.convert import convert, truth
from envs.dbbench.mysql.dialect import call
from envs.dbbench.mysql.kinds import TEXT, Base
from envs.dbbench.mysql.rewrite import Rewriter, over
from envs.dbbench.mysql.rules import RULES, refuse
from envs.dbbench.mysql.scope import Scope, Source, Typed, unknown_column
from envs.dbbench.mysql.statements import SYNTAX, SqlError

COUNT_DIFFERS = 1136


class Assigned(exp.Paren):
    """What an assignment of an UPDATE has set a column to, as it is translated."""


def change(rewriter: Rewriter, statement: exp.Expr, schema: Schema) -> exp.Expr:
    """Translate a statement that changes rows.

    Raises:
        SqlError: It has something that is not offered, or that MySQL refuses.
    """
    return RULES.apply(statement, rewriter, schema)


@RULES(exp.Insert)
def insert(
    rewriter: Rewriter,
    schema: Schema,
    node: Any,
    *,
    this: Any = None,
    expression: Any = None,
    ignore: bool = False,
    conflict: Any = None,
) -> exp.Expr:
    """INSERT and REPLACE; there are no keys, so ON DUPLICATE KEY UPDATE and IGNORE never replace a row."""
    table, named = this, []
    if isinstance(this, exp.Schema):
        _, given = RULES.arguments(this)
        table, named = given["this"], given.get("expressions", [])
    target = _target(rewriter, table, Scope())
    columns = _named(named, target)
    if conflict is not None:
        _, given = RULES.arguments(conflict)
        if not given.get("duplicate"):
            refuse("ON CONFLICT")
        for assignment in given.get("expressions", ()):
            _assigned(assignment, target)
    if isinstance(expression, exp.Values):
        _, given = RULES.arguments(expression)
        rows = [
            _row(rewriter, row, len(columns), place, named=bool(named))
            for place, row in enumerate(given["expressions"], 1)
        ]
        expression.set("expressions", rows)
    elif expression is None:
        raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'INSERT'")
    else:
        node.set("expression", _stored_query(rewriter, expression, len(columns)))
    del ignore
    for dropped in ("ignore", "conflict"):
        node.set(dropped, None)
    return node


def _named(named: Any, target: Source) -> list[str]:
    names: list[str] = []
    for column in named:
        if not isinstance(column, exp.Identifier):
            refuse("a column with a type")
        RULES.arguments(column)
        if target.find(column.name.lower()) is None:
            raise unknown_column(column.name)
        names.append(column.name.lower())
    if len(set(names)) < len(names):
        raise SqlError(1110, "A column is specified twice")
    return names or [name for name, _ in target.columns]


def _row(rewriter: Rewriter, row: Any, width: int, place: int, *, named: bool) -> exp.Expr:
    _, given = RULES.arguments(row)
    values = given.get("expressions", [])
    if not values and not named:
        return exp.Tuple(expressions=[exp.Null() for _ in range(width)])
    if len(values) != width:
        raise SqlError(COUNT_DIFFERS, f"Column count doesn't match value count at row {place}")
    return exp.Tuple(expressions=[_stored(rewriter, value) for value in values])


def _stored_query(rewriter: Rewriter, query: exp.Expr, width: int) -> exp.Expr:
    inner, columns = rewriter.query(query, None)
    if columns is None:
        return refuse("INSERT from NATURAL JOIN or USING with *")
    if len(columns) != width:
        raise SqlError(COUNT_DIFFERS, "Column count doesn't match value count at row 1")
    names = [f"_c{place}_" for place in range(width)]
    items = [_text(Typed(exp.column(name), kind)) for name, (_, kind) in zip(names, columns, strict=True)]
    return over(items, inner, names)


def _stored(rewriter: Rewriter, value: exp.Expr) -> exp.Expr:
    """A value as it stands in a TEXT column."""
    if isinstance(value, exp.Literal) and value.is_string:
        return value
    return _text(rewriter.expression(value, Scope()))


def _text(value: Typed) -> exp.Expr:
    if value.kind.base in (Base.DECIMAL, Base.DOUBLE):
        return call("STORED", value.sql)
    return value.sql if value.kind.base in (Base.NULL, Base.TEXT) else convert(value, TEXT)


@RULES(exp.Update)
def update(
    rewriter: Rewriter,
    schema: Schema,
    node: Any,
    *,
    this: Any = None,
    expressions: Any = (),
    where: Any = None,
    order: Any = None,
    limit: Any = None,
) -> exp.Expr:
    """UPDATE of one table; an assignment sees those before it."""
    del schema
    scope = Scope()
    target = _target(rewriter, this, scope)
    earlier: dict[str, exp.Expr] = {}
    written: list[exp.Expr] = []
    for assignment in expressions:
        name, assigned, value = _assigned(assignment, target)
        held = exp.Paren(this=value)
        for column in list(held.find_all(exp.Column)):
            before = earlier.get(column.name.lower())
            if before is not None:
                column.replace(before.copy())
        value = held.this
        stored = _text(rewriter.expression(value, scope))
        earlier[name] = Assigned(this=stored)
        assigned.set("table", None)
        written.append(exp.EQ(this=assigned, expression=stored.copy()))
    node.set("expressions", written)
    _chosen(rewriter, scope, node, where, order, limit)
    return node


@RULES(Assigned)
def assigned_before(_: Rewriter, __: Scope, ___: Any, *, this: Any = None) -> Typed:
    """A column that an assignment before this one has set."""
    return Typed(this.copy(), TEXT)


def _assigned(assignment: Any, target: Source) -> tuple[str, exp.Expr, exp.Expr]:
    """The column that is set, by its name and as it is written, and what it is set to."""
    if not isinstance(assignment, exp.EQ) or not isinstance(assignment.this, exp.Column):
        raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'SET'")
    column, value = assignment.this, assignment.expression
    if target.find(column.name.lower()) is None or column.table not in ("", target.name):
        raise unknown_column(column.name)
    return column.name.lower(), column, value


@RULES(exp.Delete)
def delete(
    rewriter: Rewriter,
    schema: Schema,
    node: Any,
    *,
    this: Any = None,
    where: Any = None,
    order: Any = None,
    limit: Any = None,
) -> exp.Expr:
    """DELETE from one table."""
    del schema
    scope = Scope()
    _target(rewriter, this, scope)
    _chosen(rewriter, scope, node, where, order, limit)
    return node


def _target(rewriter: Rewriter, table: Any, scope: Scope) -> Source:
    if not isinstance(table, exp.Table):
        refuse("a change of what is no table")
    if table.args.get("joins"):
        refuse("a change of several tables")
    source = RULES.apply(table, rewriter, scope)
    scope.sources.append(source)
    return source


def _chosen(rewriter: Rewriter, scope: Scope, node: Any, where: Any, order: Any, limit: Any) -> None:
    """Translate which rows are changed; SQLite's UPDATE and DELETE have no ORDER BY and LIMIT."""
    if where is not None:
        _, given = RULES.arguments(where)
        where.set("this", truth(rewriter.expression(given["this"], scope)))
    if order is not None:
        rewriter.order(order, scope)
    if limit is not None:
        RULES.apply(limit, rewriter, scope)
    if limit is None and order is None:
        return
    rows = exp.Select(expressions=[_rowid()]).from_(node.this.copy())
    for name, part in (("where", where), ("order", order), ("limit", limit)):
        if part is not None:
            rows.set(name, part.copy())
            node.set(name, None)
    chosen = exp.In(this=_rowid(), query=exp.Subquery(this=rows))
    node.set("where", exp.Where(this=chosen))


def _rowid() -> exp.Expr:
    return exp.Column(this=exp.to_identifier("rowid"))


@RULES(exp.Values, exp.Schema, exp.OnConflict)
def part_of_insert(
    _: Rewriter,
    __: Scope,
    node: Any,
    *,
    this: Any = None,
    expressions: Any = (),
    duplicate: bool = False,
    action: Any = None,
) -> exp.Expr:
    """These stand in an INSERT only."""
    del this, expressions, duplicate, action
    return refuse(type(node).__name__.upper())
