"""The scripted players of the environments, in one shape: each move is a thought and an action."""

import importlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from envs.registry import Entry, load_environments

Play = Generator["Move", str, None]


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a player."""

    thought: str
    action: str
    taught: bool = True
    """Whether it is to be learned; a slip that is made on purpose is not."""


Player = Callable[[str, str, Any], Play]
"""Makes a player out of the first observation, the instruction and the task's reference, if it has one."""
Finder = Callable[[str], Any]
"""Finds the reference of a task by its id; None where it has none."""


class Guiding(Protocol):
    """An expert that can go on from where another player stands."""

    def follow(self, action: str, shown: str) -> None:
        """Take note of another's step, and of what it showed."""
        ...

    def play(self) -> Generator[Any, str, None]:
        """Its actions or moves from here on; it is sent what each showed."""
        ...


Guide = Callable[[str, str, Any], Guiding]
"""Makes an expert out of the first observation, the instruction and the task's reference, if it has one."""


class UnknownEnvironmentError(LookupError):
    """Raised when an environment has no expert."""


def players() -> dict[str, Player]:
    """Return a player for each environment that has an expert."""
    return {entry.name: _make_player(entry) for entry in load_environments().values() if entry.expert}


def player(environment: str) -> Player:
    """Return the player of an environment.

    Raises:
        UnknownEnvironmentError: It has none.
    """
    known = players()
    if environment not in known:
        raise UnknownEnvironmentError(
            f"there is no expert for {environment!r}; there are: {', '.join(known)}"
        )
    return known[environment]


def guide(environment: str) -> Guide:
    """Return the expert that corrects another player's runs: one that can follow them.

    Raises:
        UnknownEnvironmentError: The environment has none.
    """
    guides = {
        entry.name: _make_guide(entry)
        for entry in load_environments().values()
        if entry.expert and hasattr(_load_expert(entry), "follow")
    }
    if environment not in guides:
        names = ", ".join(guides)
        raise UnknownEnvironmentError(
            f"no expert of {environment!r} can correct another player's runs; those of {names} can"
        )
    return guides[environment]


def is_mistake(expert: Guiding, action: str, shown: str) -> bool:
    """Whether an expert takes another's valid step for a mistake, by what it showed."""
    judge = getattr(expert, "is_mistake", None)
    return judge is not None and judge(action, shown)


def finder(environment: str) -> Finder:
    """Return what finds the reference solutions of an environment's tasks, read as its server reads them."""
    entry = load_environments()[environment]
    if not entry.reference:
        return lambda _: None
    return importlib.import_module(f"{entry.package}.reference").References().find


def find_licence(environment: str, split: str) -> str:
    """Return the licence of the tasks of a split; empty where none is stated."""
    licences = load_environments()[environment].licences
    return licences.get(split, licences.get("", ""))


def _load_expert(entry: Entry) -> Any:
    return getattr(importlib.import_module(f"{entry.package}.expert"), entry.expert)


def _make_guide(entry: Entry) -> Guide:
    expert = _load_expert(entry)
    if entry.reference:
        return expert
    return lambda seen, task, _: expert(seen, task)


def _make_player(entry: Entry) -> Player:
    make = _make_guide(entry)
    return lambda seen, task, reference: play_moves(make(seen, task, reference))


def play_moves(expert: Any) -> Play:
    """Yield an expert's moves, whether it yields actions beside its `thought` or moves that hold both."""
    policy = expert.play()
    move = next(policy, None)
    while move is not None:
        if isinstance(move, str):
            made = Move(expert.thought, move, taught=getattr(expert, "taught", True))
        else:
            made = Move(move.thought, move.action)
        shown = yield made
        try:
            move = policy.send(shown)
        except StopIteration:
            return
