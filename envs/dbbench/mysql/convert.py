"""Conversions from one type of MySQL's to another, as calls of our functions."""

from sqlglot import exp

from envs.dbbench.mysql.dialect import call
from envs.dbbench.mysql.kinds import (
    BINARY,
    DATETIME,
    DOUBLE,
    INT,
    NOT_FIXED,
    TEXT,
    Base,
    Kind,
    decimal,
    double,
)
from envs.dbbench.mysql.rules import refuse
from envs.dbbench.mysql.scope import Typed


def number_literal(value: int) -> exp.Expr:
    """An integer for SQLite."""
    literal = exp.Literal.number(abs(value))
    return exp.Neg(this=literal) if value < 0 else literal


def to_number(value: Typed) -> Typed:
    """A value where a number is wanted: texts are doubles, moments are their digits."""
    kind = value.kind
    if kind.numeric:
        return value
    if kind.base is Base.NULL:
        return Typed(value.sql, INT)
    if kind.moment:
        return Typed(call("MOMENT_NUMBER", value.sql), INT)
    if isinstance(value.sql, exp.Anonymous) and value.sql.name in EXTREMES:
        # Where a number is wanted, GREATEST and LEAST compare texts as numbers.
        return Typed(
            call(value.sql.name[3:], *(call("DOUBLE", one) for one in value.sql.expressions)), DOUBLE
        )
    if isinstance(value.sql, exp.Anonymous) and value.sql.name == "MY_DATE_ADD":
        return Typed(call("MOMENT_NUMBER", value.sql), INT)
    return Typed(value.sql, DOUBLE)


EXTREMES = ("MY_GREATEST", "MY_LEAST")


def truth(value: Typed) -> exp.Expr:
    """A value where a condition is wanted: 1, 0 or NULL."""
    given = to_number(value)
    return given.sql if given.kind == INT else call("TRUTH", given.sql)


def convert(value: Typed, kind: Kind) -> exp.Expr:
    """A value as one of another type."""
    given = value.kind
    if given == kind or given.base is Base.NULL or kind.base is Base.NULL:
        return value.sql
    if kind.base is Base.DECIMAL:
        return call("DECIMAL", to_number(value).sql, number_literal(kind.scale))
    if kind.base is Base.DOUBLE:
        return call("DOUBLE", to_number(value).sql, number_literal(kind.scale))
    if kind == TEXT:
        return call("TEXT", value.sql)
    if kind == BINARY:
        return call("BINARY", value.sql)
    if kind == DATETIME:
        return call("DATETIME", value.sql)
    return refuse(f"{given.base} as {kind.base}")


def arithmetic(one: Kind, other: Kind, scale: int) -> Kind:
    """The type of a sum or a product of two numbers."""
    if Base.DOUBLE in (one.base, other.base):
        return DOUBLE if NOT_FIXED in (one.scale, other.scale) else double(scale)
    if one.whole and other.whole:
        return INT if one == INT and other == INT else Kind(Base.UINT)
    return decimal(scale)
