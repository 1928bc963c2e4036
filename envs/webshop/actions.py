"""The action language: `search[words]` and `click[button]`, as AgentBench writes them."""

import re
from dataclasses import dataclass

ACTION = re.compile(r"(?P<verb>search|click)\s*\[(?P<words>.*)\]\s*\.?", re.DOTALL | re.IGNORECASE)
DESCRIPTION = """You are in a web shop. Find the product that the instruction asks for, with every attribute \
and option and below the price limit, choose its options and buy it."""
LANGUAGE = """search[words]; click[button]
A button is one of the clickables, listed at the end of the observation: a product's code opens it, a value \
chooses an option, "next >" and "< prev" turn pages, "back to search" leads to a new search. click[Buy Now] \
buys the open product with the chosen options and ends the task."""
TERMINAL = "click[Buy Now]"


@dataclass(frozen=True, slots=True)
class Action:
    """An action that was understood."""

    verb: str
    """`search` or `click`."""
    words: str
    """Lower-cased, with single blanks."""


def parse(text: str) -> Action | None:
    """An action out of a model's text; case and blanks do not matter.

    Returns:
        None where it is not one of the two forms, or has nothing in its brackets.
    """
    found = ACTION.fullmatch(text.strip())
    words = fold(found["words"]) if found else ""
    return Action(found["verb"].lower(), words) if found and words else None


def fold(text: str) -> str:
    """A text as buttons are compared: lower-cased, with single blanks."""
    return " ".join(text.lower().split())
