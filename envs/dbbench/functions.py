"""MySQL's functions of texts and numbers, for SQLite.

Each takes what SQLite hands over and is NULL where an argument is, unless it says otherwise. No result is
longer than `LONGEST`: what would be is NULL, as MySQL has it above `max_allowed_packet`.
"""

import hashlib
import math
import re
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation

from envs.dbbench.values import Value, compare, folded, letter, number, text, truncated, whole

LONGEST = 1_000_000
"""Characters of one value."""
MOST_DIGITS = 30
Function = Callable[..., Value]


def strict(function: Function) -> Function:
    """A function that is NULL where an argument is."""

    def guarded(*values: Value) -> Value:
        return None if None in values else function(*values)

    return guarded


def texts(function: Function) -> Function:
    """A strict function that takes its arguments as texts."""

    def guarded(*values: Value) -> Value:
        return None if None in values else function(*map(text, values))

    return guarded


def like(pattern: Value, value: Value, escape: Value = "\\") -> Value:
    """`value LIKE pattern`, as SQLite orders the arguments; letters compare as the collation has them."""
    if pattern is None or value is None:
        return None
    signs = _signs(text(pattern) or "", text(escape) or "")
    return int(_matches(folded(text(value) or ""), signs))


def _signs(pattern: str, escape: str) -> list[str | None]:
    """A pattern's signs: a letter, "" for any one character, None for any run of them."""
    signs: list[str | None] = []
    escaped = False
    for sign in pattern:
        if escaped or sign not in ("%", "_", escape):
            signs.append(letter(sign))
            escaped = False
        elif sign == escape:
            escaped = True
        else:
            signs.append(None if sign == "%" else "")
    return [*signs, escape] if escaped else signs


def _matches(value: str, signs: list[str | None]) -> bool:
    """Match with one point to come back to, so that the time is at most length times length."""
    at = sign = 0
    back: tuple[int, int] | None = None
    while at < len(value):
        if sign < len(signs) and signs[sign] is None:
            back, sign = (sign + 1, at), sign + 1
        elif sign < len(signs) and signs[sign] in ("", value[at]):
            at, sign = at + 1, sign + 1
        elif back:
            back = (back[0], back[1] + 1)
            sign, at = back
        else:
            return False
    return all(rest is None for rest in signs[sign:])


def regexp(value: str, pattern: str) -> Value:
    """`value REGEXP pattern`, letters' case not counted."""
    return int(re.search(pattern, value, re.IGNORECASE) is not None)


def concat_ws(separator: Value, *values: Value) -> Value:
    """Join what is not NULL."""
    if separator is None:
        return None
    return (text(separator) or "").join(text(value) or "" for value in values if value is not None)


def substring(value: str, start: Value, length: Value = LONGEST) -> Value:
    """A part of a text; a negative start counts from the end."""
    first, count = _int(start), _int(length)
    if first < 0:
        first += len(value) + 1
    return value[first - 1 : first - 1 + count] if first > 0 and count > 0 else ""


def substring_index(value: str, delimiter: str, count: Value) -> Value:
    """What stands before the n-th delimiter, or after the n-th from the end."""
    parts, n = value.split(delimiter) if delimiter else [""], _int(count)
    return delimiter.join(parts[:n] if n > 0 else parts[n:] if n < 0 else [])


def locate(part: str, value: str, start: Value = 1) -> Value:
    """Where a part stands in a text, from 1; 0 where it does not."""
    return folded(value).find(folded(part), max(0, _int(start) - 1)) + 1


def trim(mode: str, value: str, part: str = " ") -> Value:
    """Take a part off a text's beginning, end or both, as often as it stands there."""
    while part and mode != "TRAILING" and value.startswith(part):
        value = value[len(part) :]
    while part and mode != "LEADING" and value.endswith(part):
        value = value[: -len(part)]
    return value


def replace(value: str, part: str, by: str) -> Value:
    """Every part in a text by another."""
    if not part or len(value) + value.count(part) * (len(by) - len(part)) > LONGEST:
        return value if not part else None
    return value.replace(part, by)


def pad(value: str, length: Value, by: str, *, left: bool) -> Value:
    """Fill or cut a text to a length."""
    count = _int(length)
    if count < 0 or count > LONGEST or (not by and count > len(value)):
        return None
    filling = (by * (count // len(by) + 1))[: max(0, count - len(value))] if by else ""
    return filling + value[:count] if left else value[:count] + filling


def repeat(value: str, count: Value) -> Value:
    """A text so many times."""
    times = max(0, _int(count))
    return value * times if len(value) * times <= LONGEST else None


def field(value: Value, *values: Value) -> Value:
    """Which of the values it equals, from 1; 0 for none."""
    return next((place for place, other in enumerate(values, 1) if compare(value, other) == 0), 0)


def elt(place: Value, *values: Value) -> Value:
    """The value at a place, from 1."""
    index = _int(place)
    return values[index - 1] if place is not None and 0 < index <= len(values) else None


def find_in_set(value: str, members: str) -> Value:
    """Where a text is in a list that commas part, from 1."""
    return next((n for n, member in enumerate(members.split(","), 1) if compare(value, member) == 0), 0)


def fixed(value: Value, digits: Value) -> Value:
    """A number with so many decimals, commas between the thousands (`FORMAT`)."""
    return f"{_rounded(value, max(0, min(_int(digits), MOST_DIGITS)), ROUND_HALF_UP):,f}"


def decimals(value: Value, digits: Value) -> Value:
    """A number as a DECIMAL of so many decimals is written."""
    return None if value is None else f"{_rounded(value, _int(digits), ROUND_HALF_UP):f}"


def exact_round(value: Value, digits: Value = 0) -> Value:
    """Round a decimal, halves away from zero."""
    return _plain(_rounded(value, _int(digits), ROUND_HALF_UP))


def double_round(value: Value, digits: Value = 0) -> Value:
    """Round a double as MySQL does, halves to the even digit."""
    given, scale = number(value), 10.0 ** max(-MOST_DIGITS, min(_int(digits), MOST_DIGITS))
    if isinstance(given, int):
        return exact_round(given, digits)
    return whole(round(given * scale) / scale) if abs(given * scale) < 2**53 else given


def truncate(value: Value, digits: Value) -> Value:
    """Cut a number's digits off."""
    return _plain(_rounded(value, _int(digits), ROUND_DOWN))


def signed(value: Value) -> Value:
    """A value as an integer: a text's digits, a number rounded."""
    if isinstance(value, str | bytes):
        found = re.match(r"\s*([+-]?\d{1,18})(\s*\Z)?", text(value) or "", re.ASCII)
        if found is None or found[2] is None:
            truncated(value)
        return int(found[1]) if found else 0
    return _plain(_rounded(value, 0, ROUND_HALF_UP))


def unsigned(value: Value) -> Value:
    """As `signed`; what is negative wraps around, as far as SQLite can hold it."""
    given = signed(value)
    return given if not isinstance(given, int) or given >= 0 else float(given + 2**64)


def divide(one: Value, other: Value, scale: Value = None) -> Value:
    """A quotient, rounded to so many decimals where it is exact; NULL by zero."""
    divisor = number(other)
    if divisor == 0:
        return None
    if scale is None:
        return whole(number(one) / divisor)
    return _plain(Decimal(repr(number(one))) / Decimal(repr(divisor)), _int(scale))


def int_divide(one: Value, other: Value) -> Value:
    """A quotient without its fraction; NULL by zero."""
    divisor = number(other)
    return None if divisor == 0 else int(Decimal(repr(number(one))) / Decimal(repr(divisor)))


def modulo(one: Value, other: Value) -> Value:
    """The remainder, with the dividend's sign; NULL by zero."""
    given, divisor = number(one), number(other)
    if divisor == 0:
        return None
    if isinstance(given, int) and isinstance(divisor, int):
        return int(math.fmod(given, divisor)) if abs(given) < 2**53 else given % divisor
    return whole(math.fmod(given, divisor))


def measured(function: Callable[..., float]) -> Function:
    """A function of numbers; NULL where it has no value."""

    def guarded(*values: Value) -> Value:
        numbers = [number(value) for value in values]
        try:
            result = function(*numbers)
        except (ValueError, OverflowError, ZeroDivisionError):
            return None
        return whole(result) if isinstance(result, int | float) and math.isfinite(result) else None

    return strict(guarded)


def extreme(sign: int) -> Function:
    """GREATEST (1) or LEAST (-1)."""

    def guarded(*values: Value) -> Value:
        if not all(isinstance(value, str) for value in values):
            values = tuple(map(number, values))
        best = values[0]
        for value in values[1:]:
            if (compare(value, best) or 0) * sign > 0:
                best = value
        return best

    return strict(guarded)


def digest(name: str) -> Function:
    """A checksum of a text, in hexadecimal digits."""
    return texts(lambda value: hashlib.new(name, value.encode(), usedforsecurity=False).hexdigest())


def hexadecimal(value: Value) -> Value:
    """A number or a text in hexadecimal digits."""
    return f"{value:X}" if isinstance(value, int) else (text(value) or "").encode().hex().upper()


def _int(value: Value) -> int:
    given = number(value)
    return int(given) if abs(given) < 2**62 else 2**62 if given > 0 else -(2**62)


def _rounded(value: Value, digits: int, mode: str) -> Decimal:
    given = number(value)
    places = max(-MOST_DIGITS, min(digits, MOST_DIGITS))
    try:
        return Decimal(repr(given)).quantize(Decimal(1).scaleb(-places), rounding=mode)
    except InvalidOperation:
        return Decimal(repr(given))


def _plain(value: Decimal, digits: int | None = None) -> Value:
    """A decimal as a number SQLite has, rounded first where digits are given."""
    if digits is not None:
        value = _rounded(float(value), digits, ROUND_HALF_UP)
    result = whole(float(value))
    return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else result


FUNCTIONS: dict[str, Function] = {
    "ABS": strict(lambda value: abs(number(value))),
    "ACOS": measured(math.acos),
    "ASCII": texts(lambda value: value.encode()[0] if value else 0),
    "ASIN": measured(math.asin),
    "ATAN": measured(math.atan),
    "BIN": strict(lambda value: f"{_int(value):b}"),
    "CEIL": measured(math.ceil),
    "CHAR_LENGTH": texts(len),
    "CONCAT": texts(lambda *values: "".join(values)),
    "CONCAT_WS": concat_ws,
    "COS": measured(math.cos),
    "ELT": elt,
    "EXP": measured(math.exp),
    "FIELD": field,
    "FIND_IN_SET": texts(find_in_set),
    "FLOOR": measured(math.floor),
    "FORMAT": strict(fixed),
    "GREATEST": extreme(1),
    "HEX": strict(hexadecimal),
    "IFNULL": lambda value, other: other if value is None else value,
    "INSTR": texts(lambda value, part: locate(part, value)),
    "ISNULL": lambda value: int(value is None),
    "LCASE": texts(str.lower),
    "LEAST": extreme(-1),
    "LEFT": strict(lambda value, count: (text(value) or "")[: max(0, _int(count))]),
    "LENGTH": texts(lambda value: len(value.encode())),
    "LN": measured(math.log),
    "LOCATE": strict(lambda part, value, start=1: locate(text(part) or "", text(value) or "", start)),
    "LOG": measured(lambda one, other=None: math.log(one) if other is None else math.log(other, one)),
    "LOG10": measured(math.log10),
    "LOG2": measured(math.log2),
    "LOWER": texts(str.lower),
    "LPAD": strict(lambda value, count, by: pad(text(value) or "", count, text(by) or "", left=True)),
    "LTRIM": texts(lambda value: value.lstrip(" ")),
    "MD5": digest("md5"),
    "MOD": strict(modulo),
    "NULLIF": lambda value, other: None if compare(value, other) == 0 else value,
    "ORD": texts(lambda value: ord(value[0]) if value else 0),
    "PI": lambda: math.pi,
    "POW": measured(math.pow),
    "REGEXP_LIKE": texts(regexp),
    "REGEXP_REPLACE": texts(lambda value, pattern, by: re.sub(pattern, by, value, flags=re.IGNORECASE)),
    "REGEXP_SUBSTR": texts(
        lambda value, pattern: (re.search(pattern, value, re.IGNORECASE) or re.match("", ""))[0]  # type: ignore[index]
    ),
    "REPEAT": strict(lambda value, count: repeat(text(value) or "", count)),
    "REPLACE": texts(replace),
    "REVERSE": texts(lambda value: value[::-1]),
    "RIGHT": strict(lambda value, count: (text(value) or "")[-_int(count) :] if _int(count) > 0 else ""),
    "RPAD": strict(lambda value, count, by: pad(text(value) or "", count, text(by) or "", left=False)),
    "RTRIM": texts(lambda value: value.rstrip(" ")),
    "SHA1": digest("sha1"),
    "SIGN": measured(lambda value: (value > 0) - (value < 0)),
    "SIN": measured(math.sin),
    "SPACE": strict(lambda count: repeat(" ", count)),
    "SQRT": measured(math.sqrt),
    "STRCMP": strict(compare),
    "SUBSTRING": strict(lambda value, *rest: substring(text(value) or "", *rest)),
    "SUBSTRING_INDEX": strict(lambda value, part, n: substring_index(text(value) or "", text(part) or "", n)),
    "TAN": measured(math.tan),
    "TRIM": texts(lambda value: value.strip(" ")),
    "TRUNCATE": strict(truncate),
    "UCASE": texts(str.upper),
    "UPPER": texts(str.upper),
}
FUNCTIONS |= {
    alias: FUNCTIONS[name]
    for alias, name in {
        "CEILING": "CEIL",
        "CHARACTER_LENGTH": "CHAR_LENGTH",
        "MID": "SUBSTRING",
        "OCTET_LENGTH": "LENGTH",
        "POSITION": "LOCATE",
        "POWER": "POW",
        "SHA": "SHA1",
        "SUBSTR": "SUBSTRING",
    }.items()
}
"""What an agent may call, by MySQL's names."""
