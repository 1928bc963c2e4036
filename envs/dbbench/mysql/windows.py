"""Aggregates and windows."""

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envs.dbbench.mysql.calls import count_arguments, values_of
from envs.dbbench.mysql.convert import convert, number_literal, to_number
from envs.dbbench.mysql.dialect import call, collated
from envs.dbbench.mysql.kinds import (
    DOUBLE,
    INT,
    TEXT,
    Kind,
    double,
)
from envs.dbbench.mysql.rules import RULES, describe, refuse
from envs.dbbench.mysql.scope import Scope, Typed
from envs.dbbench.mysql.signatures import AGGREGATES, RANKS, SPREADS
from envs.dbbench.mysql.statements import SYNTAX, SqlError

if TYPE_CHECKING:
    from envs.dbbench.mysql.rewrite import Rewriter


BOUNDS = ("UNBOUNDED", "CURRENT ROW")


def _distinct(arguments: Any) -> tuple[bool, list[Any]]:
    if arguments and isinstance(arguments[0], exp.Distinct):
        _, given = RULES.arguments(arguments[0])
        return True, given["expressions"]
    return False, list(arguments)


@RULES(exp.Distinct)
def distinct(_: "Rewriter", __: Scope, node: Any, *, expressions: Any = ()) -> Typed:
    """DISTINCT stands in aggregates and behind SELECT only."""
    del expressions
    return refuse(describe(node))


def aggregate(
    rewriter: "Rewriter", scope: Scope, name: str, arguments: Any, *, window: bool = False
) -> Typed:
    """An aggregate, over rows or as a window."""
    unique, parts = _distinct(arguments)
    if window and unique:
        refuse(f"{name}(DISTINCT) OVER")
    if name == "COUNT" and len(parts) == 1 and isinstance(parts[0], exp.Star) and not unique:
        RULES.arguments(parts[0])
        return Typed(exp.Anonymous(this="COUNT", expressions=[exp.Star()]), INT)
    if not parts or (len(parts) > 1 and not (name == "COUNT" and unique)):
        raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{name}('")
    values = values_of(rewriter, scope, parts)
    result = AGGREGATES[name]
    value = values[0]
    if len(values) > 1:
        value = Typed(call("CONCAT_KEY", *(one.sql for one in values)), TEXT)
    if name in ("COUNT", "MIN", "MAX"):
        kind = result if isinstance(result, Kind) else result([value.kind])
        inner = collated(value.sql) if unique or name != "COUNT" else value.sql
        held = exp.Distinct(expressions=[inner]) if unique else inner
        return Typed(exp.Anonymous(this=name, expressions=[held]), kind)
    if name == "ANY_VALUE":
        return Typed(call(name, value.sql), value.kind)
    value = Typed(value.sql, DOUBLE) if unique and value.kind.texts else to_number(value)
    kind = result if isinstance(result, Kind) else result([value.kind])
    if name in SPREADS:
        if unique or window:
            refuse(f"{name}(DISTINCT)" if unique else f"{name} OVER")
        scale = number_literal(kind.scale) if kind != DOUBLE else exp.Null()
        kind = DOUBLE if kind == DOUBLE else double(kind.scale)
        return Typed(call("SPREAD", exp.Literal.string(name), value.sql, scale), kind)
    given = call("DOUBLE", value.sql) if value.kind == DOUBLE else value.sql
    held = exp.Distinct(expressions=[collated(given)]) if unique else given
    return Typed(call(name, held), kind)


@RULES(exp.Star)
def star(_: "Rewriter", __: Scope, ___: Any) -> Typed:
    """`*` stands in COUNT and in what is selected only."""
    return refuse("* in an expression")


@RULES(exp.GroupConcat)
def group_concat(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, separator: Any = None
) -> Typed:
    """GROUP_CONCAT."""
    value, keys = this, []
    if isinstance(value, exp.Order):
        _, given = RULES.arguments(value)
        value, keys = given["this"], given["expressions"]
    unique, parts = _distinct([value])
    values = values_of(rewriter, scope, parts)
    joined = values[0].sql if len(values) == 1 else call("CONCAT", *(one.sql for one in values))
    ordered = [rewriter.ordered(key) for key in keys]
    if any(isinstance(inner, exp.Literal) for inner, _ in ordered):
        refuse("GROUP_CONCAT with ORDER BY of a position")
    directions = "".join("-" if descending else "+" for _, descending in ordered)
    if separator is not None and not (isinstance(separator, exp.Literal) and separator.is_string):
        raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'SEPARATOR'")
    flags = [
        separator or exp.Literal.string(","),
        number_literal(int(unique)),
        exp.Literal.string(directions),
    ]
    order = [rewriter.expression(inner, scope).sql for inner, _ in ordered]
    return Typed(call("GROUP_CONCAT", *flags, joined, *order), TEXT)


@RULES(exp.Window)
def window(
    rewriter: "Rewriter",
    scope: Scope,
    node: Any,
    *,
    this: Any = None,
    partition_by: Any = (),
    order: Any = None,
    spec: Any = None,
    alias: Any = None,
    over: Any = None,
) -> Typed:
    """`f(...) OVER (...)`."""
    del over
    if not isinstance(this, exp.Anonymous):
        refuse(f"{describe(this)} OVER")
    name = this.name.upper()
    _, given = RULES.arguments(this)
    arguments = given.get("expressions", [])
    if name in AGGREGATES:
        called = aggregate(rewriter, scope, name, arguments, window=True)
    elif name in RANKS:
        called = _rank(rewriter, scope, name, arguments)
    else:
        refuse(f"{name} OVER")
    window_parts(rewriter, scope, node, partition_by, order, spec)
    node.set("this", called.sql)
    del alias
    return Typed(node, called.kind)


def _rank(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    least, most, result = RANKS[name]
    if len(arguments) > most:
        refuse(f"{name} with so many arguments")
    count_arguments(name, arguments, least, most)
    places = arguments if name == "NTILE" else arguments[1:2]
    for place in places:
        if not (isinstance(place, exp.Literal) and place.this.isdigit()):
            refuse(f"{name} with a place that is not a literal")
    values = values_of(rewriter, scope, arguments)
    kind = result if isinstance(result, Kind) else result([value.kind for value in values])
    given = [value.sql for value in values]
    if len(values) == 3:
        given[0], given[2] = convert(values[0], kind), convert(values[2], kind)
    return Typed(exp.Anonymous(this=name, expressions=given), kind)


def window_parts(
    rewriter: "Rewriter", scope: Scope, node: Any, partition_by: Any, order: Any, spec: Any
) -> None:
    """Translate what is in the parentheses of a window."""
    node.set("partition_by", [collated(rewriter.expression(part, scope).sql) for part in partition_by])
    if order is not None:
        rewriter.order(order, scope)
    if spec is not None:
        RULES.apply(spec, rewriter, scope)


@RULES(exp.WindowSpec)
def frame(
    _: "Rewriter",
    __: Scope,
    ___: Any,
    *,
    kind: Any = None,
    start: Any = None,
    start_side: Any = None,
    end: Any = None,
    end_side: Any = None,
) -> None:
    """A window's frame: ROWS with literals, RANGE without."""
    del start_side, end_side
    for bound in (start, end):
        if isinstance(bound, exp.Expr):
            literal = isinstance(bound, exp.Literal) and bound.this.isdigit()
            if kind != "ROWS" or not literal:
                refuse(f"{kind} with a bound that is not a literal number of rows")
        elif bound is not None and bound not in BOUNDS:
            refuse(f"{kind} {bound}")
    if kind not in ("ROWS", "RANGE"):
        refuse(f"{kind}")
