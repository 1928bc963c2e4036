"""CAST, CONVERT and COLLATE."""

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envs.dbbench.mysql.convert import number_literal, to_number
from envs.dbbench.mysql.dialect import call
from envs.dbbench.mysql.kinds import (
    BINARY,
    DATE,
    DATETIME,
    DOUBLE,
    INT,
    MOST_DECIMALS,
    TEXT,
    UINT,
    Kind,
    decimal,
)
from envs.dbbench.mysql.rules import RULES, refuse
from envs.dbbench.mysql.scope import Scope, Typed
from envs.dbbench.mysql.statements import SqlError

if TYPE_CHECKING:
    from envs.dbbench.mysql.rewrite import Rewriter


WIDEST_CAST, CAST_WIDTH = 65, 10


MERGED_TEXTS = frozenset(("utf8mb4_general_ci",))


EXACT_TEXTS = frozenset(("utf8mb4_bin",))


CHARSETS = frozenset(("utf8mb4", "utf8", "utf8mb3"))


@RULES(exp.Cast)
def cast(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, to: Any = None) -> Typed:
    """CAST, CONVERT, BINARY, and `DATE '...'`."""
    name, width, scale = data_type(to)
    value = rewriter.expression(this, scope)
    if name == "DECIMAL":
        digits = CAST_WIDTH if width is None else width
        places = scale or 0
        if digits > WIDEST_CAST or places > MOST_DECIMALS or places > digits:
            raise SqlError(1426 if digits > WIDEST_CAST else 1427, "Too big precision or scale specified")
        given = to_number(value).sql
        return Typed(
            call("CAST_DECIMAL", given, number_literal(places), number_literal(digits)), decimal(places)
        )
    found = CASTS.get(name)
    if found is None or scale is not None or (width is not None and found[0] not in ("TEXT", "BINARY")):
        refuse(f"CAST AS {name}")
    target, kind = found
    if target == "SIGNED" and value.kind == UINT:
        target = "SIGNED_BITS"
    if kind.numeric:
        value = to_number(value)
    if width is not None:
        return Typed(call(f"CAST_{target}", value.sql, number_literal(width)), kind)
    return Typed(call(target, value.sql), kind)


def data_type(to: Any) -> tuple[str, int | None, int | None]:
    """A type's name and the numbers behind it."""
    _, given = RULES.arguments(to)
    charset = given.get("kind")
    name = "CHAR" if given["this"].name == "CHARACTER_SET" else given["this"].name
    if charset is not None and charset.name.lower() not in CHARSETS:
        refuse(f"CHARACTER SET {charset.name}")
    numbers: list[int | None] = []
    for parameter in given.get("expressions", ()):
        _, inner = RULES.arguments(parameter)
        number = inner["this"]
        if not isinstance(number, exp.Literal) or not number.this.isdigit():
            refuse("a type without a number")
        numbers.append(int(number.this))
    first, second = (*numbers, None, None)[:2]
    return name, first, second


@RULES(exp.DataType)
def type_name(
    _: "Rewriter",
    __: Scope,
    ___: Any,
    *,
    this: Any = None,
    expressions: Any = (),
    kind: Any = None,
) -> Typed:
    """A type stands in a CAST only."""
    del this, expressions, kind
    return refuse("a type")


@RULES(exp.DataTypeParam)
def type_number(_: "Rewriter", __: Scope, ___: Any, *, this: Any = None) -> Typed:
    """A type's number stands behind a type only."""
    del this
    return refuse("a type")


CASTS: dict[str, tuple[str, Kind]] = {
    "BIGINT": ("SIGNED", INT),
    "UBIGINT": ("UNSIGNED", UINT),
    "CHAR": ("TEXT", TEXT),
    "NCHAR": ("TEXT", TEXT),
    "DOUBLE": ("DOUBLE", DOUBLE),
    "DATE": ("DATE", DATE),
    "DATETIME": ("DATETIME", DATETIME),
    "TIMESTAMP": ("DATETIME", DATETIME),
    "TIMESTAMPTZ": ("DATETIME", DATETIME),
    "BINARY": ("BINARY", BINARY),
}


"""What a CAST calls, and the type of that."""


@RULES(exp.Collate)
def collate(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None) -> Typed:
    """COLLATE: the collation that everything has, or the one that counts letters as they are."""
    name = expression.name.lower()
    value = rewriter.expression(this, scope)
    if name in MERGED_TEXTS:
        return value
    if name in EXACT_TEXTS:
        return Typed(call("EXACT_TEXT", value.sql), BINARY)
    return refuse(f"COLLATE {expression.name}")
