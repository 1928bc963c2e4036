"""A scripted player of the generated steps, for demonstrations; the server never imports it.

It looks the step up among the generated ones, so that it has its element even where the line that shows
it has no text: what is to be learned of such is to prefer what one can act on. A recorded step comes with its
record. `ByWords` has no records: it picks what shares the most words with the task.
"""

import random
import re
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache

from envs.mind2web.actions import LETTERS
from envs.mind2web.flows import Step
from envs.mind2web.generator import SPLITS
from envs.mind2web.generator import Generator as Steps
from envs.mind2web.record import Record
from envs.mind2web.view import TEXT_CHARS, start

Policy = Generator[str, str, None]
"""Yields answers and is sent what each showed; it ends with the choice."""

CHOICE = re.compile(rf"^(?P<letter>[{LETTERS[1:]}])\. (?P<line><(?P<tag>[\w:-]+).*)$", re.MULTILINE)
LABELLED = re.compile(r"(?:aria-label|placeholder|title|alt|name|id)=(.+?)(?= [\w-]+=|\Z)")
LABEL_WORDS = 6
"""Words of an element's text that a thought has."""
WORD = re.compile(r"[a-z0-9]+")
INTERACTIVE = ("button", "input", "a", "select", "textarea", "option", "label", "li", "td")
FARTHEST = 100_000
STRAYS = 0.4
"""How often another element that one can act on is picked, where the right one is not shown: the right one
meets it again, and what is learned is which of the two."""
DUE = {
    "type": "type {value}",
    "select": "select {value}",
    "check": "choose {label}",
    "radio": "choose {label}",
    "option": "choose {label}",
    "suggestion": "pick the suggestion {label}",
    "date": "pick the day {label}",
    "link": "go to {label}",
    "menu": "open the menu {label}",
    "tab": "open the tab {label}",
    "open": "open {label}",
    "result": "open the result {label}",
    "plus": "add {label}",
    "search": "start the search",
}
"""What is due, by a step's kind, as a thought words it; `button` and others are pressed."""


class UnknownStepError(ValueError):
    """Raised when the step is not one of the generated ones."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the choices of a round."""

    letter: str
    tag: str
    line: str


class Lookup:
    """Finds generated steps by what an agent is shown.

    Args:
        farthest: So many steps of each split are looked through.
    """

    def __init__(self, farthest: int = FARTHEST) -> None:
        self._farthest = farthest
        self._steps = Steps()
        self._numbers: dict[str, list[tuple[str, int]]] = {}
        self._reached = 0

    def find(self, observation: str, instruction: str) -> tuple[Record, Step]:
        """A step's record, and what is due in it.

        Raises:
            UnknownStepError: There is none that shows this.
        """
        shown = {choice.line for choice in choices(observation)}
        while True:
            for split, number in self._numbers.get(instruction, ()):
                record = self._steps.record(split, number)
                if observation.startswith(start(record) + "\n\n") and shown <= _lines(record).keys():
                    flow, at, _, _ = self._steps.visit(split, number)
                    return record, flow.steps[at]
            if self._reached >= self._farthest:
                break
            self._reach(min(500, self._farthest - self._reached))
        raise UnknownStepError(f"not a generated step: {instruction!r}")

    def _reach(self, count: int) -> None:
        for number in range(self._reached, self._reached + count):
            for split in SPLITS:
                flow, _, _, _ = self._steps.visit(split, number)
                self._numbers.setdefault(flow.task, []).append((split, number))
        self._reached += count


@lru_cache(maxsize=1)
def lookup() -> Lookup:
    """The process's own: it grows as it is read."""
    return Lookup()


class Expert:
    """Plays one generated step.

    Args:
        observation: The first observation.
        instruction: The task.
        reference: The record of a recorded step; by default the step is looked up.

    Raises:
        UnknownStepError: The step is not one of the generated ones.
    """

    def __init__(self, observation: str, instruction: str, reference: Record | None = None) -> None:
        if reference is not None:
            record, self.due = reference, _describe_step(reference)
        else:
            record, self.due = lookup().find(observation, instruction)
        self._right = {line for line, node_id in _lines(record).items() if node_id in record.right}
        self._draw = random.Random(f"{record.id}/{observation}")  # noqa: S311
        self._first = observation
        self.thought = ""
        """Why the last answer was given."""

    def follow(self, action: str, shown: str) -> None:
        """Take note of another's answer, and of the round that it showed."""
        self._first = shown

    def play(self) -> Policy:
        """The answers of the step, one a round."""
        shown = self._first
        while found := choices(shown):
            pick = self._pick(found)
            self.thought = (
                f"Next: {self._wanted()}. {f'{pick.letter} <{pick.tag}>.' if pick else 'Not here.'}"
            )
            shown = yield f"{pick.letter} {self.due.operation} {self.due.value}".strip() if pick else "A"

    def _wanted(self) -> str:
        form = DUE.get(self.due.kind, "press {label}")
        return form.format(label=self.due.label, value=self.due.value)

    def _pick(self, found: list[Choice]) -> Choice | None:
        for choice in found:
            if choice.line in self._right:
                return choice
        # What shows nothing but what it is may be right; what has a text that is not the right one is not.
        strays = [choice for choice in found if choice.tag in INTERACTIVE and choice.line.endswith(">")]
        return self._draw.choice(strays) if strays and self._draw.random() < STRAYS else None


def _describe_step(record: Record) -> Step:
    """Return what is due in a recorded step, labelled by what its right element shows."""
    labels = (
        _label(record.line(element, TEXT_CHARS))
        for element in record.candidates
        if element.id in record.right
    )
    kind = {"TYPE": "type", "SELECT": "select"}.get(record.operation, "button")
    return Step(kind, next((label for label in labels if label), "it"), record.value)


def _label(line: str) -> str:
    """Return the text of a choice's line, or else its label; empty where it has neither."""
    tag, _, text = line.partition(">")
    named = LABELLED.search(tag)
    return " ".join((text.strip() or (named[1] if named else "")).split()[:LABEL_WORDS])


class ByWords:
    """Picks, round by round, the element one can act on that shares the most words with the task.

    Args:
        observation: The first observation.
        instruction: The task.
    """

    def __init__(self, observation: str, instruction: str) -> None:
        self._wanted = words(instruction)
        self._first = observation

    def play(self) -> Policy:
        """The answers of the step, one a round."""
        shown = self._first
        while True:
            best = max(choices(shown), key=self._fit, default=None)
            if best is None:
                return
            shown = yield f"{best.letter} CLICK" if self._fit(best) > 0 else "A"

    def _fit(self, choice: Choice) -> float:
        return len(self._wanted & words(choice.line)) + 0.5 * (choice.tag in INTERACTIVE)


def choices(observation: str) -> list[Choice]:
    """The choices of a round, without `A`."""
    return [
        Choice(found["letter"], found["tag"], found["line"])
        for found in CHOICE.finditer(observation.rpartition("Choices")[2])
    ]


def words(text: str) -> set[str]:
    """The words of a text, lower-cased."""
    return set(WORD.findall(text.lower()))


def _lines(record: Record) -> dict[str, str]:
    """Ids of candidates by their lines, the right one's first."""
    found: dict[str, str] = {}
    for element in record.candidates:
        found.setdefault(record.line(element, TEXT_CHARS), element.id)
    return found
