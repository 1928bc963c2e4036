"""A game's state as facts, and its actions as functions on it.

An action is possible, changes facts and shows a text. Conditions and effects are those of
ALFWorld's `alfred.pddl`; like the reference engine, an arrival where the agent already is, is no action.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from envs.alfworld.native.problem import Facts, Problem

MAKES = {"heat": "ishot", "cool": "iscool", "clean": "isclean"}
UNDOES = {"heat": "iscool", "cool": "ishot"}
ABILITIES = {"heat": "heatable", "cool": "coolable", "clean": "cleanable"}
STATIONS = {
    "heat": frozenset({"microwavetype"}),
    "cool": frozenset({"fridgetype"}),
    "clean": frozenset({"sinkbasintype", "sinktype"}),
}
KNIVES = frozenset({"knifetype", "butterknifetype"})


class State:
    """The facts that are true now."""

    __slots__ = ("facts", "here", "problem", "removed")

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.facts: Facts = {predicate: set(atoms) for predicate, atoms in problem.initial.items()}
        self.removed: set[tuple[str, str]] = set()
        """Objects that were taken out of a receptacle and are not back in it; `look` lists them."""
        ((_, self.here),) = problem.initial["atlocation"]

    def copy(self) -> "State":
        """An independent state with the same facts."""
        twin = State.__new__(State)
        twin.problem, twin.here = self.problem, self.here
        twin.facts = {predicate: atoms.copy() for predicate, atoms in self.facts.items()}
        twin.removed = self.removed.copy()
        return twin

    @property
    def won(self) -> bool:
        """Whether the goal holds."""
        return self.problem.goal.reached(self.facts)

    def has(self, predicate: str, *ident: str) -> bool:
        """Whether a fact of `FLUENT` is true."""
        return ident in self.facts[predicate]

    def near(self) -> tuple[str, ...]:
        """The receptacles within reach, in the order of their ids."""
        return self.problem.near.get(self.here, ())

    def reaches(self, receptacle: str) -> bool:
        """Whether a receptacle is within reach."""
        return self.problem.place_of.get(receptacle) == self.here

    def shut(self, receptacle: str) -> bool:
        """Whether a receptacle is closed; one that does not open is not."""
        return self.problem.able("openable", receptacle) and not self.has("opened", receptacle)

    def inside(self, receptacle: str) -> list[str]:
        """The objects in a receptacle, in the order of their ids."""
        return sorted(item for item, where in self.facts["inreceptacle"] if where == receptacle)

    def held(self) -> list[str]:
        """The objects in the agent's hands, in the order of their ids."""
        return sorted(item for _, item in self.facts["holds"])

    def holds(self, item: str) -> bool:
        """Whether the agent holds an object."""
        return (self.problem.agent, item) in self.facts["holds"]


@dataclass(frozen=True)
class Act:
    """One grounded action."""

    verb: str
    """A key of `CONDITIONS`."""
    first: str = ""
    """The id of what stands first in the command."""
    second: str = ""
    """The id of what stands second."""


def possible(state: State, act: Act) -> bool:
    """Whether an action's conditions hold."""
    return CONDITIONS[act.verb](state, act)


def apply(state: State, act: Act) -> None:
    """Change the facts as a possible action does."""
    effect = EFFECTS.get(act.verb)
    if effect is not None:
        effect(state, act)


def acts(state: State) -> Iterator[Act]:
    """Every action that is possible now; some may come twice."""
    for verb in ("help", "inventory", "look"):
        yield Act(verb)
    for receptacle in state.problem.place_of:
        yield from _if_possible(state, Act("go", receptacle))
    for receptacle in state.near():
        for verb in ("examine", "open", "close"):
            yield from _if_possible(state, Act(verb, receptacle))
        for item in state.inside(receptacle):
            for act in (Act("use", item), Act("take", item, receptacle)):
                yield from _if_possible(state, act)
    for item in state.held():
        yield Act("examine", item)
        for receptacle in state.near():
            for verb in ("move", "heat", "cool", "clean"):
                yield from _if_possible(state, Act(verb, item, receptacle))
        for (other,) in state.problem.static.get("sliceable", ()):
            yield from _if_possible(state, Act("slice", other, item))


def _if_possible(state: State, act: Act) -> Iterator[Act]:
    if possible(state, act):
        yield act


def _always(state: State, act: Act) -> bool:
    return True


def _can_go(state: State, act: Act) -> bool:
    return state.problem.place_of.get(act.first, state.here) != state.here


def _can_open(state: State, act: Act) -> bool:
    return state.reaches(act.first) and state.shut(act.first)


def _can_close(state: State, act: Act) -> bool:
    able = state.problem.able("openable", act.first)
    return able and state.reaches(act.first) and state.has("opened", act.first)


def _can_take(state: State, act: Act) -> bool:
    return (
        state.has("inreceptacle", act.first, act.second)
        and state.reaches(act.second)
        and not state.has("holdsany", state.problem.agent)
        and not state.shut(act.second)
        and state.problem.able("pickupable", act.first)
    )


def _can_move(state: State, act: Act) -> bool:
    return (
        state.holds(act.first)
        and state.reaches(act.second)
        and not state.shut(act.second)
        and state.problem.fits(act.first, act.second)
    )


def _can_use(state: State, act: Act) -> bool:
    # A lamp in a closed receptacle can be used, too: the domain has no such condition.
    return state.problem.able("toggleable", act.first) and any(
        state.has("inreceptacle", act.first, receptacle) for receptacle in state.near()
    )


def _can_treat(state: State, act: Act) -> bool:
    return (
        state.holds(act.first)
        and state.reaches(act.second)
        and state.problem.able(ABILITIES[act.verb], act.first)
        and not STATIONS[act.verb].isdisjoint(state.problem.kinds.get(act.second, ()))
    )


def _can_slice(state: State, act: Act) -> bool:
    return (
        state.holds(act.second)
        and state.problem.able("sliceable", act.first)
        and state.has("objectatlocation", act.first, state.here)
        and not KNIVES.isdisjoint(state.problem.kinds.get(act.second, ()))
    )


def _can_examine(state: State, act: Act) -> bool:
    if act.first in state.problem.receptacles:
        return state.reaches(act.first)
    # The domain means objects within reach, too, but requires that their place be of the type "location,":
    # with that comma there is none.
    return state.holds(act.first)


def _go(state: State, act: Act) -> None:
    state.here = state.problem.place_of[act.first]
    state.facts["atlocation"] = {(state.problem.agent, state.here)}


def _open(state: State, act: Act) -> None:
    state.facts["opened"].add((act.first,))


def _close(state: State, act: Act) -> None:
    state.facts["opened"].discard((act.first,))


def _take(state: State, act: Act) -> None:
    state.facts["inreceptacle"].discard((act.first, act.second))
    state.removed.add((act.first, act.second))
    state.facts["objectatlocation"].discard((act.first, state.here))
    state.facts["holds"].add((state.problem.agent, act.first))
    state.facts["holdsany"].add((state.problem.agent,))


def _move(state: State, act: Act) -> None:
    state.facts["inreceptacle"].add((act.first, act.second))
    state.removed.discard((act.first, act.second))
    state.facts["objectatlocation"].add((act.first, state.here))
    state.facts["holds"].discard((state.problem.agent, act.first))
    state.facts["holdsany"].discard((state.problem.agent,))


def _use(state: State, act: Act) -> None:
    state.facts["istoggled"].add((act.first,))
    state.facts["ison"] ^= {(act.first,)}


def _treat(state: State, act: Act) -> None:
    state.facts[MAKES[act.verb]].add((act.first,))
    undone = UNDOES.get(act.verb)
    if undone is not None:
        state.facts[undone].discard((act.first,))


def _slice(state: State, act: Act) -> None:
    state.facts["issliced"].add((act.first,))


CONDITIONS: Mapping[str, Callable[[State, Act], bool]] = {
    "help": _always,
    "inventory": _always,
    "look": _always,
    "go": _can_go,
    "open": _can_open,
    "close": _can_close,
    "take": _can_take,
    "move": _can_move,
    "use": _can_use,
    "heat": _can_treat,
    "cool": _can_treat,
    "clean": _can_treat,
    "slice": _can_slice,
    "examine": _can_examine,
}
EFFECTS: Mapping[str, Callable[[State, Act], None]] = {
    "go": _go,
    "open": _open,
    "close": _close,
    "take": _take,
    "move": _move,
    "use": _use,
    "heat": _treat,
    "cool": _treat,
    "clean": _treat,
    "slice": _slice,
}
