"""A scripted player of the generated sites that knows only what an agent sees; the server never imports it.

It knows the sites' flows: from the task and the actions before, it knows what is due, and looks for it among
the choices. `ByWords` knows nothing of the sites: it picks what shares the most words with the task.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass

from envs.mind2web.actions import LETTERS
from envs.mind2web.flows import Flows, Step
from envs.mind2web.generator import HINTS, KINDS

Policy = Generator[str, str, None]
"""Yields answers and is sent what each showed; it ends with the choice."""

CHOICE = re.compile(rf"^(?P<letter>[{LETTERS[1:]}])\. (?P<line><(?P<tag>[\w:-]+).*)$", re.MULTILINE)
EARLIER = re.compile(r"^\((\d+) earlier\)$", re.MULTILINE)
WORD = re.compile(r"[a-z0-9]+")
INTERACTIVE = ("button", "input", "a", "select", "textarea", "option", "label", "li")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the choices of a round."""

    letter: str
    tag: str
    line: str


class Expert:
    """Plays one step of a generated visit.

    Args:
        observation: The first observation.
        instruction: The task.

    Raises:
        ValueError: The task is none of the generated sites'.
    """

    def __init__(self, observation: str, instruction: str) -> None:
        flow = Flows().read(instruction)
        if flow is None:
            raise ValueError(f"not a task of a generated site: {instruction!r}")
        self.due: Step = flow.steps[min(done_before(observation), len(flow.steps) - 1)]
        self.thought = ""
        """Why the last answer was given."""
        self._first = observation

    def play(self) -> Policy:
        """The answers of the step, one a round."""
        shown = self._first
        while True:
            best = max(choices(shown), key=self._fit, default=None)
            if best is None:
                return
            if self._fit(best) < 2:
                self.thought = f"I need {self._wanted()}. None of these is it."
                shown = yield "A"
            else:
                self.thought = f"I need {self._wanted()}. {best.letter} looks like it."
                shown = yield f"{best.letter} {self.due.operation} {self.due.value}".strip()

    def _wanted(self) -> str:
        noun = {
            "type": "the field",
            "select": "the list",
            "button": "the button",
            "date": "the day",
            "link": "the link",
        }.get(self.due.kind, "the option")
        return f"{noun} {self.due.label}"

    def _fit(self, choice: Choice) -> float:
        """How well a choice fits what is due: its words, what it looks like, and its tag."""
        wanted, said = words(self.due.label), words(choice.line)
        share = len(wanted & said) / max(1, len(wanted))
        looks = HINTS[self.due.kind] in choice.line
        tag = choice.tag in KINDS[self.due.kind]
        return 3 * (share == 1) + share + 1.5 * looks + tag - 2 * (not tag)


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


def done_before(observation: str) -> int:
    """How many actions were done before, from the first observation."""
    told = observation.partition("Previous actions:\n")[2].partition("\n\n")[0]
    earlier = EARLIER.search(told)
    return (int(earlier[1]) if earlier else 0) + sum(line.startswith("[") for line in told.splitlines())


def words(text: str) -> set[str]:
    """The words of a text, lower-cased."""
    return set(WORD.findall(text.lower()))
