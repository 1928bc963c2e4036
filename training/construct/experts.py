"""The scripted players of the environments, in one shape: each move is a thought and an action."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from envs.alfworld.expert import Expert as AlfworldExpert
from envs.alfworld.expert import Prior
from envs.dbbench.expert import Expert as DbExpert
from envs.mind2web.expert import Expert as Mind2webExpert
from envs.os_interaction.expert import Expert as OsExpert
from envs.webshop.expert import Expert as WebshopExpert

Play = Generator["Move", str, None]


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a player."""

    thought: str
    action: str


Player = Callable[[str, str], Play]
"""Makes a player out of the first observation and the instruction."""


class UnknownEnvironmentError(LookupError):
    """There is no expert for this environment."""


def players() -> dict[str, Player]:
    """A player an environment."""
    prior = Prior.load()
    return {
        "alfworld": lambda seen, task: _told(AlfworldExpert(seen, task, prior)),
        "webshop": lambda seen, task: _told(WebshopExpert(seen, task, reads=False)),
        "mind2web": lambda seen, task: _told(Mind2webExpert(seen, task)),
        "os_interaction": lambda seen, task: _told(OsExpert(seen, task)),
        "dbbench": lambda seen, task: _told(DbExpert(seen, task)),
    }


def player(environment: str) -> Player:
    """The player of an environment.

    Raises:
        UnknownEnvironmentError: There is none.
    """
    known = players()
    if environment not in known:
        raise UnknownEnvironmentError(
            f"there is no expert for {environment!r}; there are: {', '.join(known)}"
        )
    return known[environment]


def _told(expert: Any) -> Play:
    """An expert's moves, whichever way it gives its thoughts."""
    policy = expert.play()
    move = next(policy, None)
    while move is not None:
        told = Move(expert.thought, move) if isinstance(move, str) else Move(move.thought, move.action)
        shown = yield told
        try:
            move = policy.send(shown)
        except StopIteration:
            return
