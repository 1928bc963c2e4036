"""Queries: SELECT and its clauses, UNION, WITH, tables and joins."""

from typing import Any

from sqlglot import exp

from envs.dbbench.mysql import windows as window_rules
from envs.dbbench.mysql.checks import aggregates
from envs.dbbench.mysql.convert import truth
from envs.dbbench.mysql.dialect import call, collated
from envs.dbbench.mysql.kinds import TEXT, Base, Kind
from envs.dbbench.mysql.rewrite import Rewriter, named, over
from envs.dbbench.mysql.rules import RULES, describe, refuse
from envs.dbbench.mysql.scope import Columns, Scope, Source, Typed
from envs.dbbench.mysql.statements import SYNTAX, SqlError

MOST_ROWS = "18446744073709551615"


@RULES(exp.Select)
def select(
    rewriter: Rewriter,
    outer: Scope | None,
    node: Any,
    *,
    with_: Any = None,
    expressions: Any = (),
    distinct: Any = None,
    from_: Any = None,
    joins: Any = (),
    where: Any = None,
    group: Any = None,
    having: Any = None,
    windows: Any = (),
    order: Any = None,
    limit: Any = None,
    offset: Any = None,
    hint: Any = None,
    operation_modifiers: Any = None,
    locks: Any = None,
) -> tuple[exp.Expr, Columns | None]:
    """SELECT; hints and locks change nothing."""
    del hint, operation_modifiers, locks
    scope = Scope(outer)
    summed = aggregates(node)
    if with_ is not None:
        RULES.apply(with_, rewriter, scope)
    if from_ is not None:
        RULES.apply(from_, rewriter, scope)
    _join_all(rewriter, scope, joins)
    if where is not None:
        _condition(rewriter, scope, where)
    if distinct is not None:
        _, given = RULES.arguments(distinct)
        if given:
            refuse("DISTINCT ON")
    columns = _items(rewriter, scope, node, expressions, unique=distinct is not None)
    scope.aliases = {name.lower(): kind for name, kind in columns or ()}
    for window in windows:
        _, given = RULES.arguments(window)
        window_rules.window_parts(
            rewriter, scope, window, given.get("partition_by", ()), given.get("order"), given.get("spec")
        )
    if group is not None:
        RULES.apply(group, rewriter, scope)
    if having is not None:
        _condition(rewriter, scope, having)
        if group is None and not summed:
            node.set("having", None)
            node.where(having.this, copy=False)
    translate_tail(rewriter, scope, order, limit, offset)
    for dropped in ("hint", "operation_modifiers", "locks"):
        node.set(dropped, None)
    return node, columns


def translate_tail(rewriter: Rewriter, scope: Scope, order: Any, limit: Any, offset: Any) -> None:
    """Translate what stands behind a query: ORDER BY, LIMIT, OFFSET."""
    if order is not None:
        rewriter.order(order, scope)
    for part in (limit, offset):
        if part is not None:
            RULES.apply(part, rewriter, scope)


def _condition(rewriter: Rewriter, scope: Scope, clause: Any) -> None:
    _, given = RULES.arguments(clause)
    clause.set("this", truth(rewriter.expression(given["this"], scope)))


@RULES(exp.Where, exp.Having, exp.Order, exp.Ordered)
def clause(
    _: Rewriter,
    __: Scope,
    node: Any,
    *,
    this: Any = None,
    expressions: Any = (),
    desc: bool = False,
    nulls_first: bool = False,
) -> Typed:
    """A clause stands in its query only."""
    del this, expressions, desc, nulls_first
    return refuse(describe(node))


@RULES(exp.Alias)
def alias(_: Rewriter, __: Scope, node: Any, *, this: Any = None, alias: Any = None) -> Typed:
    """A name for a column stands behind SELECT only."""
    del this
    raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{alias or node}'")


@RULES(exp.Group)
def group(rewriter: Rewriter, scope: Scope, node: Any, *, expressions: Any = ()) -> None:
    """GROUP BY."""
    keys = [
        collated(
            key if isinstance(key, exp.Literal) and not key.is_string else rewriter.expression(key, scope).sql
        )
        for key in expressions
    ]
    node.set("expressions", keys)


@RULES(exp.Limit, exp.Offset)
def limit(_: Rewriter, __: Scope, ___: Any, *, expression: Any = None) -> None:
    """LIMIT and OFFSET take literals."""
    if not (isinstance(expression, exp.Literal) and not expression.is_string and expression.this.isdigit()):
        raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'LIMIT'")
    if int(expression.this) >= 2**63:
        expression.set("this", str(2**63 - 1))


def _items(rewriter: Rewriter, scope: Scope, node: Any, expressions: Any, *, unique: bool) -> Columns | None:
    """Translate what is selected; its columns."""
    items: list[exp.Expr] = []
    columns: list[tuple[str, Kind]] = []
    known = True
    for place, item in enumerate(expressions):
        star = _starred(scope, item, place)
        if star is not None:
            if scope.merged:
                known = False
                items.append(item)
                continue
            columns += [(name, kind) for _, name, kind in star]
            items += [_named(table, name, unique) for table, name, _ in star]
            continue
        name, inner = item.alias_or_name, item
        if isinstance(item, exp.Alias):
            _, given = RULES.arguments(item)
            inner = given["this"]
        elif not isinstance(item, exp.Column):
            name = item.sql("mysql")
        typed = rewriter.expression(inner, scope)
        columns.append((name, typed.kind))
        sql = collated(typed.sql) if unique else typed.sql
        plain = isinstance(sql, exp.Column) and not isinstance(item, exp.Alias)
        items.append(sql if plain else named(sql, name))
    node.set("expressions", items)
    return tuple(columns) if known else None


def _named(table: str, name: str, unique: bool) -> exp.Expr:
    column = exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True))
    return named(collated(column), name) if unique else column


def _starred(scope: Scope, item: Any, place: int) -> list[tuple[str, str, Kind]] | None:
    """Return the columns of a `*`; None for any other item."""
    if isinstance(item, exp.Star):
        RULES.arguments(item)
        if place:
            raise SqlError(SYNTAX, "You have an error in your SQL syntax near '*'")
        if not scope.sources:
            raise SqlError(1096, "No tables used")
        return scope.all_columns()
    if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
        RULES.arguments(item)
        RULES.arguments(item.this)
        found = [source for source in scope.sources if source.name == item.table]
        if not found:
            raise SqlError(1051, f"Unknown table '{item.table}'")
        return scope.all_columns(found)
    return None


@RULES(exp.From)
def from_(rewriter: Rewriter, scope: Scope, _: Any, *, this: Any = None) -> None:
    """FROM."""
    _source(rewriter, scope, this)


def _source(rewriter: Rewriter, scope: Scope, node: Any) -> None:
    """Translate a table or a derived table, and let the query see it."""
    if isinstance(node, exp.Table):
        found = RULES.apply(node, rewriter, scope)
    elif isinstance(node, exp.Subquery):
        found = _derived(rewriter, scope, node)
    else:
        refuse(describe(node))
    if any(source.name.lower() == found.name.lower() for source in scope.sources):
        raise SqlError(1066, f"Not unique table/alias: '{found.name}'")
    scope.sources.append(found)


def _derived(rewriter: Rewriter, scope: Scope, node: Any) -> Source:
    inner = node.this
    called = node.args.get("alias")
    for name, value in node.args.items():
        if value and name not in ("this", "alias"):
            refuse(f"a derived table with {name.upper()}")
    around = Scope(scope.outer, tables=scope.tables)
    query, columns = rewriter.query(inner, around)
    name, columns = name_columns(called, columns)
    query = settled(query, columns, inner)
    if called.args.get("columns"):
        names = [f"_c{place}_" for place in range(len(columns))]
        items: list[exp.Expr] = [
            named(exp.column(given), column) for given, (column, _) in zip(names, columns, strict=True)
        ]
        query = over(items, query, names)
        called.set("columns", None)
    node.set("this", query)
    return Source(name, columns)


def name_columns(called: Any, columns: Columns | None) -> tuple[str, Columns]:
    """The name of a derived table and its columns, renamed where it has names for them."""
    _, given = RULES.arguments(called)
    names = given.get("columns", ())
    if columns is None:
        refuse("a derived table of NATURAL JOIN or USING with *")
    if names:
        if len(names) != len(columns):
            raise SqlError(1353, "In definition of view, derived table or CTE, the column lists differ")
        columns = tuple((name.name, kind) for name, (_, kind) in zip(names, columns, strict=True))
    lowered = [name.lower() for name, _ in columns]
    double = next((name for name in lowered if lowered.count(name) > 1), None)
    if double is not None:
        raise SqlError(1060, f"Duplicate column name '{double}'")
    return given["this"].name, columns


def settled(query: exp.Expr, columns: Columns, given: exp.Expr) -> exp.Expr:
    """A query whose decimals are rounded, where MySQL keeps its rows in a temporary table."""
    if all(kind.base is not Base.DECIMAL or not kind.scale for _, kind in columns) or _merges(given):
        return query
    names = [f"_c{place}_" for place in range(len(columns))]
    items = [
        named(call("SETTLED", exp.column(name)) if kind.base is Base.DECIMAL else exp.column(name), column)
        for name, (column, kind) in zip(names, columns, strict=True)
    ]
    return over(items, query, names)


def _merges(query: exp.Expr) -> bool:
    """Whether MySQL puts a derived table's expressions into the query around it."""
    keeps = ("distinct", "group", "having", "limit", "windows")
    if not isinstance(query, exp.Select) or any(query.args.get(name) for name in keeps):
        return False
    if query.args.get("from_") is None or query.find(exp.Window) is not None:
        return False
    return not any(
        isinstance(node, exp.Anonymous) and node.name.upper() in MATERIALIZED for node in query.walk()
    )


MATERIALIZED = frozenset(
    "COUNT SUM AVG MIN MAX MY_SUM MY_AVG MY_SPREAD MY_GROUP_CONCAT MY_ANY_VALUE".split()  # noqa: SIM905
)


@RULES(exp.Table)
def table(rewriter: Rewriter, scope: Scope, node: Any, *, this: Any = None, alias: Any = None) -> Source:
    """A table."""
    RULES.arguments(this)
    name = node.name
    if alias is not None:
        _, given = RULES.arguments(alias)
        if given.get("columns"):
            raise SqlError(SYNTAX, "You have an error in your SQL syntax near '('")
        name = given["this"].name
    columns = rewriter.table(node.name, scope)
    return Source(name, () if columns is None else columns)


@RULES(exp.TableAlias)
def table_alias(_: Rewriter, __: Scope, ___: Any, *, this: Any = None, columns: Any = ()) -> Typed:
    """A table's name stands beside it only."""
    del this, columns
    return refuse("an alias")


def _join_all(rewriter: Rewriter, scope: Scope, joins: Any) -> None:
    """Translate joins; behind a comma a condition sees only the tables from there on."""
    first = 0
    for join in joins:
        _, given = RULES.arguments(join)
        if given.keys() <= {"this"}:
            first = len(scope.sources)
        RULES.apply(join, rewriter, scope, first)


@RULES(exp.Join)
def join(
    rewriter: Rewriter,
    scope: Scope,
    first: int,
    node: Any,
    *,
    this: Any = None,
    side: Any = None,
    kind: Any = None,
    method: Any = None,
    on: Any = None,
    using: Any = (),
) -> None:
    """A join; its condition sees the tables from `first` on."""
    before = list(scope.sources)
    _source(rewriter, scope, this)
    side, kind, method = (str(word or "").upper() for word in (side, kind, method))
    if side not in ("", "LEFT", "RIGHT") or kind not in ("", "INNER", "OUTER", "CROSS", "STRAIGHT_JOIN"):
        raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{side or kind} JOIN'")
    if method not in ("", "NATURAL"):
        refuse(f"{method} JOIN")
    if side and not (on or using or method):
        raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{side} JOIN'")
    if kind == "STRAIGHT_JOIN":
        node.set("kind", None)
    if method or using:
        scope.merged = True
        if any(one != TEXT for source in (*before, scope.sources[-1]) for _, one in source.columns):
            refuse("NATURAL JOIN or USING of columns that are no texts")
        for name in using:
            RULES.arguments(name)
    if on is not None:
        visible = Scope(scope.outer, scope.sources[first:], tables=scope.tables)
        node.set("on", truth(rewriter.expression(on, visible)))
