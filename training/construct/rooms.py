"""Rooms that are drawn at random for role play: which places there are, how many things, and where they lie.

What a room may hold, and how often, is what ALFWorld's train games have (`rooms.json`).
"""

import random
from collections import Counter
from dataclasses import dataclass

from envs.alfworld.houses import Houses

KINDS = (
    "put an object in or on a place",
    "put two objects of one kind in or on a place",
    "clean an object and put it in or on a place",
    "heat an object and put it in or on a place",
    "cool an object and put it in or on a place",
    "look at an object under a lamp",
)
"""The kinds of household tasks, as the question generator reads them."""
MOST_PLACES = 12


@dataclass(frozen=True)
class Room:
    """One room: what stands in it, and what lies where."""

    kind: str
    places: dict[str, list[str]]
    """Things by the place that they lie in, both with their numbers."""
    closed: frozenset[str]
    """Places that are closed at the start."""

    @property
    def objects(self) -> set[str]:
        """The classes of the things that there are, such as `mug`."""
        return {thing.rpartition(" ")[0] for things in self.places.values() for thing in things}

    def describe(self) -> str:
        """Return all that is in it, for the environment agent and the question generator."""
        lines = [f"A {self.kind.replace('_', ' ')}."]
        for place, things in self.places.items():
            state = " (closed)" if place in self.closed else ""
            lines.append(f"- {place}{state}: {', '.join(things) or 'nothing'}")
        return "\n".join(lines)

    def seen(self, task: str) -> str:
        """What an agent sees first: the places, and its task."""
        places = [f"a {place}" for place in self.places]
        listed = ", ".join(places[:-1]) + (", and " if len(places) > 1 else "") + places[-1]
        return (
            f"You are in the middle of a room. Looking quickly around you, you see {listed}.\n\n"
            f"Your task is to: {task}"
        )


def draw_room(seed: int, number: int, houses: Houses | None = None) -> tuple[Room, str]:
    """Return a room and a kind of task, the same for the same seed and number."""
    houses = houses or Houses.load()
    draw = random.Random(f"room/{seed}/{number}")  # noqa: S311
    kind = draw.choice(sorted(houses.rooms))
    room = houses.rooms[kind]
    places: dict[str, list[str]] = {}
    for name, stock in sorted(room.receptacles.items()):
        if len(places) < MOST_PLACES and draw.random() < stock.share:
            count = min(draw.randint(stock.least, stock.most), MOST_PLACES - len(places), 4)
            places |= {f"{name.lower()} {place}": [] for place in range(1, count + 1)}
    closed = {name.lower() for name in houses.openable}
    numbers: Counter[str] = Counter()
    for name, thing in sorted(room.objects.items()):
        where = {at.lower(): weight for at, weight in thing.places.items()}
        there = [place for place in places if place.rpartition(" ")[0] in where]
        if not there or draw.random() >= thing.share:
            continue
        weights = [where[place.rpartition(" ")[0]] for place in there]
        for place in draw.choices(there, weights, k=draw.randint(thing.least, thing.most)):
            numbers[name] += 1
            places[place].append(f"{name.lower()} {numbers[name]}")
    shut = frozenset(place for place in places if place.rpartition(" ")[0] in closed)
    return Room(kind, places, shut), draw.choice(KINDS)
