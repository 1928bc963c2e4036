"""The native engine: ALFWorld's games in this process, without the `alfworld` package.

A game is read once into a `Problem`; a session is a `State` of it, some ten small sets; a step is a
function on them; a fork is a copy. What it shows is what TextWorld shows (`envs.alfworld.comparison`).
"""

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Any

import orjson

from envs.alfworld.generator import Generator
from envs.alfworld.native import state as native_state
from envs.alfworld.native import text as native_text
from envs.alfworld.native.problem import (
    Problem,
    UnsupportedGameError,
    known_logic,
    parse_problem,
    stated_task,
)
from envs.alfworld.native.state import State
from envs.alfworld.scoring import NOTHING
from envs.serving.environment import BadTaskError, InstanceLostError
from envs.serving.instances import Instances
from services.contracts.session import Fork

KEPT_PROBLEMS = 64
"""Games that stay read, some 100 KB each."""


class Game:
    """One game under way."""

    def __init__(self, state: State) -> None:
        self.state = state

    @classmethod
    def begin(cls, problem: Problem) -> "Game":
        """A game at its start."""
        return cls(State(problem))

    @property
    def opening(self) -> str:
        """The first text; read before the first step."""
        return native_text.opening(self.state)

    @property
    def won(self) -> bool:
        """Whether the goal is reached."""
        return self.state.won

    @property
    def admissible_commands(self) -> list[str]:
        """Every command that is possible now, in alphabetical order."""
        problem = self.state.problem
        return sorted({native_text.command(problem, act) for act in native_state.acts(self.state)})

    def step(self, command: str) -> str:
        """Take one action and return its text."""
        act = native_text.read(self.state.problem, command.strip())
        if act is None or not native_state.possible(self.state, act):
            return NOTHING
        native_state.apply(self.state, act)
        return native_text.describe_act(self.state, act)

    def copy(self) -> "Game":
        """An independent game in the same state."""
        return Game(self.state.copy())


def read_official(path: Path) -> Problem:
    """Read an official game file.

    Raises:
        UnsupportedGameError: It is not played as TextWorld would play it.
    """
    game = orjson.loads(path.read_bytes())
    if not known_logic(game["pddl_domain"], game["grammar"]):
        raise UnsupportedGameError("its domain or grammar is not that of json_2.1.1")
    return parse_problem(game["pddl_problem"], stated_task(game["grammar"]))


def read_generated(generator: Generator, split: str, number: int) -> Problem:
    """Lay out a generated house and read it."""
    house = generator.house(split, number)
    return parse_problem(generator.problem(house), house.instruction)


class NativeEngine:
    """The native engine behind the port."""

    name = "native"
    forks = Fork.NATIVE

    def __init__(self) -> None:
        self._generator = Generator()
        self._problems: OrderedDict[str, Problem] = OrderedDict()
        self._live: Instances[Game] = Instances("game")

    async def open(self) -> None:
        """Nothing needs to be started."""

    async def close(self) -> None:
        """Forget every game."""
        self._live.clear()
        self._problems.clear()

    def trouble(self) -> str | None:
        """None: it is always ready."""
        return None

    async def start(self, key: str, game: dict[str, Any]) -> tuple[str, str]:
        """Load a game; see the port."""
        problem = self._problems.get(key)
        if problem is None:
            try:
                problem = await asyncio.to_thread(self._read, game)
            except UnsupportedGameError as error:
                raise BadTaskError(
                    f"The native engine does not play this game ({error}): "
                    "set ESPALIER_ALFWORLD_ENGINE=textworld."
                ) from error
            except (OSError, KeyError, ValueError) as error:
                raise InstanceLostError(f"The game cannot be read: {error}") from error
            self._problems[key] = problem
            if len(self._problems) > KEPT_PROBLEMS:
                self._problems.popitem(last=False)
        else:
            self._problems.move_to_end(key)
        begun = Game.begin(problem)
        return self._live.add(begun), begun.opening

    async def step(self, handle: str, command: str) -> tuple[str, bool]:
        """Take one action; see the port."""
        game = self._live.get(handle)
        return game.step(command), game.won

    async def fork(self, handle: str) -> str:
        """Copy a game under way; see the port."""
        return self._live.add(self._live.get(handle).copy())

    async def end(self, handle: str) -> None:
        """Let a game go."""
        self._live.pop(handle)

    def _read(self, game: dict[str, Any]) -> Problem:
        if "path" in game:
            return read_official(Path(game["path"]))
        return read_generated(self._generator, game["split"], game["number"])
