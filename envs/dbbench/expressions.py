"""Operators, literals and conditions: each becomes a call of a function that means what MySQL means."""

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envs.dbbench import decimals
from envs.dbbench.convert import EXTREMES, arithmetic, convert, number_literal, to_number, truth
from envs.dbbench.dialect import call
from envs.dbbench.kinds import (
    BINARY,
    DATE,
    DATETIME,
    DOUBLE,
    INT,
    MOST_DECIMALS,
    NULL,
    TEXT,
    UINT,
    Base,
    Kind,
    decimal,
    double,
    unify,
)
from envs.dbbench.rules import Rules, refuse
from envs.dbbench.scope import Scope, Typed
from envs.dbbench.statements import SYNTAX, SqlError

if TYPE_CHECKING:
    from envs.dbbench.rewrite import Rewriter

RULES = Rules()
"""Of everything that may stand in a statement; `calls` and `queries` add theirs."""
MOST_MEMBERS = 100
"""SQLite's functions take 127 arguments."""
WIDEST_CAST, CAST_WIDTH = 65, 10
BINARY_REGEXP = 3995
MERGED_TEXTS = frozenset(("utf8mb4_general_ci",))
EXACT_TEXTS = frozenset(("utf8mb4_bin",))
CHARSETS = frozenset(("utf8mb4", "utf8", "utf8mb3"))


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
    from decimal import Decimal

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
    """AND and OR; long chains are joined without recursion."""
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
    joined = operands[0]
    for operand in operands[1:]:
        joined = kind(this=joined, expression=operand)
    return Typed(exp.Paren(this=joined), INT)


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
    return Typed(call(name + tail, one.sql, other.sql), kind)


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
    return Typed(call("NEGATE", value.sql), INT if value.kind == UINT else value.kind)


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


@RULES(exp.Exists)
def exists(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None) -> Typed:
    """EXISTS."""
    inner = this.unnest() if isinstance(this, exp.Subquery) else this
    query, __ = rewriter.query(inner, scope)
    return Typed(exp.Exists(this=query), INT)


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
