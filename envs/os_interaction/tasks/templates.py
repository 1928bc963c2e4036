"""The form of generated tasks: wordings with places, a machine around them, and a solution.

`<place>` in a wording is filled when a task is made; `read` finds the places again in an instruction, so that
an expert needs nothing that an agent does not see.
"""

import random
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from envs.os_interaction.tasks.table import Check, Example, Named, Programs

PLACE = re.compile(r"<([a-z_]+)>")
_SUBJECTS = """amber basil cedar delta ember fjord grove hazel iris juniper kelp lotus maple nectar olive
pearl quartz river sable tulip umber violet willow yarrow zephyr aspen birch coral dune elm
fern garnet heron indigo jasper koala linden meadow nova onyx"""
SUBJECTS = tuple(_SUBJECTS.split())
_NOUNS = """report notes backup draft index summary invoice ledger photo budget letter plan recipe
survey agenda minutes archive sample result contract diary manual"""
NOUNS = tuple(_NOUNS.split())
_PEOPLE = """alice bruno carla diego elena felix greta hugo ines jonas karin leo mira nils olga paul rosa
simon tara ulli vera wanda xenia yann zoe anton berta cosmo dora emil"""
PEOPLE = tuple(_PEOPLE.split())
EXTENSIONS = ("txt", "log", "csv", "md", "conf", "json", "dat", "bak")
SHARED_PLACES = frozenset(("bound", "least", "until", "program", "yes", "no", "variable"))
"""Places whose words both splits have."""
ROOTS = ("/srv", "/opt", "/home", "/var/local", "/root", "/data")


class Draw:
    """Chance, with words of which the two splits have different ones.

    Args:
        seed: What it is drawn from.
        half: 0 or 1: which half of the subjects and people.
    """

    def __init__(self, seed: str, half: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self._subjects = SUBJECTS[half::2]
        self._people = PEOPLE[half::2]

    def one(self, values: Sequence[str]) -> str:
        """One of some values."""
        return self.chance.choice(values)

    def many(self, values: Sequence[str], count: int) -> list[str]:
        """Different ones of some values."""
        return self.chance.sample(list(values), count)

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends inclusive."""
        return self.chance.randint(low, high)

    def subjects(self, count: int) -> list[str]:
        """Names of things."""
        return self.many(self._subjects, count)

    def people(self, count: int) -> list[str]:
        """Names of people."""
        return self.many(self._people, count)

    def folder(self) -> str:
        """Return a folder that is not there yet."""
        return f"{self.one(ROOTS)}/{self.one(self._subjects)}{self.number(1, 99)}"

    def files(self, count: int) -> list[str]:
        """Names of files without an extension."""
        return [f"{noun}{self.number(1, 99)}" for noun in self.many(NOUNS, count)]


@dataclass(frozen=True)
class Made:
    """A task's machine and end, drawn."""

    places: Mapping[str, str]
    init: str
    answer: str | None = None
    """What must be answered; None where something must be done."""
    check: Sequence[Check] = ()
    start: str = ""
    programs: Programs | None = None


@dataclass(frozen=True)
class Template:
    """A kind of task."""

    name: str
    wordings: tuple[str, ...]
    make: Callable[[Draw], Made]
    solution: str
    """A script with places; it prints the answer, or does the task."""
    why: str
    """The reason for the solution, as a thought."""
    look: str = ""
    """A script with places that shows what there is, for a first step."""
    does: bool = False
    """Whether something is to be done; otherwise a question is to be answered."""

    @staticmethod
    def shared(wording: str) -> bool:
        """Return whether a wording has nothing that is of one split only."""
        return set(PLACE.findall(wording)) <= SHARED_PLACES

    def read(self, instruction: str) -> dict[str, str] | None:
        """What stands at the places of an instruction; None where it is of another kind."""
        for wording in self.wordings:
            found = _compiled(wording).fullmatch(instruction)
            if found:
                return found.groupdict()
        return None


def ask_of_files(
    name: str,
    lines: Callable[[Draw], list[str]],
    extension: str,
    check: str,
    solution: str,
    why: str,
    *wordings: str,
    look: str = "",
    **choices: tuple[str, ...],
) -> Template:
    """Return a kind of question about two files of a folder; what the solution prints is the answer.

    Args:
        name: The kind's.
        lines: Makes the lines of a file.
        extension: Of both files.
        check: The benchmark's check that compares the answers.
        solution: A script with the places `folder`, `file`, `other` and those of `choices`.
        why: The reason for it.
        wordings: How it is asked.
        look: A script for a first step.
        choices: What other places are drawn from.
    """

    def make(draw: Draw) -> Made:
        folder = draw.folder()
        one, two = (f"{folder}/{noun}.{extension}" for noun in draw.many(NOUNS, 2))
        written = (write(path, "\n".join(lines(draw)) + "\n") for path in (one, two))
        init = script(f"mkdir -p {folder}", *written)
        places = {"folder": folder, "file": one, "other": two}
        places |= {place: draw.one(values) for place, values in choices.items()}
        return Made(places, init, check=[Example(), Named(check)])

    return Template(name, wordings, make, solution, why, look)


def filled(text: str, places: Mapping[str, str]) -> str:
    """A text with its places filled; `<word>` that is no place stays."""
    return PLACE.sub(lambda found: places.get(found[1], found[0]), text)


def write(path: str, text: str) -> str:
    """A command that writes a file."""
    return f"printf '%s' {shlex.quote(text)} > {path}"


def script(*lines: str) -> str:
    """Commands as one script."""
    return "\n".join(lines)


@cache
def _compiled(wording: str) -> re.Pattern[str]:
    return re.compile(_pattern(wording))


def _pattern(wording: str) -> str:
    seen: set[str] = set()
    parts: list[str] = []
    end = 0
    for found in PLACE.finditer(wording):
        parts.append(re.escape(wording[end : found.start()]))
        name = found[1]
        parts.append(f"(?P={name})" if name in seen else rf"(?P<{name}>\S+?)")
        seen.add(name)
        end = found.end()
    return "".join([*parts, re.escape(wording[end:])])
