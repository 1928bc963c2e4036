"""A game as the native engine reads it: what never changes in it, and what is true at its start.

Only games that embed ALFWorld's own domain and grammar are read: what the native engine has of
actions and texts is theirs. The digests are of the domain without comments and blanks, and of the
grammar without its task.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from envs.alfworld.native.goal import Goal, GoalError, parse_goal

DOMAINS = frozenset(
    {
        "da18d44ab1bcf831f61e90b88a99ad5766d8bbb562b6f87839b4b6ace4f796fe",
        "54e29bce2933d7dc48c8665e02d86add1d4600082641fbf91807eeb151cb08fa",
    }
)
"""`alfred.pddl` of alfworld 0.4.2, and that of the official json_2.1.1 games."""
GRAMMARS = frozenset(
    {
        "d0ceb176e47b8ecf359c02e76cccd9c41ee8014f8600f271a93b01a5f6e2c18c",
        "ebbfaa254bed54bf5ad713e2adec962547c5ed45042eb122c022642204a7ecca",
    }
)
"""`alfred.twl2` of alfworld 0.4.2, and that of the official json_2.1.1 games."""
FLUENT = frozenset(
    {
        "atlocation",
        "opened",
        "inreceptacle",
        "objectatlocation",
        "holds",
        "holdsany",
        "isclean",
        "ishot",
        "iscool",
        "ison",
        "istoggled",
        "issliced",
    }
)
"""The predicates that actions change and that texts or goals read."""
UNTRACKED = frozenset({"checked", "examined", "wasinreceptacle"})
"""Predicates that no text and no official goal reads."""
SIGNATURES = {
    "receptacleatlocation": ("receptacle", "location"),
    "objectatlocation": ("object", "location"),
    "inreceptacle": ("object", "receptacle"),
    "inreceptacleobject": ("object", "object"),
    "objecttype": ("object", "otype"),
    "receptacletype": ("receptacle", "rtype"),
    "cancontain": ("rtype", "otype"),
    "atlocation": ("agent", "location"),
    "holds": ("agent", "object"),
}
COMMENT = re.compile(r";[^\n]*")
ATOM = re.compile(r"\(([^()]+)\)")
TASK = re.compile(r'(?P<before>Your task is to: )(?P<task>[^"]*)')

Facts = dict[str, set[tuple[str, ...]]]
"""Argument tuples by predicate."""


class UnsupportedGameError(ValueError):
    """Raised when the native engine cannot play a game as TextWorld would; the message has the reason."""


@dataclass(frozen=True)
class Problem:
    """What never changes in a game, and its first facts. Shared by every state of the game."""

    task: str
    """The task as the grammar states it."""
    agent: str
    static: Facts
    initial: Facts
    """The first facts of the predicates in `FLUENT`; copied, never changed."""
    types: dict[str, frozenset[str]]
    """The declared names by type."""
    goal: Goal
    names: dict[str, str]
    """The name in texts by id."""

    @cached_property
    def ids(self) -> dict[str, str]:
        """The id by the name in texts."""
        return {name: ident for ident, name in self.names.items()}

    @cached_property
    def receptacles(self) -> frozenset[str]:
        """Everything that is a receptacle."""
        return self.types.get("receptacle", frozenset())

    @cached_property
    def place_of(self) -> dict[str, str]:
        """The location of a receptacle, in the order of the receptacles' ids."""
        return {atom[0]: atom[1] for atom in sorted(self.static.get("receptacleatlocation", ()))}

    @cached_property
    def near(self) -> dict[str, tuple[str, ...]]:
        """The receptacles of a location, in the order of their ids."""
        found: dict[str, list[str]] = {}
        for ident, place in self.place_of.items():
            found.setdefault(place, []).append(ident)
        return {place: tuple(idents) for place, idents in found.items()}

    @cached_property
    def kinds(self) -> dict[str, frozenset[str]]:
        """The object and receptacle types by id."""
        found: dict[str, set[str]] = {}
        for predicate in ("objecttype", "receptacletype"):
            for ident, kind in self.static.get(predicate, ()):
                found.setdefault(ident, set()).add(kind)
        return {ident: frozenset(kinds) for ident, kinds in found.items()}

    def able(self, ability: str, ident: str) -> bool:
        """Whether a static predicate of one argument holds, such as `openable`."""
        return (ident,) in self.static.get(ability, ())

    def fits(self, item: str, receptacle: str) -> bool:
        """Whether a receptacle's type can contain an object's."""
        held = self.static.get("cancontain", ())
        return any(
            (outer, inner) in held
            for outer in self.kinds.get(receptacle, ())
            for inner in self.kinds.get(item, ())
        )


def known_logic(domain: str, grammar: str) -> bool:
    """Whether a game embeds a domain and a grammar that the native engine plays."""
    plain = " ".join(COMMENT.sub("", domain).lower().split())
    blank = " ".join(TASK.sub(r"\g<before>", grammar, count=1).split())
    return _digest(plain) in DOMAINS and _digest(blank) in GRAMMARS


def parse_problem(text: str, task: str) -> Problem:
    """Read a PDDL problem of ALFWorld's domain.

    Args:
        text: The problem.
        task: The task as the grammar states it.

    Raises:
        UnsupportedGameError: It is not of the form that ALFWorld's games have.
    """
    text = COMMENT.sub("", text).lower()
    try:
        start, init, goal = (text.index(mark) for mark in ("(:objects", "(:init", "(:goal"))
    except ValueError as error:
        raise UnsupportedGameError("the problem has no objects, init or goal") from error
    if not start < init < goal:
        raise UnsupportedGameError("the problem's objects, init and goal are not in this order")
    types = _types(text[start + len("(:objects") : init])
    static, initial = _facts(text[init + len("(:init") : goal])
    agent = _check(types, static, initial)
    try:
        reached = parse_goal(text[goal:], types, static, FLUENT, UNTRACKED)
    except GoalError as error:
        raise UnsupportedGameError(f"goal: {error}") from error
    entities = {
        ident for facts in (static, initial) for atoms in facts.values() for atom in atoms for ident in atom
    }
    return Problem(task, agent, static, initial, types, reached, _names(entities))


def stated_task(grammar: str) -> str:
    """The task as a grammar states it; empty where it states none."""
    found = TASK.search(grammar)
    return found["task"] if found else ""


def _types(declared: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    waiting: list[str] = []
    words = iter(declared.replace(")", " ").split())
    for word in words:
        if word == "-":
            found.setdefault(next(words, ""), set()).update(waiting)
            waiting.clear()
        else:
            waiting.append(word)
    return {kind: frozenset(idents) for kind, idents in found.items()}


def _facts(text: str) -> tuple[Facts, Facts]:
    static: Facts = {}
    initial: Facts = {predicate: set() for predicate in FLUENT}
    for atom in ATOM.findall(text):
        predicate, *arguments = atom.split()
        facts = initial if predicate in FLUENT else static
        facts.setdefault(predicate, set()).add(tuple(arguments))
    return static, initial


def _check(types: dict[str, frozenset[str]], static: Facts, initial: Facts) -> str:
    """Refuse what would need more than this engine has; return the agent."""
    for predicate, kinds in SIGNATURES.items():
        for atom in (*static.get(predicate, ()), *initial.get(predicate, ())):
            if len(atom) != len(kinds) or any(
                ident not in types.get(kind, ()) for ident, kind in zip(atom, kinds, strict=True)
            ):
                raise UnsupportedGameError(f"({predicate} {' '.join(atom)}) is not of the declared types")
    agents = [agent for agent, _ in initial["atlocation"]]
    if len(agents) != 1 or types.get("agent") != frozenset(agents):
        raise UnsupportedGameError("a game has one agent, at one location")
    placed = Counter(receptacle for receptacle, _ in static.get("receptacleatlocation", ()))
    if placed and max(placed.values()) > 1:
        raise UnsupportedGameError("a receptacle stands at one location")
    return agents[0]


def _names(entities: set[str]) -> dict[str, str]:
    """Number the things of each class: the first id in sorted order gets the highest number.

    The rule is that of alfworld's `Demangler`: an id's class is what stands before its first `_bar_`,
    with "basin" added where the id has that word anywhere; an id without `_bar_` has no number.
    """
    classes = {ident: _class(ident) for ident in sorted(entities)}
    left = Counter(name for ident, name in classes.items() if "_bar_" in ident)
    names: dict[str, str] = {}
    for ident, name in classes.items():
        if "_bar_" not in ident:
            names[ident] = f"{name} "
            continue
        names[ident] = f"{name} {left[name]}"
        left[name] -= 1
    return names


def _class(ident: str) -> str:
    name, bar, _ = ident.partition("_bar_")
    for mangled, plain in (("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ",")):
        name = name.replace(mangled, plain)
    return f"{name}basin" if bar and "basin" in ident else name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
