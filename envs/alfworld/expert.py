"""A scripted player that sees only what an agent sees; its games are demonstrations of search.

It visits receptacles in the order of where such objects usually lie (`rooms.json`, counted on train
games), looks inside, takes, treats and places. The server never imports it.
"""

import functools
import re
from collections.abc import Generator
from dataclasses import dataclass, field

from envs.alfworld.houses import Houses
from envs.alfworld.scoring import NOTHING

Policy = Generator[str, str, None]
"""Yields actions and is sent what each showed; it ends when it has nothing left to try."""

STATIONS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
VERBS = {"clean": "clean", "hot": "heat", "cool": "cool"}
SEEN = re.compile(r"you see (?P<list>.+?)\.", re.DOTALL)
NAME = re.compile(r"\ban? (?P<name>[a-z]+ \d+)")
STEP = re.compile(
    r"(?P<verb>go to|open|close|examine|take|move|clean|heat|cool) (?P<what>.+?)"
    r"(?: (?:from|to|with) (?P<where>.+))?"
)
FORMS = (
    re.compile(r"(?:look at|examine the) (?P<o>\w+) (?:under|with) the (?P<light>\w+)"),
    re.compile(r"(?:put|find) (?P<two>two) (?P<o>\w+) (?:and put them )?(?:in|on) (?P<r>\w+)"),
    re.compile(r"(?P<verb>clean|heat|cool) some (?P<o>\w+) and put it (?:in|on) (?P<r>\w+)"),
    re.compile(r"put (?:a|some) (?P<state>clean|hot|cool) (?P<o>\w+) (?:in|on) (?P<r>\w+)"),
    re.compile(r"put (?:an?|some) (?P<o>\w+) (?:in|on) (?P<r>\w+)"),
)


@dataclass(frozen=True)
class Goal:
    """The goal of an instruction, in the words of the game."""

    thing: str
    target: str = ""
    verb: str = ""
    light: str = ""
    count: int = 1

    @classmethod
    def parse(cls, instruction: str) -> "Goal":
        """Read one of the official sentences.

        Raises:
            ValueError: It is not one of them.
        """
        for form in FORMS:
            found = form.match(instruction.strip().lower())
            if found:
                part = found.groupdict()
                return cls(
                    thing=part["o"],
                    target=part.get("r") or "",
                    verb=part.get("verb") or VERBS.get(part.get("state") or "", ""),
                    light=part.get("light") or "",
                    count=2 if part.get("two") else 1,
                )
        raise ValueError(f"not an ALFWorld instruction: {instruction!r}")


def names(text: str) -> list[str]:
    """The things that an observation lists, such as `drawer 2`."""
    return [name["name"] for found in SEEN.finditer(text) for name in NAME.finditer(found["list"])]


def kind(name: str) -> str:
    """The class of a thing: `drawer` of `drawer 2`."""
    return name.rpartition(" ")[0]


@dataclass
class Prior:
    """How likely a class of object lies in a class of receptacle, summed over kinds of rooms."""

    weights: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])

    @classmethod
    def load(cls) -> "Prior":
        """Out of `rooms.json`."""
        weights: dict[str, dict[str, float]] = {}
        for room in Houses.load().rooms.values():
            for name, thing in room.objects.items():
                places = weights.setdefault(name.lower(), {})
                for place, weight in thing.places.items():
                    places[place.lower()] = places.get(place.lower(), 0.0) + weight * thing.share
        return cls(weights)

    def order(self, thing: str, receptacles: list[str]) -> list[str]:
        """Receptacles, the likeliest first; many of one class share its weight."""
        places = self.weights.get(thing, {})
        classes = [kind(receptacle) for receptacle in receptacles]

        def likelihood(receptacle: str) -> float:
            return places.get(kind(receptacle), 0.0) / classes.count(kind(receptacle))

        return sorted(receptacles, key=lambda receptacle: -likelihood(receptacle))


@functools.cache
def load_prior() -> Prior:
    """Return the prior of generated houses, read once."""
    return Prior.load()


class Expert:
    """Plays one game.

    Args:
        observation: The first observation.
        instruction: The task.
        prior: Where things usually lie; by default as generated houses have them.

    Raises:
        ValueError: The instruction is not one of ALFWorld's.
    """

    def __init__(self, observation: str, instruction: str, prior: Prior | None = None) -> None:
        self.goal = Goal.parse(instruction)
        self._prior = prior or load_prior()
        self._aim = ""
        """What it is after, in words."""
        self._receptacles = names(observation.partition("Your task is to")[0])
        self._at = ""
        self._contents: dict[str, list[str]] = {}
        """What was last seen in a receptacle; one that was never seen is missing."""
        self._target = ""
        self._closed: set[str] = set()
        self._held = ""
        self._treated: set[str] = set()
        self._placed: list[str] = []
        self.thought = ""
        """Why the last action was taken."""

    def follow(self, action: str, shown: str) -> None:
        """Take note of a step that was taken before it plays, by whomever, and of what it showed."""
        step = STEP.fullmatch(action.strip().lower())
        if step is None or shown.strip() == NOTHING:
            return
        verb, what, where = step["verb"], step["what"], step["where"] or ""
        if verb in ("go to", "open", "close", "examine"):
            self._look(verb, what, shown)
        elif verb == "take":
            self._held = what
            if what in self._contents.get(where, []):
                self._contents[where].remove(what)
            if what in self._placed:
                self._placed.remove(what)
        elif verb == "move":
            self._held = ""
            self._contents.setdefault(where, []).append(what)
            if kind(what) == self.goal.thing and kind(where) == self.goal.target and self._is_ready(what):
                self._target = where
                self._placed.append(what)
        elif verb == self.goal.verb:
            self._treated.add(what)

    def _look(self, verb: str, receptacle: str, shown: str) -> None:
        if receptacle not in self._receptacles:
            return
        if verb == "go to":
            self._at = receptacle
        if verb == "close" or "is closed" in shown:
            self._contents.pop(receptacle, None)
            self._closed.add(receptacle)
        elif "you see" in shown.lower():
            self._closed.discard(receptacle)
            self._contents[receptacle] = names(shown)

    def _is_ready(self, thing: str) -> bool:
        return not self.goal.verb or thing in self._treated

    def play(self) -> Policy:
        """The actions of the game, one by one; from where things stand, if it followed."""
        if self._held and kind(self._held) != self.goal.thing:
            yield from self._drop()
        if self.goal.light:
            yield from self._light()
            return
        placed = list(self._placed)
        for _ in range(self.goal.count - len(placed)):
            thing = self._held or (yield from self._find(placed))
            self._held = ""
            if thing is None:
                return
            if thing not in self._treated:
                yield from self._treat(thing)
            yield from self._place(thing)
            placed.append(thing)

    def _drop(self) -> Policy:
        where = self._at or self._receptacles[0]
        self._aim = f"I do not need the {self._held}."
        yield from self._visit(where)
        self.thought = self._aim
        yield f"move {self._held} to {where}"
        self._held = ""

    def _light(self) -> Policy:
        thing = self._held or (yield from self._find([]))
        self._aim = f"I have it. I need a {self.goal.light}."
        where = self._where(self.goal.light)
        for receptacle in self._unseen(self.goal.light):
            if thing is None or where:
                break
            yield from self._visit(receptacle)
            where = self._where(self.goal.light)
        if thing is not None and where:
            yield from self._visit(where)
            lamp = next(name for name in self._contents[where] if kind(name) == self.goal.light)
            self.thought = f"Here is a {self.goal.light}."
            yield f"use {lamp}"

    def _find(self, placed: list[str]) -> Generator[str, str, str | None]:
        """Search for one more thing and take it; None where it is nowhere."""
        self._aim = f"I need {'another' if placed else 'a'} {self.goal.thing}."
        for receptacle in [*self._seen_with(self.goal.thing), *self._unseen(self.goal.thing)]:
            yield from self._visit(receptacle)
            if self.goal.count == 2 and kind(receptacle) == self.goal.target and not self._target:
                # One that lies in a place of the wanted kind already need not be carried there.
                there = [name for name in self._contents[receptacle] if kind(name) == self.goal.thing]
                if there:
                    self._target = receptacle
            if receptacle == self._target:
                continue
            for name in self._contents[receptacle]:
                if kind(name) == self.goal.thing and name not in placed:
                    self.thought = f"Here is a {self.goal.thing}."
                    shown = yield f"take {name} from {receptacle}"
                    if shown.strip() != NOTHING:
                        self._contents[receptacle].remove(name)
                        return name
        return None

    def _treat(self, thing: str) -> Policy:
        if not self.goal.verb:
            return
        self._aim = f"I have it. Now {self.goal.verb} it."
        for station in self._of(STATIONS[self.goal.verb]):
            if station != self._at:
                yield from self._go(station)
            self.thought = f"Now {self.goal.verb} it."
            shown = yield f"{self.goal.verb} {thing} with {station}"
            if shown.strip() != NOTHING:
                return

    def _place(self, thing: str) -> Policy:
        self._aim = f"I have it. Now put it in {self.goal.target}."
        targets = [self._target] if self._target else self._of(self.goal.target)
        for target in targets:
            yield from self._visit(target)
            self.thought = f"Now put it in {self.goal.target}."
            shown = yield f"move {thing} to {target}"
            if shown.strip() != NOTHING:
                self._target = target
                self._contents[target].append(thing)
                return

    def _visit(self, receptacle: str) -> Policy:
        """Stand before a receptacle and see what is in it."""
        if receptacle == self._at and receptacle in self._contents:
            return
        is_here = receptacle == self._at and receptacle in self._closed
        shown = f"The {receptacle} is closed." if is_here else (yield from self._go(receptacle))
        if "is closed" in shown:
            self.thought = "It is closed."
            shown = yield f"open {receptacle}"
        if "you see" in shown.lower():
            self._contents[receptacle] = names(shown)
        else:
            self._contents.setdefault(receptacle, [])

    def _go(self, receptacle: str) -> Generator[str, str, str]:
        self.thought = self._aim
        shown = NOTHING if receptacle == self._at else (yield f"go to {receptacle}")
        if shown.strip() == NOTHING:
            # It is within reach of the place where we stand; looking at it shows what arriving would.
            shown = yield f"examine {receptacle}"
        self._at = receptacle
        return shown

    def _of(self, wanted: str) -> list[str]:
        """Receptacles of a class, those that were seen inside first."""
        every = [name for name in self._receptacles if kind(name) == wanted]
        return sorted(every, key=lambda name: (name != self._at, name not in self._contents))

    def _unseen(self, thing: str) -> list[str]:
        unseen = [name for name in self._receptacles if name not in self._contents]
        return self._prior.order(thing, unseen)

    def _seen_with(self, thing: str) -> list[str]:
        return [
            receptacle
            for receptacle, held in self._contents.items()
            if receptacle != self._target and any(kind(name) == thing for name in held)
        ]

    def _where(self, thing: str) -> str:
        return next(
            (r for r, held in self._contents.items() if any(kind(name) == thing for name in held)), ""
        )
