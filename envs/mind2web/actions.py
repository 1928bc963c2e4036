"""The action language: a letter, an operation, and what is typed or selected.

AgentBench's form of three lines is read as well.
"""

import re
from dataclasses import dataclass

LETTERS = "ABCDEF"
"""`A` is none of the above."""
_OPERATION = r"(?P<operation>CLICK|TYPE|SELECT)"
SHORT = re.compile(rf"(?P<letter>[A-F])\b[.):]?\s*(?:{_OPERATION}\b\s*:?\s*(?P<value>.*))?", re.I | re.DOTALL)
ANSWER = re.compile(r"Answer:\s*(?P<letter>[A-F])\b", re.I)
ACTION = re.compile(rf"Action:\s*{_OPERATION}\b", re.I)
VALUE = re.compile(r"Value:[ \t]*(?P<value>.*)$", re.I | re.MULTILINE)

DESCRIPTION = """A task is being done on a website, step by step. Find the element that the next step \
needs and what to do with it. A few elements of the page are shown at a time, with the letters B to F; what \
you pick comes again beside others, until one is left."""
LANGUAGE = """<letter> CLICK; <letter> TYPE <text>; <letter> SELECT <option>
Pick the element that the next step needs. A, none of the above, where it is not among them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was understood."""

    letter: str
    operation: str = ""
    """CLICK, TYPE, SELECT; empty beside `A`."""
    value: str = ""

    @property
    def did(self) -> str:
        """The operation and its value: `TYPE san diego`."""
        return f"{self.operation} {self.value}".strip()


def parse(text: str) -> Answer | None:
    """An answer out of a model's text: `C TYPE san diego`, or AgentBench's `Answer:`, `Action:`, `Value:`.

    Returns:
        None where there is no letter, or a letter other than `A` without an operation.
    """
    text = text.strip()
    labelled = ANSWER.search(text)
    if labelled:
        letter = labelled["letter"].upper()
        action, value = ACTION.search(text), VALUE.search(text)
        operation = action["operation"].upper() if action else ""
        return _answer(letter, operation, value["value"] if value else "")
    short = SHORT.fullmatch(text)
    if short is None:
        return None
    return _answer(short["letter"].upper(), (short["operation"] or "").upper(), short["value"] or "")


def _answer(letter: str, operation: str, value: str) -> Answer | None:
    if letter == "A":
        return Answer(letter)
    if not operation:
        return None
    return Answer(letter, operation, "" if operation == "CLICK" else " ".join(value.split()))
