"""Operators, literals and conditions: each becomes a call of a function that means what MySQL means."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envs.dbbench.mysql import decimals
from envs.dbbench.mysql.comparisons import comparable
from envs.dbbench.mysql.convert import arithmetic, convert, number_literal, to_number, truth
from envs.dbbench.mysql.dialect import call
from envs.dbbench.mysql.kinds import (
    BINARY,
    DOUBLE,
    INT,
    MOST_DECIMALS,
    NULL,
    TEXT,
    UINT,
    Base,
    decimal,
    double,
    unify,
)
from envs.dbbench.mysql.rules import RULES, refuse
from envs.dbbench.mysql.scope import Scope, Typed
from envs.dbbench.mysql.statements import SYNTAX, SqlError

if TYPE_CHECKING:
    from envs.dbbench.mysql.rewrite import Rewriter


MOST_CHAINED = 100
"""SQLite's functions take 127 arguments."""


@RULES(exp.Literal)
def literal(_: "Rewriter", __: Scope, node: Any, *, this: str = "", is_string: bool = False) -> Typed:
    """A text or a number."""
    if is_string:
        return Typed(node, TEXT)
    if "e" in this.lower():
        return Typed(exp.Literal.number(repr(decimals.finite(float(this)))), DOUBLE)
    scale = len(this.partition(".")[2])
    if scale > MOST_DECIMALS or len(this) > decimals.MOST_DIGITS + 1:
        refuse("a number of so many digits")
    if "." in this:
        return Typed(_exact(this, scale), decimal(scale))
    value = int(this)
    if value <= decimals.LARGEST:
        return Typed(exp.Literal.number(value), INT)
    return Typed(_exact(this, 0), UINT if value <= decimals.MOST_UNSIGNED else decimal(0))


def _exact(digits: str, scale: int) -> exp.Expr:
    written = decimals.write(decimals.Exact(Decimal(digits), scale))
    return number_literal(written) if isinstance(written, int) else exp.Literal.string(str(written))


@RULES(exp.Null)
def null(_: "Rewriter", __: Scope, node: Any) -> Typed:
    """NULL."""
    return Typed(node, NULL)


@RULES(exp.Boolean)
def boolean(_: "Rewriter", __: Scope, ___: Any, *, this: bool = False) -> Typed:
    """TRUE and FALSE are 1 and 0."""
    return Typed(number_literal(int(this)), INT)


@RULES(exp.National)
def national(_: "Rewriter", __: Scope, ___: Any, *, this: str = "") -> Typed:
    """`N'text'`."""
    return Typed(exp.Literal.string(str(this)), TEXT)


@RULES(exp.Introducer)
def introducer(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None
) -> Typed:
    """`_utf8mb4'text'`; other character sets are refused."""
    if str(getattr(this, "name", this)).lower() not in ("_utf8mb4", "_utf8", "_utf8mb3"):
        refuse(f"{this}")
    return rewriter.expression(expression, scope)


@RULES(exp.HexString)
def hexadecimal(_: "Rewriter", __: Scope, ___: Any, *, this: str = "") -> Typed:
    """`x'41'`: a binary string."""
    digits = this if len(this) % 2 == 0 else f"0{this}"
    return Typed(exp.HexString(this=digits), BINARY)


@RULES(exp.Identifier)
def identifier(_: "Rewriter", __: Scope, node: Any, *, this: str = "", quoted: bool = False) -> Any:
    """A name."""
    del this, quoted
    return node


@RULES(exp.Column)
def column(_: "Rewriter", scope: Scope, node: Any, *, this: Any = None, table: Any = None) -> Typed:
    """A column."""
    if not isinstance(this, exp.Identifier):
        refuse("* in an expression")
    del table
    return Typed(node, scope.kind(node))


@RULES(exp.Paren)
def parenthesis(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None) -> Typed:
    """`(...)`."""
    inner = rewriter.expression(this, scope)
    return Typed(exp.Paren(this=inner.sql), inner.kind)


@RULES(exp.Add, exp.Sub, exp.Mul)
def arithmetical(
    rewriter: "Rewriter", scope: Scope, node: Any, *, this: Any = None, expression: Any = None
) -> Typed:
    """`+`, `-`, `*`; a date and an INTERVAL."""
    if isinstance(expression, exp.Interval) or isinstance(this, exp.Interval):
        if isinstance(node, exp.Mul) or (isinstance(node, exp.Sub) and isinstance(this, exp.Interval)):
            raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'INTERVAL'")
        date, interval = (this, expression) if isinstance(expression, exp.Interval) else (expression, this)
        return rewriter.shifted(date, interval, scope, back=isinstance(node, exp.Sub))
    one = to_number(rewriter.expression(this, scope))
    other = to_number(rewriter.expression(expression, scope))
    scales = one.kind.scale, other.kind.scale
    kind = arithmetic(one.kind, other.kind, sum(scales) if isinstance(node, exp.Mul) else max(scales))
    name = {exp.Add: "ADD", exp.Sub: "SUBTRACT", exp.Mul: "MULTIPLY"}[type(node)]
    tail = {Base.INT: "_INT", Base.UINT: "_UINT"}.get(kind.base, "")
    return Typed(_chained(name + tail, one.sql, other.sql), kind)


def _chained(name: str, one: exp.Expr, other: exp.Expr) -> exp.Expr:
    """A call of an operator; `a + b + c` is one call, since SQLite nests no more than some thirty."""
    chain = isinstance(one, exp.Anonymous) and one.name == f"MY_{name}"
    if chain and len(one.expressions) < MOST_CHAINED:
        return exp.Anonymous(this=one.name, expressions=[*one.expressions, other])
    return call(name, one, other)


@RULES(exp.Div)
def division(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None, safe: bool = True
) -> Typed:
    """`/`: exact numbers are divided to four more decimals; by zero it is NULL."""
    del safe
    one = to_number(rewriter.expression(this, scope))
    other = to_number(rewriter.expression(expression, scope))
    if Base.DOUBLE in (one.kind.base, other.kind.base):
        kind = double(max(one.kind.scale, other.kind.scale) + decimals.MORE)
    else:
        kind = decimal(one.kind.scale + decimals.MORE)
    return Typed(call("DIVIDE", one.sql, other.sql), kind)


@RULES(exp.IntDiv)
def whole_division(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None
) -> Typed:
    """DIV."""
    one = to_number(rewriter.expression(this, scope))
    other = to_number(rewriter.expression(expression, scope))
    kind = UINT if UINT in (one.kind, other.kind) else INT
    return Typed(call("INT_DIVIDE", one.sql, other.sql), kind)


@RULES(exp.Mod)
def remainder(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None
) -> Typed:
    """`%`, MOD."""
    one = to_number(rewriter.expression(this, scope))
    other = to_number(rewriter.expression(expression, scope))
    return modulo(one, other)


def modulo(one: Typed, other: Typed) -> Typed:
    """The remainder of two numbers."""
    kind = arithmetic(one.kind, other.kind, max(one.kind.scale, other.kind.scale))
    kind = one.kind if one.kind.whole and other.kind.whole else kind
    return Typed(call("MOD", one.sql, other.sql), kind)


@RULES(exp.Neg)
def minus(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None) -> Typed:
    """`-x`."""
    if isinstance(this, exp.Literal) and not this.is_string and this.this == str(2**63):
        return Typed(call("NEGATE", exp.Literal.string(f"{decimals.TAG}0 {2**63}")), INT)
    value = to_number(rewriter.expression(this, scope))
    if value.kind == UINT:
        refuse("- of an unsigned integer: cast it AS SIGNED")
    return Typed(call("NEGATE", value.sql), value.kind)


@RULES(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseLeftShift, exp.BitwiseRightShift)
def bits(rewriter: "Rewriter", scope: Scope, node: Any, *, this: Any = None, expression: Any = None) -> Typed:
    """`&`, `|`, `^`, `<<`, `>>`: of unsigned integers."""
    one = to_number(rewriter.expression(this, scope))
    other = to_number(rewriter.expression(expression, scope))
    name = BIT_NAMES[type(node)]
    return Typed(call(name, one.sql, other.sql), UINT)


BIT_NAMES = {
    exp.BitwiseAnd: "BIT_AND",
    exp.BitwiseOr: "BIT_OR",
    exp.BitwiseXor: "BIT_XOR",
    exp.BitwiseLeftShift: "BIT_LEFT",
    exp.BitwiseRightShift: "BIT_RIGHT",
}


@RULES(exp.BitwiseNot)
def bit_not(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None) -> Typed:
    """`~x`."""
    return Typed(call("BIT_NOT", to_number(rewriter.expression(this, scope)).sql), UINT)


@RULES(exp.Case)
def case(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, ifs: Any = (), default: Any = None
) -> Typed:
    """CASE, with a value or with conditions; all results have one type."""
    value = None if this is None else rewriter.expression(this, scope)
    conditions: list[exp.Expr] = []
    results: list[Typed] = []
    for branch in ifs:
        _, given = RULES.arguments(branch)
        condition = rewriter.expression(given["this"], scope)
        if value is None:
            conditions.append(truth(condition))
        else:
            if value.kind.moment != condition.kind.moment and NULL not in (value.kind, condition.kind):
                refuse("CASE of a moment and another type")
            left, right = comparable(Typed(value.sql.copy(), value.kind), condition)
            conditions.append(call("CASE_EQ", left, right))
        results.append(rewriter.expression(given["true"], scope))
    last = None if default is None else rewriter.expression(default, scope)
    kind = unify([one.kind for one in (*results, *([last] if last else []))])
    pairs = zip(conditions, results, strict=True)
    branches = [exp.If(this=condition, true=convert(result, kind)) for condition, result in pairs]
    return Typed(exp.Case(ifs=branches, default=convert(last, kind) if last else None), kind)


@RULES(exp.If)
def branch_of_case(_: "Rewriter", __: Scope, ___: Any, *, this: Any = None, true: Any = None) -> Typed:
    """A branch stands in a CASE only."""
    del this, true
    return refuse("IF")


@RULES(exp.Concat)
def adjacent(
    rewriter: "Rewriter",
    scope: Scope,
    _: Any,
    *,
    expressions: Any = (),
    safe: bool = False,
    coalesce: bool = False,
) -> Typed:
    """Texts that stand beside each other."""
    del safe
    if coalesce:
        refuse("CONCAT")
    return Typed(call("CONCAT", *(rewriter.expression(part, scope).sql for part in expressions)), TEXT)


@RULES(exp.Parameter)
def user_variable(_: "Rewriter", __: Scope, ___: Any, *, this: Any = None) -> Typed:
    """A user variable; none has a value."""
    del this
    return Typed(exp.Null(), NULL)


@RULES(exp.SessionParameter)
def system_variable(_: "Rewriter", __: Scope, node: Any, *, this: Any = None, kind: Any = None) -> Typed:
    """A system variable; there are none."""
    del this, kind
    raise SqlError(1193, f"Unknown system variable '{node.name}'")
