"""What a house may hold: rooms, receptacles, objects and where they lie.

The figures in `rooms.json` were counted on the official train games: the share of rooms that have a
thing, how many, and in which receptacles objects lie. `holds` and `abilities` are the domain's own.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAMP = "DeskLamp"


@dataclass(frozen=True)
class Stock:
    """How often a room has a kind of thing, and how many."""

    share: float
    """The share of rooms that have it, 0 to 1."""
    least: int
    most: int


@dataclass(frozen=True)
class Thing(Stock):
    """A kind of object in a kind of room."""

    places: dict[str, float]
    """Receptacle types and their weights."""


@dataclass(frozen=True)
class Room:
    """A kind of room."""

    receptacles: dict[str, Stock]
    objects: dict[str, Thing]


@dataclass(frozen=True)
class Houses:
    """The generator's data on houses."""

    rooms: dict[str, Room]
    holds: dict[str, frozenset[str]]
    """Receptacle type: the object types that can be put there."""
    abilities: dict[str, frozenset[str]]
    """Object type: `pickupable`, `cleanable`, `heatable`, `coolable`, `sliceable`, `toggleable` ..."""
    openable: frozenset[str]

    @classmethod
    def load(cls) -> "Houses":
        """Read `rooms.json`."""
        raw: dict[str, Any] = json.loads(Path(__file__).with_name("rooms.json").read_text())
        rooms = {
            name: Room(
                {kind: Stock(**stock) for kind, stock in room["receptacles"].items()},
                {kind: Thing(least=1, **thing) for kind, thing in room["objects"].items()},
            )
            for name, room in raw["rooms"].items()
        }
        return cls(
            rooms=rooms,
            holds={kind: frozenset(held) for kind, held in raw["holds"].items()},
            abilities={kind: frozenset(able) for kind, able in raw["abilities"].items()},
            openable=frozenset(raw["openable"]),
        )
