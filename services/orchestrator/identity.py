"""Names of episodes and digests of requests."""

import hashlib
import os
import time

from pydantic import BaseModel

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
PREFIX = "ep_"
LENGTH = 26


def new_id() -> str:
    """A ULID with a prefix: 48 bits of milliseconds, 80 of chance, sortable by time."""
    return _written((int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10)))


def id_at(moment: float) -> str:
    """The lowest id of a moment, Unix seconds."""
    return _written(int(max(0.0, moment) * 1000) << 80)


def _written(number: int) -> str:
    digits: list[str] = []
    for _ in range(LENGTH):
        number, digit = divmod(number, 32)
        digits.append(ALPHABET[digit])
    return PREFIX + "".join(reversed(digits))


def born(episode: str) -> float | None:
    """When an id was made, Unix seconds; None where it is no id of ours."""
    body = episode.removeprefix(PREFIX)
    if body == episode or len(body) != LENGTH or any(letter not in ALPHABET for letter in body):
        return None
    number = 0
    for letter in body[:10]:
        number = number * 32 + ALPHABET.index(letter)
    return number / 1000


def digest(kind: str, request: BaseModel | str) -> str:
    """Sixteen hexadecimal digits that a request is known by."""
    text = request if isinstance(request, str) else request.model_dump_json()
    return hashlib.blake2b(f"{kind}\0{text}".encode(), digest_size=8).hexdigest()
