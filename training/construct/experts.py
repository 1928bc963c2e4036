"""The scripted players of the environments, in one shape: each move is a thought and an action."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from envs.alfworld.expert import Expert as AlfworldExpert
from envs.alfworld.expert import Prior
from envs.dbbench.expert import Expert as DbExpert
from envs.mind2web.expert import Expert as Mind2webExpert
from envs.os_interaction.expert import Expert as OsExpert
from envs.webshop.expert import FirstFit

Play = Generator["Move", str, None]


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a player."""

    thought: str
    action: str


Player = Callable[[str, str], Play]
"""Makes a player out of the first observation and the instruction."""


class Guiding(Protocol):
    """An expert that can go on from where another player stands."""

    thought: str
    """Why its last action is taken."""

    def follow(self, action: str, shown: str) -> None:
        """Take note of another's step, and of what it showed."""
        ...

    def play(self) -> Generator[str, str, None]:
        """Its actions from here on; it is sent what each showed."""
        ...


Guide = Callable[[str, str], Guiding]
"""Makes an expert out of the first observation and the instruction."""


class UnknownEnvironmentError(LookupError):
    """There is no expert for this environment."""


def players() -> dict[str, Player]:
    """A player an environment."""
    prior = Prior.load()
    return {
        "alfworld": lambda seen, task: _told(AlfworldExpert(seen, task, prior)),
        "webshop": lambda seen, task: _told(FirstFit(seen, task)),
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


def guide(environment: str) -> Guide:
    """The expert that corrects another player's runs.

    Raises:
        UnknownEnvironmentError: There is none.
    """
    if environment != "alfworld":
        raise UnknownEnvironmentError(f"no expert of {environment!r} can correct; alfworld's can")
    prior = Prior.load()
    return lambda seen, task: AlfworldExpert(seen, task, prior)


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
