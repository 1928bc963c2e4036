"""The language of a game's actions, of the names that the agent has seen.

A name is seen where an observation lists it. The first observation lists receptacles; everything else is an
object. What is behind a closed door has no name here, and no action is left out because the engine could
foresee that it fails.
"""

import re
from dataclasses import dataclass

from envs.serving.grammar import any_of, group

LISTED = re.compile(r"you see (?P<list>[^.]+)\.", re.IGNORECASE)
NAME = re.compile(r"\ban? (?P<name>[a-z]+(?: [a-z]+)? [0-9]+)")
MOST_NAMES = 400
"""Names that are remembered; a house has fewer."""
STATIONS = {"heat": "microwave", "cool": "fridge", "clean": "sinkbasin"}
"""The receptacles that the action language names for a treatment."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The names that an agent has seen."""

    receptacles: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()

    @classmethod
    def begin(cls, observation: str) -> "Seen":
        """Return what the first observation lists."""
        return cls(receptacles=frozenset(read_names(observation)[:MOST_NAMES]))

    def after(self, observation: str) -> "Seen":
        """Return what has been seen once an observation is shown."""
        new = [name for name in read_names(observation) if name not in self.receptacles | self.objects]
        room = MOST_NAMES - len(self.receptacles) - len(self.objects)
        return Seen(self.receptacles, self.objects.union(new[:room])) if new else self


def read_names(observation: str) -> list[str]:
    """Return the things that an observation lists, such as `drawer 2`."""
    return [name["name"] for found in LISTED.finditer(observation) for name in NAME.finditer(found["list"])]


def render_grammar(seen: Seen) -> str:
    """Return the language: every verb with the names that have been seen."""
    forms = ["look", "inventory"]
    places, things = _render_names(seen.receptacles), _render_names(seen.objects)
    if places:
        forms += [f"(?:go to|open|close|examine) {places}"]
    if things:
        forms += [f"(?:use|examine) {things}", f"slice {things} with {things}"]
    if places and things:
        forms += [f"take {things} from {places}", f"move {things} to {places}"]
        for verb, kind in STATIONS.items():
            stations = {name for name in seen.receptacles if name.rpartition(" ")[0] == kind}
            forms += [f"{verb} {things} with {_render_names(frozenset(stations))}"] if stations else []
    return group(forms)


def _render_names(names: frozenset[str]) -> str:
    """Return a pattern of names, with the numbers of a kind behind it; empty where there are none."""
    numbers: dict[str, list[str]] = {}
    for name in sorted(names):
        kind, _, number = name.rpartition(" ")
        numbers.setdefault(kind, []).append(number)
    return group(f"{kind} {any_of(several)}" for kind, several in numbers.items()) if numbers else ""
