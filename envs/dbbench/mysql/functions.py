"""MySQL's functions of texts, for SQLite.

Each takes what SQLite hands over and is NULL where an argument is, unless its docstring has another rule. No
result is longer than `LONGEST`: what would be is NULL, as MySQL has it above `max_allowed_packet`.
"""

import hashlib
import zlib
from collections.abc import Callable

from envs.dbbench.mysql import decimals
from envs.dbbench.mysql.decimals import MOST_UNSIGNED
from envs.dbbench.mysql.values import Value, compare, folded, integer, letter, number, text

LONGEST = 1_000_000
"""Characters of one value."""
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
    exact = isinstance(pattern, bytes) or isinstance(value, bytes)
    signs = _signs(text(pattern) or "", text(escape) or "", exact=exact)
    given = text(value) or ""
    return int(_matches(given if exact else folded(given), signs))


def _signs(pattern: str, escape: str, *, exact: bool) -> list[str | None]:
    """A pattern's signs: a letter, "" for any one character, None for any run of them."""
    signs: list[str | None] = []
    escaped = False
    for sign in pattern:
        if escaped or sign not in ("%", "_", escape):
            signs.append(sign if exact else letter(sign))
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


def bounded(value: str) -> Value:
    """A text, or NULL where it is too long."""
    return value if len(value) <= LONGEST else None


def concat_ws(separator: Value, *values: Value) -> Value:
    """Join what is not NULL."""
    if separator is None:
        return None
    return (text(separator) or "").join(text(value) or "" for value in values if value is not None)


def substring(value: str, start: Value, length: Value = LONGEST) -> Value:
    """A part of a text; a negative start counts from the end."""
    first, count = integer(start), integer(length)
    if first < 0:
        first += len(value) + 1
    return value[first - 1 : first - 1 + count] if first > 0 and count > 0 else ""


def substring_index(value: str, delimiter: str, count: Value) -> Value:
    """What stands before the n-th delimiter, or after the n-th from the end."""
    parts, n = value.split(delimiter) if delimiter else [""], integer(count)
    return delimiter.join(parts[:n] if n > 0 else parts[n:] if n < 0 else [])


def locate(part: str, value: str, start: Value = 1) -> Value:
    """Where a part stands in a text, from 1; 0 where it does not."""
    given, wanted = folded(value), folded(part)
    at = given.find(wanted, max(0, integer(start) - 1))
    # Letters that compare equal are found only where they take as many bytes.
    while at >= 0 and len(value[at : at + len(part)].encode()) != len(part.encode()):
        at = given.find(wanted, at + 1)
    return at + 1


def trim(mode: str, value: str, part: str = " ") -> Value:
    """Take a part off a text's beginning, end or both, as often as it stands there."""
    start, end = 0, len(value)
    while part and mode != "TRAILING" and end - start >= len(part) and value.startswith(part, start):
        start += len(part)
    while part and mode != "LEADING" and end - start >= len(part) and value.endswith(part, start, end):
        end -= len(part)
    return value[start:end]


def replace(value: str, part: str, by: str) -> Value:
    """Every part in a text by another."""
    if not part or len(value) + value.count(part) * (len(by) - len(part)) > LONGEST:
        return value if not part else None
    return value.replace(part, by)


def pad(value: str, length: Value, by: str, *, left: bool) -> Value:
    """Fill or cut a text to a length."""
    count = integer(length)
    if count < 0 or count > LONGEST or (not by and count > len(value)):
        return None
    filling = (by * (count // len(by) + 1))[: max(0, count - len(value))] if by else ""
    return filling + value[:count] if left else value[:count] + filling


def repeat(value: str, count: Value) -> Value:
    """A text so many times."""
    times = max(0, integer(count))
    return value * times if len(value) * times <= LONGEST else None


def field(value: Value, *values: Value) -> Value:
    """Which of the values it equals, from 1; 0 for none."""
    return next((place for place, other in enumerate(values, 1) if compare(value, other) == 0), 0)


def elt(place: Value, *values: Value) -> Value:
    """The value at a place as a text, from 1."""
    index = integer(place)
    if place is None or not 0 < index <= len(values):
        return None
    value = values[index - 1]
    return value if isinstance(value, bytes) else text(value)


def find_in_set(value: str, members: str) -> Value:
    """Where a text is in a list that commas part, from 1."""
    if not members:
        return 0
    return next((n for n, member in enumerate(members.split(","), 1) if compare(value, member) == 0), 0)


def insert(value: str, start: Value, length: Value, part: str) -> Value:
    """A text with a part of it replaced by another (`INSERT`)."""
    first, count = integer(start), integer(length)
    if not 0 < first <= len(value):
        return value
    end = len(value) if count < 0 or first - 1 + count > len(value) else first - 1 + count
    return value[: first - 1] + part + value[end:]


def convert_base(value: str, source: Value, target: Value) -> Value:
    """A text of digits in another base (`CONV`)."""
    one, other = integer(source), integer(target)
    if not (2 <= one <= 36 and 2 <= other <= 36):
        return None
    given = value.strip().lower()
    sign, digits = (-1, given[1:]) if given[:1] == "-" else (1, given)
    result = 0
    for digit in digits:
        place = "0123456789abcdefghijklmnopqrstuvwxyz".find(digit)
        if not 0 <= place < one:
            break
        result = min(result * one + place, MOST_UNSIGNED)
    return in_base((sign * result) % (MOST_UNSIGNED + 1), other)


def in_base(value: int, base: int) -> str:
    """A number's digits in a base."""
    digits = ""
    while value:
        value, digit = divmod(value, base)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    return digits or "0"


def based(base: int) -> Function:
    """A number's digits in a base, below zero as 64 bits (`BIN`, `OCT`)."""

    def converted(value: Value) -> Value:
        return in_base(integer(text(value)) % (MOST_UNSIGNED + 1), base)

    return strict(converted)


def quote(value: Value) -> Value:
    """A text as it is written in a statement."""
    given = text(value)
    if given is None:
        return "NULL"
    for sign, by in (("\\", "\\\\"), ("'", "\\'"), ("\0", "\\0"), ("\x1a", "\\Z")):
        given = given.replace(sign, by)
    return f"'{given}'"


def sha2(value: str, bits: Value) -> Value:
    """A SHA-2 checksum; NULL for a length that there is not."""
    name = {0: "sha256", 224: "sha224", 256: "sha256", 384: "sha384", 512: "sha512"}.get(integer(bits))
    return name and hashlib.new(name, value.encode(), usedforsecurity=False).hexdigest()


def characters(*codes: Value) -> Value:
    """The texts of codes (`CHAR(... USING utf8mb4)`); NULLs are left out."""
    joined = b""
    for code in codes:
        if code is not None:
            number = integer(code) % 2**32
            joined += number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
    return joined


def digest(name: str) -> Function:
    """A checksum of a text, in hexadecimal digits."""
    return texts(lambda value: hashlib.new(name, value.encode(), usedforsecurity=False).hexdigest())


def hexadecimal(value: Value) -> Value:
    """A number or a text in hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, str) and value[:1] != decimals.TAG:
        return value.encode().hex().upper()
    if isinstance(value, float) or (isinstance(value, str) and value[:2] == f"{decimals.TAG}~"):
        value = decimals.double(number(value))
        # MySQL rounds a double here away from zero, and elsewhere to the even number.
        value = max(decimals.SMALLEST, min(int(value + (0.5 if value > 0 else -0.5)), MOST_UNSIGNED))
        return in_base(value % (MOST_UNSIGNED + 1), 16)
    return in_base(integer(value) % (MOST_UNSIGNED + 1), 16)


def ordinal(value: str) -> int:
    """The bytes of a text's first character as a number (`ORD`)."""
    return int.from_bytes(value[:1].encode(), "big")


FUNCTIONS: dict[str, Function] = {
    "ASCII": texts(lambda value: value.encode()[0] if value else 0),
    "BIN": based(2),
    "CHARACTERS": characters,
    "CHAR_LENGTH": texts(len),
    "CONCAT": texts(lambda *values: bounded("".join(values))),
    "CONCAT_WS": concat_ws,
    "CONV": strict(lambda value, one, other: convert_base(text(value) or "", one, other)),
    "CRC32": texts(lambda value: zlib.crc32(value.encode())),
    "ELT": elt,
    "FIELD": field,
    "FIND_IN_SET": texts(find_in_set),
    "HEX": strict(hexadecimal),
    "INSERT": strict(lambda value, at, n, part: insert(text(value) or "", at, n, text(part) or "")),
    "INSTR": texts(lambda value, part: locate(part, value)),
    "LEFT": strict(lambda value, count: (text(value) or "")[: max(0, integer(count))]),
    "LENGTH": strict(
        lambda value: len(value) if isinstance(value, bytes) else len((text(value) or "").encode())
    ),
    "LOCATE": strict(lambda part, value, start=1: locate(text(part) or "", text(value) or "", start)),
    "LOWER": texts(str.lower),
    "LPAD": strict(lambda value, count, by=" ": pad(text(value) or "", count, text(by) or "", left=True)),
    "LTRIM": texts(lambda value: value.lstrip(" ")),
    "MD5": digest("md5"),
    "OCT": based(8),
    "ORD": texts(ordinal),
    "QUOTE": quote,
    "REPEAT": strict(lambda value, count: repeat(text(value) or "", count)),
    "REPLACE": texts(replace),
    "REVERSE": texts(lambda value: value[::-1]),
    "RIGHT": strict(
        lambda value, count: (text(value) or "")[-integer(count) :] if integer(count) > 0 else ""
    ),
    "RPAD": strict(lambda value, count, by=" ": pad(text(value) or "", count, text(by) or "", left=False)),
    "RTRIM": texts(lambda value: value.rstrip(" ")),
    "SHA1": digest("sha1"),
    "SHA2": strict(lambda value, bits: sha2(text(value) or "", bits)),
    "SPACE": strict(lambda count: repeat(" ", count)),
    "STRCMP": texts(compare),
    "SUBSTRING": strict(lambda value, *rest: substring(text(value) or "", *rest)),
    "SUBSTRING_INDEX": strict(lambda value, part, n: substring_index(text(value) or "", text(part) or "", n)),
    "TRIM": texts(lambda value: value.strip(" ")),
    "UPPER": texts(str.upper),
}
"""What the translation calls, by MySQL's names."""
