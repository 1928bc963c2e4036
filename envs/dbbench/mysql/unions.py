"""UNION, INTERSECT, EXCEPT and WITH."""

from typing import Any

from sqlglot import exp

from envs.dbbench.mysql.convert import convert
from envs.dbbench.mysql.dialect import call, collated
from envs.dbbench.mysql.kinds import TEXT, Base, Kind, unify
from envs.dbbench.mysql.queries import name_columns, settled, translate_tail
from envs.dbbench.mysql.rewrite import Rewriter, named, over
from envs.dbbench.mysql.rules import RULES, describe, refuse
from envs.dbbench.mysql.scope import Columns, Scope, Source, Typed
from envs.dbbench.mysql.statements import SqlError

DIFFERENT_COLUMNS = 1222


@RULES(exp.With)
def with_(
    rewriter: Rewriter, scope: Scope, node: Any, *, expressions: Any = (), recursive: bool = False
) -> None:
    """WITH: each expression sees those before it, and itself where it is recursive."""
    del node
    for expression in expressions:
        RULES.apply(expression, rewriter, scope, recursive)


@RULES(exp.CTE)
def common(
    rewriter: Rewriter, scope: Scope, recursive: bool, node: Any, *, this: Any = None, alias: Any = None
) -> None:
    """One expression of a WITH."""
    around = Scope(scope.outer, tables=scope.tables)
    query = this.unnest() if isinstance(this, exp.Subquery) else this
    name = alias.this.name
    itself = recursive and any(one.name == name for one in query.find_all(exp.Table))
    if itself:
        if not isinstance(query, exp.Union):
            refuse("a recursive WITH without UNION")
        _, first = rewriter.query(query.this.copy(), around)
        _, columns = name_columns(alias.copy(), first)
        scope.tables[name] = columns
        _recursive(rewriter, around, query, columns)
        return
    inner, columns = rewriter.query(query, around)
    _, columns = name_columns(alias, columns)
    node.set("this", settled(inner, columns, query))
    if not alias.args.get("columns"):
        alias.set("columns", [exp.to_identifier(column, quoted=True) for column, _ in columns])
    scope.tables[name] = columns


def _recursive(rewriter: Rewriter, scope: Scope, query: Any, columns: Columns) -> None:
    """A recursive expression's parts have the types of its first."""
    _, given = RULES.arguments(query)
    if given.keys() - {"this", "expression", "distinct"}:
        refuse("a recursive WITH with ORDER BY or LIMIT")
    for side in ("this", "expression"):
        part = given[side]
        if isinstance(part, exp.SetOperation):
            refuse("a recursive WITH of more than two parts")
        inner, found = rewriter.query(part, scope)
        if found is None or len(found) != len(columns):
            raise SqlError(DIFFERENT_COLUMNS, "The used SELECT statements have a different number of columns")
        kinds = [kind for _, kind in columns]
        if side == "expression":
            _convert_items(inner, found, kinds)
        if given.get("distinct"):
            _collate_items(inner)
        query.set(side, inner)


@RULES(exp.Union, exp.Intersect, exp.Except)
def set_operation(
    rewriter: Rewriter,
    outer: Scope | None,
    node: Any,
    *,
    this: Any = None,
    expression: Any = None,
    distinct: bool = False,
    with_: Any = None,
    order: Any = None,
    limit: Any = None,
    offset: Any = None,
) -> tuple[exp.Expr, Columns | None]:
    """UNION, INTERSECT, EXCEPT: their columns have one type each."""
    if not distinct and not isinstance(node, exp.Union):
        refuse(f"{describe(node)} ALL")
    if any(
        isinstance(part, exp.SetOperation) and type(part) is not type(node) for part in (this, expression)
    ):
        refuse("UNION, INTERSECT and EXCEPT in one query without parentheses")
    scope = Scope(outer)
    if with_ is not None:
        RULES.apply(with_, rewriter, scope)
    parts = [rewriter.query(part, scope) for part in (this, expression)]
    (left, one), (right, other) = parts
    if one is None or other is None:
        refuse("UNION of NATURAL JOIN or USING with *")
    if len(one) != len(other):
        raise SqlError(DIFFERENT_COLUMNS, "The used SELECT statements have a different number of columns")
    for (_, a), (_, b) in zip(one, other, strict=True):
        if Base.DECIMAL in (a.base, b.base) and unify((a, b)).texts:
            refuse("UNION of a DECIMAL and a text: CAST it AS CHAR")
    kinds = [unify((a, b)) for (_, a), (_, b) in zip(one, other, strict=True)]
    columns = tuple((name, kind) for (name, _), kind in zip(one, kinds, strict=True))
    for side, given, found in (("this", left, one), ("expression", right, other)):
        node.set(side, _operand(rewriter, given, found, kinds, unique=distinct))
    if order is not None and not _plain(order, columns):
        refuse("ORDER BY of an expression behind UNION")
    scope.sources = [Source("", columns)]
    translate_tail(rewriter, scope, order, limit, offset)
    return node, columns


def _plain(order: Any, columns: Columns) -> bool:
    names = {name.lower() for name, _ in columns}
    keys = [key.this if isinstance(key, exp.Ordered) else key for key in order.expressions]
    return all(
        (isinstance(key, exp.Column) and not key.table and key.name.lower() in names)
        or (isinstance(key, exp.Literal) and not key.is_string)
        for key in keys
    )


def _operand(
    rewriter: Rewriter, query: Any, columns: Columns, kinds: list[Kind], *, unique: bool
) -> exp.Expr:
    """A part of a UNION; SQLite takes no parentheses around it, nor clauses behind it."""
    names = [f"_c{place}_" for place in range(len(columns))]
    simple = isinstance(query, exp.Select) and not any(
        query.args.get(name) for name in ("order", "limit", "offset", "with_")
    )
    if isinstance(query, exp.SetOperation) and not unique and [kind for _, kind in columns] == kinds:
        return query
    if not simple:
        items: list[exp.Expr] = [
            named(exp.column(name), column) for name, (column, _) in zip(names, columns, strict=True)
        ]
        query = over(items, query, names)
        held = exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("_u_")))
        items = [named(exp.column(exp.to_identifier(column, quoted=True)), column) for column, _ in columns]
        query = exp.Select(expressions=items).from_(held)
    if len(query.expressions) != len(columns):
        items = [named(exp.column(exp.to_identifier(column, quoted=True)), column) for column, _ in columns]
        query.set("expressions", items)
    del rewriter
    _convert_items(query, columns, kinds)
    if unique:
        _collate_items(query)
    return query


def _convert_items(query: Any, columns: Columns, kinds: list[Kind]) -> None:
    for item, (name, given), wanted in zip(list(query.expressions), columns, kinds, strict=True):
        if given != wanted:
            inner = item.this if isinstance(item, exp.Alias) else item
            typed = Typed(inner.copy(), given)
            stored = wanted.texts and given.numeric
            typed = Typed(call("STORED", typed.sql), TEXT) if stored else typed
            item.replace(named(convert(typed, wanted), name))


def _collate_items(query: Any) -> None:
    for item in list(query.expressions):
        inner = item.this if isinstance(item, exp.Alias) else item
        if not isinstance(inner, exp.Star):
            item.replace(named(collated(inner.copy()), item.alias_or_name))
