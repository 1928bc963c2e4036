"""A toy tokenizer: no vocabulary, no state, exactly reversible.

Text is cut into words (with the space before them), spaces and signs, and each of these into
chunks of at most four bytes. A token's id is its bytes, so the same text has the same tokens in
every process, a longer prompt keeps the tokens of its beginning, and `Yes`, `No` and `1` to `16`
are one token each.
"""

import re
from collections.abc import Iterable, Sequence

CHUNK = 4
SPECIAL = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
VOCABULARY = 2 << (8 * CHUNK)
"""Ids are below this."""

_PIECES = re.compile(r" ?\w+|\s+?(?= \w)|\s+|[^\w\s]")
_SPECIAL_PIECES = re.compile("(" + "|".join(re.escape(name) for name in SPECIAL) + ")")
_NAMES = {number: name.encode() for name, number in SPECIAL.items()}


def encode(text: str) -> list[int]:
    """The tokens of a text; the names of special tokens become those tokens."""
    tokens: list[int] = []
    for part in _SPECIAL_PIECES.split(text):
        if part in SPECIAL:
            tokens.append(SPECIAL[part])
            continue
        for piece in _PIECES.findall(part):
            raw = piece.encode()
            tokens.extend(_id_of(raw[at : at + CHUNK]) for at in range(0, len(raw), CHUNK))
    return tokens


def token_bytes(token: int) -> bytes:
    """The bytes of one token.

    Raises:
        ValueError: No token has this id.
    """
    if token in _NAMES:
        return _NAMES[token]
    length = (token.bit_length() - 1) // 8
    if not 1 <= length <= CHUNK or token >> (8 * length) != 1:
        raise ValueError(f"token id {token} is not in the vocabulary")
    return token.to_bytes(length + 1, "big")[1:]


def decode(tokens: Iterable[int]) -> str:
    """The text of tokens.

    Raises:
        ValueError: No token has one of these ids.
    """
    return b"".join(token_bytes(token) for token in tokens).decode(errors="replace")


def render(messages: Sequence[tuple[str, str]], *, generation: bool = True) -> str:
    """The prompt of (role, content) messages in the ChatML form, as SmolLM2's template has it."""
    turns = [f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages]
    return "".join(turns) + ("<|im_start|>assistant\n" if generation else "")


def _id_of(raw: bytes) -> int:
    return int.from_bytes(b"\x01" + raw, "big")
