"""Lists and tuples as a model writes them, in JSON or as Python shows rows; nothing is evaluated.

`ast.literal_eval` is not used: a text of twenty thousand brackets leaves the recursion counter of CPython
3.11 wrong for the rest of the process.
"""

import json
import re

DEEPEST = 4
"""How deep lists may stand in each other: an answer is a list of rows at most."""
TOKEN = re.compile(
    r"""\s*+(?:(?P<sign>[\[\](),])|"(?P<double>(?:[^"\\]|\\.)*+)"|'(?P<single>(?:[^'\\]|\\.)*+)'"""
    r"""|(?P<bare>[^\s\[\](),'"]++))\s*+""",
    re.DOTALL,
)
NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U000[0-9a-fA-F]{5}|.)", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\n": ""}
WORDS = {"None": None, "null": None, "True": "True", "true": "True", "False": "False", "false": "False"}
CLOSING = {"[": "]", "(": ")"}
Literal = str | None | list["Literal"]


def read_literal(text: str) -> list[Literal] | None:
    """Return a list or a tuple with its texts, in time linear in its length; None where it is neither."""
    found = _read_json(text)
    return _read_python(text) if found is None else found


def _read_json(text: str) -> list[Literal] | None:
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        return _of(found, DEEPEST) if isinstance(found, list) else None
    except (ValueError, RecursionError):
        return None


def _of(values: list[object], depth: int) -> list[Literal]:
    """A list of JSON's with its texts.

    Raises:
        ValueError: It is too deep.
    """
    if depth <= 0:
        raise ValueError("too deep")
    plain = (value if value is None or isinstance(value, list) else str(value) for value in values)
    return [_of(value, depth - 1) if isinstance(value, list) else value for value in plain]


def _read_python(text: str) -> list[Literal] | None:
    root: list[Literal] = []
    stack, closings, wants_value, at = [root], [""], True, 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            return None
        at = found.end()
        sign = found["sign"]
        if sign and sign in CLOSING:
            if not wants_value or len(stack) > DEEPEST:
                return None
            stack.append([])
            closings.append(CLOSING[sign])
        elif sign and sign == closings[-1]:
            inner = stack.pop()
            closings.pop()
            stack[-1].append(inner)
            wants_value = False
        elif sign == ",":
            if wants_value:
                return None
            wants_value = True
        elif sign or not wants_value or len(stack) == 1:
            return None
        else:
            value = _value(found)
            if value is _NEITHER:
                return None
            stack[-1].append(value)
            wants_value = False
    (value,) = root if len(root) == 1 and len(stack) == 1 else (None,)
    return value if isinstance(value, list) else None


_NEITHER = "\0neither"


def _value(found: re.Match[str]) -> str | None:
    bare = found["bare"]
    if bare is None:
        quoted = found["double"] if found["double"] is not None else found["single"]
        return ESCAPE.sub(_unescaped, quoted)
    if bare in WORDS:
        return WORDS[bare]
    return bare if NUMBER.fullmatch(bare) else _NEITHER


def _unescaped(found: re.Match[str]) -> str:
    sign = found[1]
    if len(sign) > 1:
        return chr(int(sign[1:], 16))
    return ESCAPES.get(sign, sign)
