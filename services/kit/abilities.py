"""What an engine can do beyond plain chat, and how each is requested from it."""

import re
from dataclasses import dataclass
from enum import StrEnum

_PIECES = re.compile(r"[A-Za-z]+|[ \t]+|[^\x00-\x7f]+|.", re.DOTALL)


class Labels(StrEnum):
    """How an engine reports the log-probabilities of given labels."""

    IDS = "logprob_token_ids"
    """Exactly, by token ids (vLLM 0.32)."""
    TOP = "top_logprobs"
    """As far as they are among the likeliest tokens."""
    NONE = "none"
    """Not at all: a judge cannot work with it."""


class Grammar(StrEnum):
    """The field by which an engine takes a regular expression."""

    STRUCTURED_OUTPUTS = "structured_outputs"
    """vLLM since 0.11."""
    GUIDED_REGEX = "guided_regex"
    """vLLM before that."""
    REGEX = "regex"
    """SGLang."""
    NONE = "none"

    def fields(self, pattern: str) -> dict[str, object]:
        """Return the fields of a request that constrain its answer to a pattern."""
        match self:
            case Grammar.STRUCTURED_OUTPUTS:
                return {"structured_outputs": {"regex": pattern}}
            case Grammar.NONE:
                return {}
            case _:
                return {self.value: pattern}


@dataclass
class Abilities:
    """What is known of an engine; the best is assumed until it is found out."""

    labels: Labels | None = None
    several: bool | None = None
    """Whether `n` answers come of one call; else each is a call of its own."""
    tokenize: bool | None = None
    """Whether `/tokenize` counts a chat; else the count is an estimate."""
    grammar: Grammar | None = None
    usage: bool | None = None
    """Whether answers report their token counts."""
    priority: bool = True
    """Whether `priority` may be sent; some servers refuse a field that they do not have."""

    def describe(self) -> dict[str, str]:
        """Return each ability in words, for `/readyz`."""

        def words(value: bool | None, yes: str, no: str) -> str:
            return "not known yet" if value is None else yes if value else no

        return {
            "labels": self.labels.value if self.labels else "not known yet",
            "n": words(self.several, "one call", "a call each"),
            "tokens": words(self.tokenize, "counted by the engine", "estimated"),
            "grammar": self.grammar.value if self.grammar else "not known yet",
            "usage": words(self.usage, "reported", "not reported"),
        }


def estimate_tokens(messages: list[dict[str, str]]) -> int:
    """Return an upper estimate of a chat's tokens, for engines that do not count them.

    A token for every four letters of a word, each run of blanks, each digit and sign, and each byte of other
    characters; and eight tokens a message for the template.
    """
    total = 0
    for message in messages:
        pieces = _PIECES.findall(message["content"])
        total += 8 + sum(_count_piece(piece) for piece in pieces)
    return total


def _count_piece(piece: str) -> int:
    if not piece.isascii():
        return len(piece.encode("utf-8", "replace"))
    return -(-len(piece) // 4) if piece[0].isalpha() else 1
