"""The commands that a comparison of engines plays: random ones, impossible ones, and schemes.

A scheme reads the whole state and makes things happen that chance seldom does: it heats, cools,
cleans and slices, examines what came of it, and shifts things between receptacles of one place.
"""

import random
from collections.abc import Iterator

from envs.alfworld.native.engine import Game
from envs.alfworld.native.state import ABILITIES, KNIVES, STATIONS, State

PROBES = ("look", "inventory", "help")
NONSENSE = ("", "dance", "go to", "go to nowhere 1", "take", "open agent1", "examine", "look around", "put x")


class Moves:
    """Commands for one game.

    Args:
        rng: What is drawn from.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def probe(self, game: Game) -> str:
        """A command that changes nothing."""
        return self._rng.choice((*PROBES, f"examine {self._rng.choice(_names(game))}"))

    def anything(self, game: Game) -> str:
        """A random command, most often a possible one."""
        rng = self._rng
        if rng.random() < 0.15:
            return self.impossible(game)
        commands = game.admissible_commands
        # By verb first: else most would be arrivals.
        verbs: dict[str, list[str]] = {}
        for command in commands:
            verbs.setdefault(command.split()[0], []).append(command)
        for verb in ("help", "inventory"):
            if rng.random() < 0.7:
                verbs.pop(verb, None)
        return rng.choice(verbs[rng.choice(sorted(verbs))])

    def impossible(self, game: Game) -> str:
        """A command of no meaning, or of random names."""
        rng = self._rng
        if rng.random() < 0.3:
            return rng.choice(NONSENSE)
        one, two = rng.choice(_names(game)), rng.choice(_names(game))
        forms = (
            *(f"{verb} {one}" for verb in ("go to", "open", "close", "use", "examine", "go")),
            *(f"{verb} {one} with {two}" for verb in ("heat", "cool", "clean", "slice")),
            f"take {one} from {two}",
            f"move {one} to {two}",
            f"put {one} in/on {two}",
            f" look {one}",
        )
        return rng.choice(forms)

    def scheme(self, game: Game) -> Iterator[str]:
        """Commands that treat a random object and shift it about; some may be impossible."""
        state = game.state
        placed = sorted(state.facts["inreceptacle"])
        able = state.problem.able
        treatable = [
            (item, where)
            for item, where in placed
            if any(able(ability, item) for ability in (*ABILITIES.values(), "sliceable", "toggleable"))
        ]
        if not treatable:
            return
        item, where = self._rng.choice(treatable)
        if self._rng.random() < 0.3:
            cuttable = [(item, where) for item, where in treatable if able("sliceable", item)]
            item, where = self._rng.choice(cuttable or treatable)
        name = state.problem.names[item]
        if able("sliceable", item):
            yield from self._slice(state, item, where)
        if able("toggleable", item):
            yield from (*_reach(state, where), f"use {name}", f"use {name}")
        yield from self._fetch(state, item, where)
        treatments = [verb for verb, ability in ABILITIES.items() if able(ability, item)]
        self._rng.shuffle(treatments)
        for verb in treatments:
            for station in _of_kinds(state, STATIONS[verb])[:1]:
                yield f"go to {state.problem.names[station]}"
                yield f"{verb} {name} with {state.problem.names[station]}"
                yield f"examine {name}"
        yield from self._shift(state, item)

    def _slice(self, state: State, item: str, where: str) -> Iterator[str]:
        knives = [(each, place) for each, place in sorted(state.facts["inreceptacle"]) if _sharp(state, each)]
        if not knives:
            return
        knife, place = self._rng.choice(knives)
        names = state.problem.names
        yield from self._fetch(state, knife, place)
        yield from _reach(state, where)
        yield f"slice {names[item]} with {names[knife]}"
        yield f"move {names[knife]} to {names[where]}"
        yield "look"

    def _fetch(self, state: State, item: str, where: str) -> Iterator[str]:
        names = state.problem.names
        for held in state.held():
            for receptacle in self._holders(state, held)[:1]:
                yield from _reach(state, receptacle)
                yield f"move {names[held]} to {names[receptacle]}"
        yield from _reach(state, where)
        yield f"take {names[item]} from {names[where]}"
        yield f"examine {names[item]}"

    def _shift(self, state: State, item: str) -> Iterator[str]:
        """Put it down, take it up, and put it beside, where two receptacles stand together."""
        names, near = state.problem.names, state.problem.near
        holders = self._holders(state, item)
        together = [r for r in holders if len(near.get(state.problem.place_of.get(r, ""), ())) > 1]
        for receptacle in (together or holders)[:1]:
            yield from _reach(state, receptacle)
            for other in (receptacle, *state.near(), receptacle):
                yield f"open {names[other]}"
                yield f"move {names[item]} to {names[other]}"
                yield self._rng.choice(("look", f"examine {names[other]}", f"examine {names[item]}"))
                yield f"take {names[item]} from {names[other]}"
                yield "look"

    def _holders(self, state: State, item: str) -> list[str]:
        holders = [each for each in state.problem.place_of if state.problem.fits(item, each)]
        self._rng.shuffle(holders)
        return holders


def _names(game: Game) -> list[str]:
    return [name for name in game.state.problem.names.values() if name[-1].isdigit()]


def _reach(state: State, receptacle: str) -> Iterator[str]:
    name = state.problem.names[receptacle]
    yield f"go to {name}"
    if state.shut(receptacle):
        yield f"open {name}"


def _of_kinds(state: State, kinds: frozenset[str]) -> list[str]:
    return [
        each for each in state.problem.place_of if not kinds.isdisjoint(state.problem.kinds.get(each, ()))
    ]


def _sharp(state: State, item: str) -> bool:
    return not KNIVES.isdisjoint(state.problem.kinds.get(item, ()))
