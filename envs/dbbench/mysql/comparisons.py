"""Comparisons and conditions: `=`, BETWEEN, IN, LIKE, REGEXP, IS, AND, OR, XOR, NOT, EXISTS."""

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envs.dbbench.mysql.convert import EXTREMES, convert, number_literal, to_number, truth
from envs.dbbench.mysql.dialect import call
from envs.dbbench.mysql.kinds import (
    BINARY,
    INT,
    UINT,
    Base,
)
from envs.dbbench.mysql.rules import RULES, refuse
from envs.dbbench.mysql.scope import Scope, Typed
from envs.dbbench.mysql.statements import SYNTAX, SqlError

if TYPE_CHECKING:
    from envs.dbbench.mysql.rewrite import Rewriter


MOST_MEMBERS = 100


"""SQLite's functions take 127 arguments."""


BINARY_REGEXP = 3995


@RULES(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ)
def comparison(
    rewriter: "Rewriter", scope: Scope, node: Any, *, this: Any = None, expression: Any = None
) -> Typed:
    """`=`, `<>`, `<`, `<=`, `>`, `>=`, `<=>`."""
    name = "SAME" if isinstance(node, exp.NullSafeEQ) else type(node).__name__
    if isinstance(expression, exp.Any | exp.All):
        if name == "SAME":
            raise SqlError(SYNTAX, "You have an error in your SQL syntax near '<=>'")
        _, given = RULES.arguments(expression)
        return rewriter.quantified(isinstance(expression, exp.Any), name, this, given["this"], scope)
    if _is_row(this) or _is_row(expression):
        return _rows(rewriter, scope, name, this, expression)
    one, other = rewriter.expression(this, scope), rewriter.expression(expression, scope)
    return compared(name, one, other)


@RULES(exp.Any, exp.All)
def quantifier(_: "Rewriter", __: Scope, ___: Any, *, this: Any = None) -> Typed:
    """ANY and ALL stand behind a comparison only."""
    raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{this.sql('mysql')[:40]}'")


def compared(name: str, one: Typed, other: Typed) -> Typed:
    """A comparison of two expressions."""
    left, right = comparable(one, other)
    return Typed(call(name, left, right), INT)


def comparable(one: Typed, other: Typed) -> tuple[exp.Expr, exp.Expr]:
    """Two expressions as they are compared: a moment with a text as moments, with a number as numbers."""
    if one.kind.moment and other.kind.moment:
        if one.kind == other.kind:
            return one.sql, other.sql
        if Base.TIME in (one.kind.base, other.kind.base):
            refuse("a comparison of a time with a date")
        return call("DATETIME", one.sql), call("DATETIME", other.sql)
    if one.kind.texts and other.kind.numeric:
        return to_number(one).sql, other.sql
    if one.kind.numeric and other.kind.texts:
        return one.sql, to_number(other).sql
    if one.kind.moment or other.kind.moment:
        return _moment_side(one, other), _moment_side(other, one)
    return one.sql, other.sql


def _moment_side(one: Typed, other: Typed) -> exp.Expr:
    if one.kind.base is Base.TIME or other.kind.base is Base.TIME:
        refuse("a comparison of a time with another type")
    if one.kind.numeric or other.kind.numeric:
        return to_number(one).sql
    return one.sql if one.kind.base is Base.NULL else call("COMPARED_MOMENT", one.sql)


def _is_row(node: Any) -> bool:
    return isinstance(node, exp.Tuple)


def _row(rewriter: "Rewriter", scope: Scope, node: Any) -> list[Typed]:
    if not _is_row(node):
        raise SqlError(1241, "Operand should contain 1 column(s)")
    _, given = RULES.arguments(node)
    return [rewriter.expression(value, scope) for value in given["expressions"]]


def _rows(rewriter: "Rewriter", scope: Scope, name: str, one: Any, other: Any) -> Typed:
    left, right = _row(rewriter, scope, one), _row(rewriter, scope, other)
    if len(left) != len(right):
        raise SqlError(1241, f"Operand should contain {len(left)} column(s)")
    if name not in ("EQ", "NEQ", "SAME"):
        refuse("an order of rows")
    pairs = zip(left, right, strict=True)
    joined = exp.and_(*(compared("SAME" if name == "SAME" else "EQ", a, b).sql for a, b in pairs))
    found = exp.Paren(this=joined)
    return Typed(exp.Not(this=found) if name == "NEQ" else found, INT)


@RULES(exp.Tuple)
def row(rewriter: "Rewriter", scope: Scope, _: Any, *, expressions: Any = ()) -> Typed:
    """A row stands in comparisons and behind VALUES only."""
    del rewriter, scope, expressions
    raise SqlError(1241, "Operand should contain 1 column(s)")


@RULES(exp.Between)
def between(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, low: Any = None, high: Any = None
) -> Typed:
    """`x BETWEEN low AND high`: as texts where all three are, else as numbers or as moments."""
    parts = [rewriter.expression(part, scope) for part in (this, low, high)]
    kinds = [part.kind for part in parts if part.kind.base is not Base.NULL]
    if any(kind.moment for kind in kinds):
        if len({kind.base for kind in kinds}) > 1 and not all(
            kind.texts or kind.base in (Base.DATE, Base.DATETIME) for kind in kinds
        ):
            refuse("BETWEEN of moments and other types")
        return Typed(call("BETWEEN", *(call("COMPARED_MOMENT", part.sql) for part in parts)), INT)
    if UINT in kinds and not all(kind.exact for kind in kinds):
        refuse("BETWEEN of unsigned integers and other types")
    if BINARY in kinds and all(kind.texts for kind in kinds):
        return Typed(call("BETWEEN", *(convert(part, BINARY) for part in parts)), INT)
    name = "BETWEEN" if all(kind.texts for kind in kinds) else "BETWEEN_NUMBERS"
    if name == "BETWEEN_NUMBERS" and any(kind.base is Base.DOUBLE or kind.texts for kind in kinds):
        name = "BETWEEN_DOUBLES"
    return Typed(call(name, *(part.sql for part in parts)), INT)


@RULES(exp.In)
def member(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expressions: Any = (), query: Any = None
) -> Typed:
    """`x IN (...)`."""
    if query is not None:
        inner = query.unnest() if isinstance(query, exp.Subquery) else query
        if inner.args.get("limit"):
            refuse("LIMIT & IN/ALL/ANY/SOME subquery")
        return rewriter.quantified(True, "EQ", this, query, scope)
    if not expressions:
        raise SqlError(SYNTAX, "You have an error in your SQL syntax near ')'")
    if _is_row(this):
        pairs = [_rows(rewriter, scope, "EQ", this.copy(), part).sql for part in expressions]
        return Typed(exp.Paren(this=exp.or_(*pairs)), INT)
    value = rewriter.expression(this, scope)
    members = [rewriter.expression(part, scope) for part in expressions]
    if any(part.kind.moment for part in (value, *members)):
        if any(part.kind.numeric or part.kind == BINARY for part in (value, *members)):
            refuse("IN of moments and other types")
        each = [compared("EQ", Typed(value.sql.copy(), value.kind), part).sql for part in members]
        return Typed(exp.Paren(this=exp.or_(*each)), INT)
    if isinstance(value.sql, exp.Anonymous) and value.sql.name in EXTREMES and not _texts_only(members):
        refuse("GREATEST and LEAST of texts IN numbers")
    if BINARY in [part.kind for part in members] and _texts_only([value, *members]):
        value = Typed(convert(value, BINARY), BINARY)
        members = [Typed(convert(part, BINARY), BINARY) for part in members]
    name = "IN" if len(members) > 1 else "EQ"
    starts = range(0, len(members), MOST_MEMBERS)
    parts = [members[start : start + MOST_MEMBERS] for start in starts]
    calls = [call(name, value.sql.copy(), *(one.sql for one in part)) for part in parts]
    return Typed(exp.Paren(this=exp.or_(*calls)) if len(calls) > 1 else calls[0], INT)


def _texts_only(values: list[Typed]) -> bool:
    return all(value.kind.texts for value in values)


@RULES(exp.Like)
def like(
    rewriter: "Rewriter",
    scope: Scope,
    _: Any,
    *,
    this: Any = None,
    expression: Any = None,
    negate: bool = False,
) -> Typed:
    """`x LIKE pattern`, `x NOT LIKE pattern`."""
    return _like(rewriter, scope, this, expression, negate)


@RULES(exp.Escape)
def escape(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None) -> Typed:
    """`x LIKE pattern ESCAPE 'sign'`."""
    if not isinstance(this, exp.Like):
        refuse("ESCAPE")
    _, given = RULES.arguments(this)
    if not (isinstance(expression, exp.Literal) and expression.is_string and len(expression.this) <= 1):
        raise SqlError(1210, "Incorrect arguments to ESCAPE")
    return _like(rewriter, scope, given["this"], given["expression"], given.get("negate", False), expression)


def _like(
    rewriter: "Rewriter", scope: Scope, value: Any, pattern: Any, negate: bool, *sign: exp.Expr
) -> Typed:
    one, other = rewriter.expression(pattern, scope), rewriter.expression(value, scope)
    found = call("LIKE", one.sql, other.sql, *sign)
    return Typed(exp.Not(this=found) if negate else found, INT)


@RULES(exp.RegexpLike)
def regexp(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None) -> Typed:
    """`x REGEXP pattern`."""
    value, pattern = rewriter.expression(this, scope), rewriter.expression(expression, scope)
    return Typed(call("REGEXP_LIKE", *regexp_texts(value, pattern)), INT)


def regexp_texts(*values: Typed) -> list[exp.Expr]:
    """Arguments of a regular expression, which MySQL 8 takes as texts only."""
    if any(value.kind == BINARY and not isinstance(value.sql, exp.Anonymous) for value in values) or any(
        isinstance(value.sql, exp.Anonymous) and value.sql.name == "MY_BINARY" for value in values
    ):
        raise SqlError(
            BINARY_REGEXP,
            "Character set 'binary' cannot be used in conjunction with 'utf8mb4_general_ci' in call to "
            "regexp_like.",
        )
    return [value.sql for value in values]


@RULES(exp.And, exp.Or)
def connector(
    rewriter: "Rewriter", scope: Scope, node: Any, *, this: Any = None, expression: Any = None
) -> Typed:
    """AND and OR; long chains become a tree that is not deep."""
    del this, expression
    kind = type(node)
    operands: list[exp.Expr] = []
    rest: list[exp.Expr] = [node]
    while rest:
        part = rest.pop()
        if type(part) is kind:
            _, given = RULES.arguments(part)
            rest += [given["expression"], given["this"]]
        else:
            operands.append(exp.Paren(this=truth(rewriter.expression(part, scope))))
    while len(operands) > 1:
        pairs = zip(operands[::2], operands[1::2], strict=False)
        joined: list[exp.Expr] = [exp.Paren(this=kind(this=one, expression=other)) for one, other in pairs]
        operands = joined + operands[len(joined) * 2 :]
    return Typed(operands[0], INT)


@RULES(exp.Not)
def negation(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None) -> Typed:
    """NOT and `!`."""
    return Typed(exp.Paren(this=exp.Not(this=exp.Paren(this=truth(rewriter.expression(this, scope))))), INT)


@RULES(exp.Xor)
def xor(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None) -> Typed:
    """XOR."""
    one, other = rewriter.expression(this, scope), rewriter.expression(expression, scope)
    return Typed(call("XOR", truth(one), truth(other)), INT)


@RULES(exp.Is)
def is_(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None) -> Typed:
    """`x IS NULL`, `x IS TRUE`, `x IS FALSE`; the negations stand in a NOT."""
    value = rewriter.expression(this, scope)
    if isinstance(expression, exp.Null):
        return Typed(exp.Paren(this=exp.Is(this=exp.Paren(this=value.sql), expression=exp.Null())), INT)
    if not isinstance(expression, exp.Boolean):
        raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'IS'")
    wanted = number_literal(int(bool(expression.this)))
    return Typed(call("SAME", call("TRUTH", to_number(value).sql), wanted), INT)


@RULES(exp.Exists)
def exists(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None) -> Typed:
    """EXISTS."""
    inner = this.unnest() if isinstance(this, exp.Subquery) else this
    query, __ = rewriter.query(inner, scope)
    return Typed(exp.Exists(this=query), INT)
