"""DECIMAL in SQLite: a tagged text with a value's digits and its scale, and MySQL's arithmetic.

A scale is how many decimals are shown and compared; the digits are what later steps reckon with. So 2 / 3 has
the scale 4 and the digits 0.666666666, and 2 / 3 * 100 is 66.6667. A decimal
of scale 0 is an SQLite integer where it fits. A double with a scale (the result of ROUND) is tagged, too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, localcontext
from functools import lru_cache

from envs.dbbench.mysql.faults import fail
from envs.dbbench.mysql.kinds import MOST_DECIMALS, NOT_FIXED

TAG = "\uffff"
"""What a decimal's text begins with; no text that MySQL takes needs this character."""
MORE = 4
"""What a division adds to the scale (MySQL's `div_precision_increment`)."""
WORD = 9
"""MySQL reckons decimals in words of so many digits."""
MOST_DIGITS = 65
SMALLEST, LARGEST = -(2**63), 2**63 - 1
MOST_UNSIGNED = 2**64 - 1
WIDE = Context(prec=200)
OUT_OF_RANGE = 1690


@dataclass(frozen=True, slots=True)
class Exact:
    """A decimal."""

    value: Decimal
    scale: int

    @property
    def rounded(self) -> Decimal:
        """The value as it is shown."""
        return quantized(self.value, self.scale)


@dataclass(frozen=True, slots=True)
class Fixed:
    """A double that is shown with so many decimals."""

    value: float
    scale: int


Number = int | float | Exact | Fixed


def quantized(value: Decimal, scale: int, mode: str = ROUND_HALF_UP) -> Decimal:
    """A value with so many decimals; zero has no sign."""
    result = value.quantize(Decimal(1).scaleb(-scale), rounding=mode, context=WIDE)
    return result if result else abs(result)


def write(number: Number) -> int | float | str:
    """A number as SQLite stores it."""
    if isinstance(number, float):
        return number
    if isinstance(number, Fixed):
        return f"{TAG}~{number.scale} {number.value!r}"
    if isinstance(number, int):
        if SMALLEST <= number <= LARGEST:
            return number
        number = Exact(Decimal(number), 0)
    if number.scale == 0 and number.value == number.value.to_integral_value():
        whole = int(number.value)
        if SMALLEST <= whole <= LARGEST:
            return whole
    return f"{TAG}{number.scale} {number.value:f}"


@lru_cache(maxsize=4096)
def read(tagged: str) -> Exact | Fixed:
    """A decimal, or a double with a scale, out of its text."""
    scale, _, digits = tagged[1:].partition(" ")
    try:
        if scale[:1] == "~":
            return Fixed(float(digits), int(scale[1:]))
        return Exact(Decimal(digits), int(scale))
    except (ValueError, ArithmeticError):
        return Exact(Decimal(0), 0)


def exact(number: Number) -> Exact:
    """A number as a decimal; a double has as many decimals as it is written with."""
    if isinstance(number, Exact):
        return number
    if isinstance(number, int):
        return Exact(Decimal(number), 0)
    number = number.value if isinstance(number, Fixed) else number
    value = Decimal(repr(number))
    exponent = value.as_tuple().exponent
    return Exact(value, max(0, min(-exponent if isinstance(exponent, int) else 0, MOST_DECIMALS)))


def double(number: Number) -> float:
    """A number as a double."""
    return float(number.value) if isinstance(number, Exact | Fixed) else float(number)


def inexact(number: Number) -> bool:
    """Whether a number is a double."""
    return isinstance(number, float | Fixed)


def fixed(value: float, scale: int) -> float | Fixed:
    """A double that is shown with so many decimals, or with all its digits."""
    return value if scale >= NOT_FIXED else Fixed(value, scale)


def _scale(number: Number) -> int:
    return 0 if isinstance(number, int) else NOT_FIXED if isinstance(number, float) else number.scale


def add(one: Number, other: Number) -> Number:
    """A sum."""
    return _combined(one, other, lambda a, b: a + b, max)


def subtract(one: Number, other: Number) -> Number:
    """A difference."""
    return _combined(one, other, lambda a, b: a - b, max)


def multiply(one: Number, other: Number) -> Number:
    """A product."""
    return _combined(one, other, lambda a, b: a * b, lambda a, b: a + b)


def divide(one: Number, other: Number) -> Number | None:
    """A quotient; None by zero."""
    if inexact(one) or inexact(other):
        divisor = double(other)
        scale = max(_scale(one), _scale(other))
        return None if divisor == 0 else fixed(finite(double(one) / divisor), scale + MORE)
    left, right = exact(one), exact(other)
    if right.value == 0:
        return None
    if left.value == 0:
        return Exact(Decimal(0), min(left.scale + MORE, MOST_DECIMALS))
    kept, more = _fraction(left), _fraction(right)
    padding = max(0, MORE - (_words(kept) - kept + _words(more) - more))
    digits = _words(_words(kept) + _words(more) + padding)
    with localcontext(WIDE) as context:
        context.rounding = ROUND_DOWN
        value = quantized(left.value / right.value, digits, ROUND_DOWN)
    return Exact(value, min(left.scale + MORE, MOST_DECIMALS))


def modulo(one: Number, other: Number) -> Number | None:
    """The remainder, with the dividend's sign; None by zero."""
    if inexact(one) or inexact(other):
        divisor = double(other)
        scale = max(_scale(one), _scale(other))
        return None if divisor == 0 else fixed(math.fmod(double(one), divisor), scale)
    left, right = exact(one), exact(other)
    if right.value == 0:
        return None
    if left.value == 0:
        return _like(one, other, Exact(Decimal(0), max(left.scale, right.scale)))
    value = WIDE.remainder(left.value, right.value)
    return _like(one, other, Exact(value if value else abs(value), max(left.scale, right.scale)))


def whole_quotient(one: Number, other: Number) -> int | None:
    """A quotient without its fraction; None by zero."""
    left, right = exact(one).value, exact(other).value
    if right == 0:
        return None
    return int(WIDE.divide_int(left, right))


def round_exact(number: Number, digits: int, mode: str = ROUND_HALF_UP) -> Number:
    """A number rounded to so many decimals, before the point where they are negative."""
    places = max(-MOST_DIGITS, min(digits, MOST_DECIMALS))
    if isinstance(number, int):
        return number if places >= 0 else int(quantized(Decimal(number), places, mode))
    given = exact(number)
    scale = max(0, min(places, given.scale)) if places < given.scale else given.scale
    if places >= given.scale:
        places = min(places, MOST_DECIMALS)
        return Exact(quantized(given.value, places, mode), places)
    return Exact(quantized(given.value, places, mode), scale)


def finite(value: float) -> float:
    """A double that MySQL has.

    Raises:
        SqlError: It is infinite or no number.
    """
    if not math.isfinite(value):
        fail(OUT_OF_RANGE, "DOUBLE value is out of range")
    return value


def _combined(
    one: Number,
    other: Number,
    reckon: Callable[..., float | Decimal],
    scale: Callable[[int, int], int],
) -> Number:
    if isinstance(one, int) and isinstance(other, int):
        return int(reckon(one, other))
    if inexact(one) or inexact(other):
        value = finite(float(reckon(double(one), double(other))))
        plain = NOT_FIXED in (_scale(one), _scale(other))
        return value if plain else fixed(value, scale(_scale(one), _scale(other)))
    left, right = exact(one), exact(other)
    with localcontext(WIDE):
        value = Decimal(reckon(left.value, right.value))
    if value.adjusted() >= MOST_DIGITS and value:
        fail(OUT_OF_RANGE, "DECIMAL value is out of range")
    if value == 0 and left.value != 0 and right.value != 0:
        # Numbers that cancel each other out leave a zero without decimals.
        value = Decimal(0)
    if value == 0 and value.is_signed():
        value = Decimal(0)
    wanted = min(scale(left.scale, right.scale), MOST_DECIMALS)
    if _fraction(Exact(value, wanted)) > 2 * MOST_DECIMALS:
        value = quantized(value, 2 * MOST_DECIMALS)
    return Exact(value, wanted)


def _like(one: Number, other: Number, result: Exact) -> Number:
    return int(result.value) if isinstance(one, int) and isinstance(other, int) else result


def _fraction(number: Exact) -> int:
    exponent = number.value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _words(digits: int) -> int:
    return -(-digits // WORD) * WORD
