"""Calls of functions, aggregates and windows."""

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envs.dbbench.engines.port import DATABASE
from envs.dbbench.mysql.comparisons import comparable, regexp_texts
from envs.dbbench.mysql.convert import convert, number_literal, to_number, truth
from envs.dbbench.mysql.dates import MONTHS, SECONDS
from envs.dbbench.mysql.dialect import call
from envs.dbbench.mysql.expressions import modulo
from envs.dbbench.mysql.kinds import (
    BINARY,
    DATE,
    DATETIME,
    DOUBLE,
    INT,
    NOT_FIXED,
    NULL,
    TEXT,
    Base,
    decimal,
    double,
    unify,
)
from envs.dbbench.mysql.rules import RULES, refuse
from envs.dbbench.mysql.scope import Scope, Typed
from envs.dbbench.mysql.signatures import AGGREGATES, RANKS, REFUSED, SIGNATURES
from envs.dbbench.mysql.statements import SYNTAX, SqlError

if TYPE_CHECKING:
    from envs.dbbench.mysql.rewrite import Rewriter

TIMED = ("SECOND", "MINUTE", "HOUR")

PARTS = frozenset("DAY HOUR MINUTE MONTH QUARTER SECOND YEAR".split())  # noqa: SIM905

LETTERS = frozenset(
    """CONCAT CONCAT_WS ELT INSERT LEFT LOWER LPAD LTRIM QUOTE REPEAT REPLACE REVERSE RIGHT RPAD RTRIM
    STRCMP FIND_IN_SET INSTR LOCATE SUBSTRING_INDEX UPPER""".split()  # noqa: SIM905
)

"""Functions that a binary string makes ones of bytes."""

CLOCKS = ("HOUR", "MINUTE", "SECOND")

PARAMETER_COUNT, NO_FUNCTION = 1582, 1305


@RULES(exp.Anonymous)
def function(
    rewriter: "Rewriter", scope: Scope, node: Any, *, this: Any = None, expressions: Any = ()
) -> Typed:
    """A function by its name."""
    del this
    name = node.name.upper()
    if name in AGGREGATES:
        return rewriter.aggregate(scope, name, expressions)
    special = SPECIAL.get(name)
    if special is not None:
        return special(rewriter, scope, name, expressions)
    signature = SIGNATURES.get(name)
    if signature is None:
        if name in RANKS:
            raise SqlError(SYNTAX, f"You have an error in your SQL syntax: {name} needs OVER")
        if name in REFUSED:
            refuse(f"{name}()")
        raise SqlError(NO_FUNCTION, f"FUNCTION {DATABASE}.{node.name} does not exist")
    count_arguments(name, expressions, signature.least, signature.most)
    values = [rewriter.expression(part, scope) for part in expressions]
    kind = signature.kind([value.kind for value in values])
    if signature.target in ("GREATEST", "LEAST"):
        if any(value.kind.moment for value in values) and len({value.kind for value in values}) > 1:
            refuse(f"{name} of moments and other types")
        if kind.numeric or kind == BINARY:
            return Typed(call(signature.target, *(convert(value, kind) for value in values)), kind)
    if signature.target.startswith("REGEXP"):
        regexp_texts(*values[:2])
    if BINARY in [value.kind for value in values] and signature.target in LETTERS:
        refuse(f"{name} of a binary string")
    if name == "FIELD" and any(value.kind.moment for value in values):
        refuse("FIELD of moments")
    if name == "FIELD" and not all(value.kind.texts or value.kind == NULL for value in values):
        values = _compared_as_numbers(values)
    if name in CLOCKS and _is_moment(values[0]):
        values = [Typed(call("DATETIME", values[0].sql), DATETIME)]
    given = [
        to_number(value).sql if signature.is_number(place) else value.sql
        for place, value in enumerate(values)
    ]
    return Typed(call(signature.target, *given), kind)


def _is_moment(value: Typed) -> bool:
    shifts = isinstance(value.sql, exp.Anonymous) and value.sql.name == "MY_DATE_ADD"
    return value.kind.moment or shifts


def _compared_as_numbers(values: list[Typed]) -> list[Typed]:
    given = [to_number(value) for value in values]
    if all(value.kind.exact for value in given):
        return given
    return [Typed(call("DOUBLE", value.sql), DOUBLE) for value in given]


def count_arguments(name: str, arguments: Any, least: int, most: int) -> None:
    """Raise MySQL's error where a function has too few or too many arguments."""
    if not least <= len(arguments) <= most:
        raise SqlError(PARAMETER_COUNT, f"Incorrect parameter count in the call to native function '{name}'")


def values_of(rewriter: "Rewriter", scope: Scope, arguments: Any) -> list[Typed]:
    """Translate arguments."""
    return [rewriter.expression(part, scope) for part in arguments]


def _coalesce(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, *((2, 2) if name == "IFNULL" else (1, 99)))
    values = values_of(rewriter, scope, arguments)
    kind = unify([value.kind for value in values])
    given = [convert(value, kind) for value in values]
    if len(given) == 1:
        return Typed(given[0], kind)
    return Typed(exp.Anonymous(this="COALESCE", expressions=given), kind)


def _if(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 3, 3)
    condition, one, other = values_of(rewriter, scope, arguments)
    kind = unify((one.kind, other.kind))
    chosen = exp.If(this=truth(condition), true=convert(one, kind))
    return Typed(exp.Case(ifs=[chosen], default=convert(other, kind)), kind)


def _null_if(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 2, 2)
    one, other = values_of(rewriter, scope, arguments)
    if one.kind.moment != other.kind.moment and NULL not in (one.kind, other.kind):
        refuse("NULLIF of a moment and another type")
    left, right = comparable(one, other)
    equal = exp.If(this=call("EQ", left, right), true=exp.Null())
    return Typed(exp.Case(ifs=[equal], default=one.sql.copy()), one.kind)


def _is_null(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 1, 1)
    (value,) = values_of(rewriter, scope, arguments)
    return Typed(exp.Paren(this=exp.Is(this=exp.Paren(this=value.sql), expression=exp.Null())), INT)


def _round(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 2 if name == "TRUNCATE" else 1, 2)
    values = values_of(rewriter, scope, arguments)
    value, given = to_number(values[0]), to_number(values[1]).sql if len(values) > 1 else number_literal(0)
    kind = value.kind
    digits = arguments[1] if len(arguments) > 1 else None
    if kind.base is Base.DECIMAL:
        kind = decimal(0 if digits is None else _scale(digits, kind.scale))
    elif kind.base is Base.DOUBLE:
        kind = double(0 if digits is None else NOT_FIXED if not _literal(digits) else _scale(digits, 0))
    if not kind.whole:
        return Typed(call(name, value.sql, given, number_literal(kind.scale)), kind)
    return Typed(call(name, value.sql, given), kind)


def _literal(digits: exp.Expr) -> bool:
    node = digits.this if isinstance(digits, exp.Neg) else digits
    return isinstance(node, exp.Literal) and node.this.isdigit()


def _scale(digits: exp.Expr, otherwise: int) -> int:
    if _literal(digits):
        return 0 if isinstance(digits, exp.Neg) else int(digits.this)
    return refuse("ROUND to decimals that are not a literal") if otherwise else 0


def _mod(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 2, 2)
    one, other = (to_number(value) for value in values_of(rewriter, scope, arguments))
    return modulo(one, other)


def _database(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    del rewriter, scope
    count_arguments(name, arguments, 0, 0)
    return Typed(exp.Literal.string(DATABASE), TEXT)


def _middle(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 2, 3)
    return _substring(values_of(rewriter, scope, arguments))


def _substring(values: list[Typed]) -> Typed:
    if values[0].kind == BINARY:
        refuse("SUBSTRING of a binary string")
    places = (to_number(value).sql for value in values[1:])
    return Typed(call("SUBSTRING", values[0].sql, *places), TEXT)


def _date_add(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 2, 2)
    date, interval = arguments
    if name in ("DATE_ADD", "DATE_SUB") and not isinstance(interval, exp.Interval):
        raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{name}'")
    return rewriter.shifted(date, interval, scope, back=name in ("DATE_SUB", "SUBDATE"))


def _difference(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 3, 3)
    unit = arguments[0].name.upper()
    if unit not in MONTHS and unit not in SECONDS:
        refuse(f"TIMESTAMPDIFF in {unit}")
    one, other = values_of(rewriter, scope, arguments[1:])
    return Typed(call("DIFFERENCE", exp.Literal.string(unit), one.sql, other.sql), INT)


def _str_to_date(rewriter: "Rewriter", scope: Scope, name: str, arguments: Any) -> Typed:
    count_arguments(name, arguments, 2, 2)
    form = arguments[1]
    if not (isinstance(form, exp.Literal) and form.is_string):
        refuse("STR_TO_DATE with a format that is not a literal")
    value = rewriter.expression(arguments[0], scope)
    kind = DATETIME if any(f"%{sign}" in form.this for sign in "HhIiklrSsTfp") else DATE
    return Typed(call("STR_TO_DATE", value.sql, form), kind)


SPECIAL: dict[str, Any] = {
    "ADDDATE": _date_add,
    "COALESCE": _coalesce,
    "DATABASE": _database,
    "DATE_ADD": _date_add,
    "DATE_SUB": _date_add,
    "IF": _if,
    "IFNULL": _coalesce,
    "ISNULL": _is_null,
    "MID": _middle,
    "MOD": _mod,
    "NULLIF": _null_if,
    "ROUND": _round,
    "SCHEMA": _database,
    "STR_TO_DATE": _str_to_date,
    "SUBDATE": _date_add,
    "SUBSTR": _middle,
    "SUBSTRING": _middle,
    "TIMESTAMPDIFF": _difference,
    "TRUNCATE": _round,
}


@RULES(exp.Substring)
def substring(
    rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, start: Any = None, length: Any = None
) -> Typed:
    """SUBSTRING, also with FROM and FOR."""
    return _substring(
        [rewriter.expression(part, scope) for part in (this, start, length) if part is not None]
    )


@RULES(exp.Trim)
def trim(
    rewriter: "Rewriter",
    scope: Scope,
    _: Any,
    *,
    this: Any = None,
    expression: Any = None,
    position: Any = None,
) -> Typed:
    """TRIM."""
    typed = [rewriter.expression(part, scope) for part in (this, expression) if part is not None]
    if BINARY in [value.kind for value in typed]:
        refuse("TRIM of a binary string")
    values = [value.sql for value in typed]
    mode = exp.Literal.string(str(position or "BOTH").upper())
    return Typed(call("TRIM_OFF", mode, *values), TEXT)


@RULES(exp.StrPosition)
def locate(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, substr: Any = None) -> Typed:
    """POSITION."""
    part, value = rewriter.expression(substr, scope), rewriter.expression(this, scope)
    return Typed(call("LOCATE", part.sql, value.sql), INT)


@RULES(exp.Extract)
def extract(rewriter: "Rewriter", scope: Scope, _: Any, *, this: Any = None, expression: Any = None) -> Typed:
    """EXTRACT of a single unit."""
    unit = this.name.upper()
    if unit not in PARTS:
        refuse(f"EXTRACT of {unit}")
    value = rewriter.expression(expression, scope)
    if unit in CLOCKS:
        given = call("DATETIME", value.sql) if _is_moment(value) else value.sql
        return Typed(call(f"EXTRACT_{unit}", given), INT)
    return Typed(call(unit, value.sql), INT)


@RULES(exp.Chr)
def characters(
    rewriter: "Rewriter", scope: Scope, _: Any, *, expressions: Any = (), charset: Any = None
) -> Typed:
    """CHAR."""
    values = [to_number(rewriter.expression(part, scope)).sql for part in expressions]
    made = call("CHARACTERS", *values)
    if charset is None:
        return Typed(made, BINARY)
    if charset.name.lower() not in ("utf8mb4", "utf8", "utf8mb3"):
        refuse(f"CHARACTER SET {charset.name}")
    return Typed(call("TEXT", made), TEXT)


@RULES(exp.CurrentDate, exp.UtcDate)
def today(_: "Rewriter", __: Scope, ___: Any) -> Typed:
    """CURDATE."""
    return Typed(call("CURDATE"), DATE)


@RULES(exp.CurrentTimestamp, exp.CurrentDatetime, exp.Localtime, exp.Localtimestamp, exp.UtcTimestamp)
def now(_: "Rewriter", __: Scope, ___: Any) -> Typed:
    """NOW."""
    return Typed(call("NOW"), DATETIME)


@RULES(exp.Interval)
def interval(_: "Rewriter", __: Scope, ___: Any, *, this: Any = None, unit: Any = None) -> Typed:
    """An INTERVAL stands beside a date only."""
    del this, unit
    raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'INTERVAL'")


def shifted(rewriter: "Rewriter", date: Any, by: Any, scope: Scope, *, back: bool) -> Typed:
    """A date and an INTERVAL, or days."""
    if isinstance(by, exp.Interval):
        _, given = RULES.arguments(by)
        if given.get("unit") is None:
            raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'INTERVAL'")
        count, unit = given["this"], given["unit"].name.upper()
    else:
        count, unit = by, "DAY"
    if unit not in MONTHS and unit not in SECONDS:
        refuse(f"INTERVAL of {unit}")
    given_count = to_number(rewriter.expression(count, scope))
    if unit == "SECOND" and given_count.kind.base in (Base.DECIMAL, Base.DOUBLE):
        refuse("INTERVAL of fractions of a second")
    amount, value = given_count.sql, rewriter.expression(date, scope)
    amount = call("NEGATE", amount) if back else amount
    kind = TEXT if value.kind.base is not Base.DATE and value.kind.base is not Base.DATETIME else value.kind
    if kind == DATE and unit in TIMED:
        kind = DATETIME
    return Typed(call("DATE_ADD", value.sql, amount, exp.Literal.string(unit)), kind)
