"""Strict JSON at the door: what no part could store, read back or bear is refused before any part sees it."""

import re
from typing import Any, cast

import orjson

from services.kit.problems import Kind, ProblemError

MAX_DEPTH = 64
"""Objects and arrays within each other."""
MAX_VALUES = 200_000
"""Values in a body, keys included."""
MAX_KEYS = 1_000
"""Keys of one object."""
LARGEST = 2**64 - 1
"""The largest integer, as orjson has it; the smallest is -2**63."""
TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels."
_LONG_NUMBER = re.compile(rb"[0-9]{19}")


def check_json(body: bytes) -> None:
    """Refuse a body that is no JSON or goes beyond the limits.

    NaN, infinities and lone surrogates are no JSON (RFC 8259); integers have to fit into 64 bits.

    Raises:
        ProblemError: `bad-request`, with what is wrong.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise ProblemError(Kind.BAD_REQUEST, TOO_DEEP) from None
        raise ProblemError(Kind.BAD_REQUEST, f"The body is not valid JSON: {error}") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH or body.count(b",") + body.count(b":") > MAX_KEYS:
        _check_sizes(value)
    if _LONG_NUMBER.search(body):
        _check_numbers(body)


def _check_numbers(body: bytes) -> None:
    """Refuse integers of more than 64 bits, which orjson reads as floats."""
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', body, flags=re.DOTALL)
    for found in re.finditer(rb"-?[0-9]{19,}(?![0-9.eE])", bare):
        before = bare[max(0, found.start() - 1) : found.start()]
        if before not in (b".", b"+") and not -(2**63) <= int(found[0][:400]) <= LARGEST:
            raise ProblemError(Kind.BAD_REQUEST, "The body has an integer of more than 64 bits.")


def _check_sizes(value: Any) -> None:
    left = MAX_VALUES
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        following: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                fields = cast(dict[str, Any], item)
                if len(fields) > MAX_KEYS:
                    raise ProblemError(
                        Kind.BAD_REQUEST, f"An object of the body has more than {MAX_KEYS} keys."
                    )
                following.extend(fields.values())
            elif isinstance(item, list):
                following.extend(cast(list[Any], item))
            if len(following) > left:
                raise ProblemError(Kind.BAD_REQUEST, f"The body has more than {MAX_VALUES} values.")
        left -= len(following)
        level = following
        if not level:
            return
    raise ProblemError(Kind.BAD_REQUEST, TOO_DEEP)
