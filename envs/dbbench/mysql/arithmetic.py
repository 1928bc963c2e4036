"""MySQL's operators and functions of numbers, for SQLite."""

import math
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from envs.dbbench.mysql import decimals
from envs.dbbench.mysql.decimals import LARGEST, MOST_UNSIGNED, OUT_OF_RANGE, SMALLEST, Exact, Fixed, Number
from envs.dbbench.mysql.faults import fail
from envs.dbbench.mysql.functions import Function, strict
from envs.dbbench.mysql.kinds import NOT_FIXED
from envs.dbbench.mysql.values import Value, compare_numbers, integer, number, strict_now, text, weight

MOST_PLACES = 30
MOST_POWER = 300
PI_DECIMALS = 6
DIVISION_BY_ZERO = 1365
BITS = MOST_UNSIGNED + 1
SHIFT_BITS = 2**32
"""MySQL counts shifts in so many bits."""
PRECISE = 2.0**53


def nothing() -> None:
    """NULL for a division by zero, which is an error where the statement changes rows.

    Raises:
        SqlError: The statement changes rows.
    """
    if strict_now():
        fail(DIVISION_BY_ZERO, "Division by 0")


def operator(reckon: Callable[[Number, Number], Number | None]) -> Function:
    """An operator of numbers, from left to right; NULL where one is, or where it has no value."""

    def guarded(one: Value, *others: Value) -> Value:
        if one is None or None in others:
            return None
        result: Number | None = number(one)
        for other in others:
            result = reckon(result, number(other))
            if result is None:
                return nothing()
        return decimals.write(result)

    return guarded


def within(reckon: Callable[[Number, Number], Number], low: int, high: int, name: str) -> Function:
    """An operator of two integers, whose value MySQL wants between bounds."""

    def checked(one: Number, other: Number) -> Number:
        result = reckon(_whole(one), _whole(other))
        if not isinstance(result, int) or not low <= result <= high:
            fail(OUT_OF_RANGE, f"{name} value is out of range")
        return result

    return operator(checked)


def _whole(value: Number) -> int:
    return int(value.value) if isinstance(value, Exact | Fixed) else int(value)


def negate(value: Value) -> Value:
    """A number with the other sign."""
    given = number(value)
    if isinstance(given, Exact):
        return decimals.write(Exact(-given.value if given.value else given.value, given.scale))
    if isinstance(given, Fixed):
        return decimals.write(Fixed(-given.value if given.value else 0.0, given.scale))
    if given == SMALLEST and isinstance(given, int):
        fail(OUT_OF_RANGE, "BIGINT value is out of range")
    return -given if given else given


def as_bits(value: Value) -> int:
    """A number as 64 bits; halves are rounded away from zero, also those of texts and doubles."""
    given = number(value)
    whole = given if isinstance(given, int) else int(decimals.quantized(decimals.exact(given).value, 0))
    return max(SMALLEST, min(whole, MOST_UNSIGNED)) % BITS


def bits(reckon: Callable[[int, int], int]) -> Function:
    """An operator of two numbers as 64 bits."""

    def guarded(one: Value, other: Value) -> Value:
        return decimals.write(reckon(as_bits(one), as_bits(other)) % BITS)

    return strict(guarded)


def shifted(reckon: Callable[[int, int], int]) -> Function:
    """A number as 64 bits, shifted; the count is rounded as integers are, to the even one."""

    def guarded(value: Value, count: Value) -> Value:
        places = max(SMALLEST, min(integer(decimals.write(number(count))), LARGEST)) % SHIFT_BITS
        return decimals.write(reckon(as_bits(value), places) % BITS if places < 64 else 0)

    return strict(guarded)


def truth(value: Value) -> Value:
    """1, 0 or NULL: what a condition makes of a value."""
    if value is None:
        return None
    given = number(value)
    return int((given.value if isinstance(given, Exact | Fixed) else given) != 0)


def absolute(value: Value) -> Value:
    """ABS."""
    given = number(value)
    if isinstance(given, Exact):
        return decimals.write(Exact(abs(given.value), given.scale))
    if isinstance(given, Fixed):
        return decimals.write(Fixed(abs(given.value), given.scale))
    return decimals.write(abs(given))


def sign(value: Value) -> Value:
    """SIGN."""
    given = number(value)
    plain = given.value if isinstance(given, Exact | Fixed) else given
    return (plain > 0) - (plain < 0)


def toward(step: Callable[[float | Decimal], int]) -> Function:
    """FLOOR or CEIL."""

    def guarded(value: Value) -> Value:
        given = number(value)
        if isinstance(given, int):
            return given
        if isinstance(given, Exact):
            return decimals.write(step(given.value))
        plain = decimals.double(given)
        return decimals.write(Fixed(float(step(plain)) if abs(plain) < PRECISE else plain, 0))

    return strict(guarded)


def rounded(value: Value, digits: Value = 0, scale: int = NOT_FIXED) -> Value:
    """ROUND: halves away from zero; of a double, to the even digit, shown with a scale where one is given."""
    given = number(value)
    if not decimals.inexact(given):
        return _rounded_exactly(given, integer(digits), scale, ROUND_HALF_UP)
    return decimals.write(decimals.fixed(_moved(decimals.double(given), integer(digits), round), scale))


def cut(value: Value, digits: Value, scale: int = NOT_FIXED) -> Value:
    """TRUNCATE."""
    given = number(value)
    if not decimals.inexact(given):
        return _rounded_exactly(given, integer(digits), scale, ROUND_DOWN)
    return decimals.write(decimals.fixed(_moved(decimals.double(given), integer(digits), math.trunc), scale))


def _rounded_exactly(given: Number, digits: int, scale: int, mode: str) -> Value:
    """An exact number rounded; with a scale it is a decimal, also where it is an integer as stored."""
    return decimals.write(
        decimals.round_exact(given if scale == NOT_FIXED else decimals.exact(given), digits, mode)
    )


def _moved(given: float, digits: int, step: Callable[[float], int]) -> float:
    places = max(-MOST_POWER, min(digits, MOST_POWER))
    power = 10.0 ** abs(places) if abs(places) < MOST_POWER else math.inf
    if places >= 0:
        moved = given * power
        return given if not abs(moved) < PRECISE else step(moved) / power
    return 0.0 if math.isinf(power) else step(given / power) * power


def formatted(value: Value, digits: Value) -> Value:
    """FORMAT: a number with so many decimals, commas between the thousands."""
    given, places = number(value), max(0, min(integer(digits), MOST_PLACES))
    if decimals.inexact(given):
        given = number(rounded(value, places))
    exact = decimals.exact(given).value
    return f"{decimals.quantized(exact, places):,f}"


def measured(function: Callable[..., float]) -> Function:
    """A function of doubles; NULL where it has no value."""

    def guarded(*values: Value) -> Value:
        doubles = [decimals.double(number(value)) for value in values]
        try:
            result = float(function(*doubles))
        except (ValueError, ZeroDivisionError):
            return nothing() if function in LOGARITHMS else None
        except OverflowError:
            result = math.inf
        return None if math.isnan(result) else decimals.finite(result)

    return strict(guarded)


def power(one: float, other: float) -> float:
    """POW; zero to a negative power is out of range."""
    if one == 0 and other < 0:
        return math.inf
    return math.pow(one, other)


def extreme(direction: int) -> Function:
    """GREATEST (1) or LEAST (-1)."""

    def guarded(*values: Value) -> Value:
        best = values[0]
        for value in values[1:]:
            if _order(value, best) * direction > 0:
                best = value
        return best

    return strict(guarded)


def _order(one: Value, other: Value) -> int:
    if isinstance(one, bytes) or isinstance(other, bytes):
        left, right = ((text(value) or "").encode() for value in (one, other))
        return (left > right) - (left < right)
    if all(isinstance(value, str) and value[:1] != decimals.TAG for value in (one, other)):
        left, right = weight(text(one) or ""), weight(text(other) or "")
        return (left > right) - (left < right)
    return compare_numbers(number(one), number(other), rounded=False)


def to_decimal(value: Value, scale: Value, width: Value = None) -> Value:
    """A number with another scale; with a width, rounded and bounded as CAST does."""
    given, places = number(value), integer(scale)
    exact = decimals.exact(given)
    if width is None:
        return decimals.write(Exact(exact.value, places))
    most = Decimal(10) ** (integer(width) - places) - Decimal(1).scaleb(-places)
    bounded = max(-most, min(exact.value, most))
    return decimals.write(Exact(decimals.quantized(bounded, places), places))


def to_double(value: Value, scale: Value = NOT_FIXED) -> Value:
    """A number as a double, shown with so many decimals."""
    return decimals.write(decimals.fixed(decimals.double(number(value)), integer(scale)))


def settled(value: Value) -> Value:
    """A decimal as a temporary table keeps it: digits behind its scale are rounded away."""
    given = number(value) if isinstance(value, str) and value[:1] == decimals.TAG else value
    return decimals.write(Exact(given.rounded, given.scale)) if isinstance(given, Exact) else value


def stored(value: Value) -> Value:
    """A value as it goes into a TEXT column: a decimal with all its digits, also those behind its scale."""
    given = number(value) if isinstance(value, str) and value[:1] == decimals.TAG else value
    return (
        f"{given.value:f}"
        if isinstance(given, Exact)
        else text(given.value if isinstance(given, Fixed) else given)
    )


def signed(value: Value) -> Value:
    """CAST AS SIGNED."""
    return max(SMALLEST, min(integer(value), LARGEST))


def signed_bits(value: Value) -> Value:
    """CAST AS SIGNED of an unsigned integer: what is too large wraps around."""
    given = integer(value) % BITS
    return given - BITS if given > LARGEST else given


def unsigned(value: Value) -> Value:
    """CAST AS UNSIGNED: what is negative wraps around."""
    given = integer(value)
    return decimals.write(given % BITS if SMALLEST <= given < 0 else max(0, min(given, MOST_UNSIGNED)))


def _log(one: float, other: float | None = None) -> float:
    return math.log(one) if other is None else math.log(other) / math.log(one)


LOGARITHMS = (math.log, math.log2, math.log10, _log)
"""Functions whose errors are divisions by zero."""
NUMBERS: dict[str, Function] = {
    "ABS": strict(absolute),
    "ACOS": measured(math.acos),
    "ADD": operator(decimals.add),
    "ADD_INT": within(decimals.add, SMALLEST, LARGEST, "BIGINT"),
    "ADD_UINT": within(decimals.add, 0, MOST_UNSIGNED, "BIGINT UNSIGNED"),
    "ASIN": measured(math.asin),
    "ATAN": measured(lambda one, other=None: math.atan(one) if other is None else math.atan2(one, other)),
    "BIT_AND": bits(lambda one, other: one & other),
    "BIT_COUNT": strict(lambda value: as_bits(value).bit_count()),
    "BIT_LEFT": shifted(lambda one, count: one << count),
    "BIT_NOT": strict(lambda value: decimals.write(~as_bits(value) % BITS)),
    "BIT_OR": bits(lambda one, other: one | other),
    "BIT_RIGHT": shifted(lambda one, count: one >> count),
    "BIT_XOR": bits(lambda one, other: one ^ other),
    "CEIL": toward(math.ceil),
    "COS": measured(math.cos),
    "COT": measured(lambda value: 1 / math.tan(value)),
    "DECIMAL": strict(to_decimal),
    "DEGREES": measured(math.degrees),
    "DIVIDE": operator(decimals.divide),
    "DOUBLE": strict(to_double),
    "EXP": measured(math.exp),
    "FLOOR": toward(math.floor),
    "FORMAT": strict(formatted),
    "GREATEST": extreme(1),
    "INT_DIVIDE": operator(decimals.whole_quotient),
    "LEAST": extreme(-1),
    "LN": measured(math.log),
    "LOG": measured(_log),
    "LOG10": measured(math.log10),
    "LOG2": measured(math.log2),
    "MOD": operator(decimals.modulo),
    "MULTIPLY": operator(decimals.multiply),
    "MULTIPLY_INT": within(decimals.multiply, SMALLEST, LARGEST, "BIGINT"),
    "MULTIPLY_UINT": within(decimals.multiply, 0, MOST_UNSIGNED, "BIGINT UNSIGNED"),
    "NEGATE": strict(negate),
    "PI": lambda: decimals.write(Fixed(math.pi, PI_DECIMALS)),
    "POW": measured(power),
    "RADIANS": measured(math.radians),
    "ROUND": strict(rounded),
    "SETTLED": settled,
    "SIGN": strict(sign),
    "SIGNED": strict(signed),
    "SIGNED_BITS": strict(signed_bits),
    "SIN": measured(math.sin),
    "SQRT": measured(math.sqrt),
    "SUBTRACT": operator(decimals.subtract),
    "SUBTRACT_INT": within(decimals.subtract, SMALLEST, LARGEST, "BIGINT"),
    "SUBTRACT_UINT": within(decimals.subtract, 0, MOST_UNSIGNED, "BIGINT UNSIGNED"),
    "TAN": measured(math.tan),
    "TRUNCATE": strict(cut),
    "TRUTH": truth,
    "UNSIGNED": strict(unsigned),
}
"""What the translation calls."""
