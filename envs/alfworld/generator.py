"""Houses that need no data: laid out from a seed, in ALFWorld's own domain, with a plan that wins.

The same split and number always give the same house. Seeds of train and valid have different parity, and
those of unseen are above all of them, so that no house of one split is a house of another. Unseen has the
rooms that the other two lack; a number of theirs that drew such a room draws again.
"""

import json
import random
from collections import Counter
from dataclasses import dataclass, field

from envs.alfworld.goals import KINDS, Kind
from envs.alfworld.houses import LAMP, Houses, Room
from envs.serving.tasks import UNSEEN, is_unseen

TRAIN = "generated_train"
VALID = "generated_valid"
SPLITS = (TRAIN, VALID, UNSEEN)
FIRST_UNSEEN = 2_000_000_000
"""The first seed of the unseen split: numbers have at most nine digits."""
SHARED_PLACE = 0.09
"""The share of receptacles that stand within reach of another (official train games: 9%)."""


def seed_of(split: str, number: int) -> int:
    """The seed of a house: even for train, odd for valid, above both for unseen."""
    return FIRST_UNSEEN + number if split == UNSEEN else 2 * number + (TRAIN, VALID).index(split)


@dataclass(frozen=True)
class Receptacle:
    """A receptacle of a house."""

    id: str
    kind: str
    place: int
    """Its location; receptacles of one location are all within reach there."""
    openable: bool


@dataclass(frozen=True)
class Item:
    """An object of a house."""

    id: str
    kind: str
    where: Receptacle


@dataclass
class House:
    """A laid-out house with its task."""

    seed: int
    room: str
    kind: Kind
    thing: str
    """The type of the object that the task is about."""
    target: str
    """The type of the receptacle (or lamp) that the task is about."""
    instruction: str
    receptacles: list[Receptacle] = field(default_factory=list[Receptacle])
    items: list[Item] = field(default_factory=list[Item])


class Generator:
    """Makes houses."""

    def __init__(self, houses: Houses | None = None) -> None:
        self._houses = houses or Houses.load()

    def house(self, split: str, number: int) -> House:
        """The house of a split by its number.

        Raises:
            ValueError: There is no such split.
        """
        seed = seed_of(split, number)
        rng = random.Random(f"espalier alfworld {seed}")  # noqa: S311
        kinds = [kind for kind in KINDS if any(_is_room_of(split, room) for room in kind.rooms)]
        kind = kinds[rng.randrange(len(kinds))]
        room = ""
        while not _is_room_of(split, room):
            room = rng.choices(list(kind.rooms), list(kind.rooms.values()))[0]
        while True:
            house = self._try(seed, rng, kind, room)
            if house is not None:
                return house

    def problem(self, house: House) -> str:
        """The house as a PDDL problem of ALFWorld's domain."""
        return _Writer(self._houses, house).problem()

    def game(self, house: House, domain: str, grammar: str) -> str:
        """The house as a game file: what ALFWorld calls `game.tw-pddl`, JSON.

        Args:
            house: The house.
            domain: ALFWorld's `alfred.pddl`.
            grammar: ALFWorld's `alfred.twl2`, with its placeholder for the task.
        """
        return json.dumps(
            {
                "pddl_domain": domain,
                "grammar": grammar.replace("UNKNOWN GOAL.", house.instruction),
                "pddl_problem": self.problem(house),
                "solvable": True,
                "walkthrough": walkthrough(house),
            }
        )

    def _try(self, seed: int, rng: random.Random, kind: Kind, name: str) -> House | None:
        room = self._houses.rooms[name]
        receptacles = self._furnish(rng, room, kind)
        stands = {receptacle.kind for receptacle in receptacles}
        if kind.name == "look_at_obj_in_light" and not set(room.objects[LAMP].places) & stands:
            return None
        choices = self._choices(room, kind, stands)
        if not choices:
            return None
        thing, target = choices[rng.randrange(len(choices))]
        instruction = kind.sentence(rng.randrange(2), thing, target)
        house = House(seed, name, kind, thing, target, instruction, receptacles)
        house.items = self._stock(rng, room, house)
        return house

    def _furnish(self, rng: random.Random, room: Room, kind: Kind) -> list[Receptacle]:
        made: list[Receptacle] = []
        places = 0
        for name, stock in room.receptacles.items():
            if name != kind.station and rng.random() >= stock.share:
                continue
            for number in range(rng.randint(stock.least, stock.most)):
                if not made or rng.random() >= SHARED_PLACE:
                    places += 1
                made.append(
                    Receptacle(_receptacle_id(name, number), name, places, name in self._houses.openable)
                )
        return made

    def _choices(self, room: Room, kind: Kind, stands: set[str]) -> list[tuple[str, str]]:
        abilities = self._houses.abilities
        things = [
            thing
            for thing in room.objects
            if "pickupable" in abilities.get(thing, ())
            and (not kind.ability or kind.ability in abilities[thing])
        ]
        pairs: list[tuple[str, str]] = []
        for thing in things:
            if kind.name == "look_at_obj_in_light":
                targets = [LAMP]
            else:
                targets = [r for r in sorted(stands) if thing in self._houses.holds.get(r, ())]
            pairs += [
                (thing, target) for target in targets if set(room.objects[thing].places) & stands - {target}
            ]
        return pairs

    def _stock(self, rng: random.Random, room: Room, house: House) -> list[Item]:
        items: list[Item] = []
        by_kind: dict[str, list[Receptacle]] = {}
        for receptacle in house.receptacles:
            by_kind.setdefault(receptacle.kind, []).append(receptacle)
        for name, thing in room.objects.items():
            wanted = self._wanted(house, name)
            if not wanted and rng.random() >= thing.share:
                continue
            places = {place: weight for place, weight in thing.places.items() if place in by_kind}
            if name == house.thing:
                places.pop(house.target, None)
            if not places:
                continue
            count = max(wanted, rng.randint(thing.least, thing.most))
            for number in range(count):
                where = rng.choices(list(places), list(places.values()))[0]
                items.append(Item(f"{name}_bar_{number:02d}", name, rng.choice(by_kind[where])))
        return items

    def _wanted(self, house: House, name: str) -> int:
        if name == house.thing:
            return house.kind.count
        return 1 if name == house.target else 0


def _is_room_of(split: str, room: str) -> bool:
    return bool(room) and is_unseen(room) == (split == UNSEEN)


def walkthrough(house: House) -> list[str]:
    """Commands that win, planned from the known state."""
    names = Names(house)
    plan = _Plan(names)
    wanted = [item for item in house.items if item.kind == house.thing][: house.kind.count]
    if house.target == LAMP:
        lamp = next(item for item in house.items if item.kind == LAMP)
        plan.fetch(wanted[0])
        plan.go(lamp.where)
        plan.add(f"use {names[lamp.id]}")
        return plan.commands
    target = next(r for r in house.receptacles if r.kind == house.target)
    for item in wanted:
        plan.fetch(item)
        if house.kind.station:
            station = next(r for r in house.receptacles if r.kind == house.kind.station)
            plan.go(station)
            plan.add(f"{house.kind.verb} {names[item.id]} with {names[station.id]}")
        plan.go(target)
        plan.open(target)
        plan.add(f"move {names[item.id]} to {names[target.id]}")
    return plan.commands


class Names:
    """The names that ALFWorld gives: in a class, the first id in sorted order has the highest number."""

    def __init__(self, house: House) -> None:
        ids = sorted(x.id for x in (*house.receptacles, *house.items))
        left = Counter(self._class(each) for each in ids)
        self._names: dict[str, str] = {}
        for each in ids:
            name = self._class(each)
            self._names[each] = f"{name} {left[name]}"
            left[name] -= 1

    def __getitem__(self, ident: str) -> str:
        return self._names[ident]

    @staticmethod
    def _class(ident: str) -> str:
        name = ident.partition("_bar_")[0].lower()
        return name + "basin" if "basin" in ident.lower() else name


class _Plan:
    def __init__(self, names: Names) -> None:
        self._names = names
        self._place: int | None = None
        self._opened: set[str] = set()
        self.commands: list[str] = []

    def add(self, command: str) -> None:
        self.commands.append(command)

    def go(self, to: Receptacle) -> None:
        if to.place != self._place:
            self.add(f"go to {self._names[to.id]}")
            self._place = to.place

    def open(self, what: Receptacle) -> None:
        if what.openable and what.id not in self._opened:
            self.add(f"open {self._names[what.id]}")
            self._opened.add(what.id)

    def fetch(self, item: Item) -> None:
        self.go(item.where)
        self.open(item.where)
        self.add(f"take {self._names[item.id]} from {self._names[item.where.id]}")


class _Writer:
    """Writes a house as a PDDL problem."""

    def __init__(self, houses: Houses, house: House) -> None:
        self._houses = houses
        self._house = house

    def problem(self) -> str:
        house = self._house
        return (
            f"(define (problem house_{house.seed})\n(:domain alfred)\n"
            f"(:objects\n{self._objects()}\n)\n"
            f"(:init\n{self._init()}\n)\n{house.kind.goal(house.thing, house.target)}\n)\n"
        )

    def _objects(self) -> str:
        house, houses = self._house, self._houses
        places = max(receptacle.place for receptacle in house.receptacles)
        otypes = sorted({*houses.abilities, *(item.kind for item in house.items)})
        lines = ["agent1 - agent"]
        lines += [f"{kind}Type - otype" for kind in otypes]
        lines += [f"{kind}Type - rtype" for kind in sorted({*houses.holds, "Sink", "Toaster"})]
        lines += [f"{item.id} - object" for item in house.items]
        lines += [f"{receptacle.id} - receptacle" for receptacle in house.receptacles]
        lines += [f"{_place_id(place)} - location" for place in range(places + 1)]
        return "\n".join(lines)

    def _init(self) -> str:
        house, houses = self._house, self._houses
        lines = [f"(atLocation agent1 {_place_id(0)})"]
        for receptacle in house.receptacles:
            lines.append(f"(receptacleType {receptacle.id} {receptacle.kind}Type)")
            lines.append(f"(receptacleAtLocation {receptacle.id} {_place_id(receptacle.place)})")
            if receptacle.openable:
                lines.append(f"(openable {receptacle.id})")
        otypes = {item.kind for item in house.items}
        for kind in sorted({receptacle.kind for receptacle in house.receptacles}):
            held = sorted(houses.holds.get(kind, frozenset()) & otypes)
            lines += [f"(canContain {kind}Type {otype}Type)" for otype in held]
        for item in house.items:
            lines.append(f"(objectType {item.id} {item.kind}Type)")
            lines.append(f"(inReceptacle {item.id} {item.where.id})")
            lines.append(f"(objectAtLocation {item.id} {_place_id(item.where.place)})")
            lines += [f"({able} {item.id})" for able in sorted(houses.abilities.get(item.kind, ()))]
        return "\n".join(lines)


def _receptacle_id(kind: str, number: int) -> str:
    if kind.endswith("Basin"):
        whole = kind.removesuffix("Basin")
        return f"{whole}_bar_{number:02d}_bar_{kind}"
    return f"{kind}_bar_{number:02d}"


def _place_id(place: int) -> str:
    return f"loc_bar_{place:02d}"
