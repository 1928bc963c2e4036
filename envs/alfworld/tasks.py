"""Which games there are: official ones under `ALFWORLD_DATA`, and generated houses.

Official games are taken as ALFWorld's `AlfredTWEnv` takes them: those with a movable receptacle or a
sliced object are left out, and those that are not known to be solvable.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from envs.alfworld.generator import SPLITS, Generator
from envs.alfworld.goals import KINDS
from envs.serving.environment import UnknownTaskError
from services.contracts.task import Task

GAME = "game.tw-pddl"
TRAJECTORY = "traj_data.json"
RELEASE = "json_2.1.1"
OFFICIAL_SPLITS = ("train", "valid_train", "valid_seen", "valid_unseen")
SKIPPED = ("movable", "Sliced")


@dataclass(frozen=True)
class OfficialGame:
    """An official game as the index knows it."""

    id: str
    path: str
    kind: str
    instruction: str


class OfficialGames:
    """The official tree, indexed once and remembered in a file.

    Args:
        data: The folder that holds `json_2.1.1`, or that folder itself.
        home: Where the index is kept.
    """

    def __init__(self, data: Path, home: Path) -> None:
        self._root = data / RELEASE if (data / RELEASE).is_dir() else data
        self._index = home / "cache" / "alfworld-index.json"
        self._games: dict[str, list[OfficialGame]] = {}
        self._by_id: dict[str, OfficialGame] = {}

    def scan(self) -> None:
        """Read the tree; slow the first time (some 2 ms a game), quick when the index is there."""
        known = self._remembered()
        index: dict[str, dict[str, str] | None] = {}
        for split in self._splits_there():
            found: list[OfficialGame] = []
            for path in sorted(self._root.joinpath(split).rglob(GAME)):
                stamp = path.stat()
                mark = f"{path.resolve()}|{stamp.st_size}|{stamp.st_mtime_ns}"
                fields = known[mark] if mark in known else self._fields(split, path)
                index[mark] = fields
                if fields is not None:
                    found.append(OfficialGame(**fields))
            self._games[split] = found
        self._by_id = {game.id: game for games in self._games.values() for game in games}
        if index != known:
            self._remember(index)

    def splits(self) -> list[str]:
        """The splits that have games."""
        return [split for split, games in self._games.items() if games]

    def games(self, split: str) -> list[OfficialGame]:
        """A split's games, in the order of their ids."""
        return self._games.get(split, [])

    def get(self, task_id: str) -> OfficialGame | None:
        """A game by its task id."""
        return self._by_id.get(task_id)

    def _splits_there(self) -> list[str]:
        return [split for split in OFFICIAL_SPLITS if self._root.joinpath(split).is_dir()]

    def _fields(self, split: str, path: Path) -> dict[str, str] | None:
        game = self._read(split, path)
        return None if game is None else asdict(game)

    def _read(self, split: str, path: Path) -> OfficialGame | None:
        trajectory = path.with_name(TRAJECTORY)
        if any(word in str(path.parent.relative_to(self._root)) for word in SKIPPED):
            return None
        if not trajectory.is_file():
            return None
        kind = json.loads(trajectory.read_text())["task_type"]
        game = json.loads(path.read_text())
        if kind not in {known.name for known in KINDS} or not game.get("solvable"):
            return None
        name = path.parent.relative_to(self._root / split).as_posix()
        return OfficialGame(f"{split}/{name}", str(path), kind, task_text(game["grammar"]))

    def _remembered(self) -> dict[str, dict[str, str] | None]:
        try:
            return json.loads(self._index.read_text())
        except (OSError, ValueError):
            return {}

    def _remember(self, index: dict[str, dict[str, str] | None]) -> None:
        self._index.parent.mkdir(parents=True, exist_ok=True)
        part = self._index.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(index))
        part.replace(self._index)


def task_text(grammar: str) -> str:
    """The task that a game's grammar states; the grammar's strings are JSON."""
    _, _, rest = grammar.partition("Your task is to: ")
    return rest.partition('"')[0].strip()


class AlfworldTasks:
    """All tasks: the official splits that are there, then the generated ones.

    Args:
        official: The official games, scanned; None where there is no data.
        generated: How many houses each generated split has.
    """

    def __init__(self, official: OfficialGames | None, generated: int) -> None:
        self._official = official
        self._generated = generated
        self._generator = Generator()

    def splits(self) -> list[str]:
        """The splits that can be played."""
        official = self._official.splits() if self._official else []
        return [*official, *(SPLITS if self._generated else ())]

    def count(self, split: str) -> int:
        """How many tasks a split has."""
        if split in SPLITS:
            return self._generated
        return len(self._official.games(split)) if self._official else 0

    def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        if split in SPLITS:
            return [self._house(split, number) for number in range(start, min(stop, self._generated))]
        games = self._official.games(split)[start:stop] if self._official else []
        return [self._task(split, game) for game in games]

    def get(self, task_id: str) -> Task:
        """One task.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        split, _, rest = task_id.partition("/")
        if split in SPLITS:
            if not (rest.isascii() and rest.isdigit()) or str(int(rest[:12])) != rest:
                raise UnknownTaskError(task_id)
            if int(rest) >= self._generated:
                raise UnknownTaskError(task_id)
            return self._house(split, int(rest))
        game = self._official.get(task_id) if self._official else None
        if game is None:
            raise UnknownTaskError(task_id)
        return self._task(split, game)

    def game(self, task: Task) -> dict[str, Any]:
        """What a worker loads for a task."""
        if task.split in SPLITS:
            return {"split": task.split, "number": int(task.id.rpartition("/")[2])}
        game = self._official.get(task.id) if self._official else None
        if game is None:
            raise UnknownTaskError(task.id)
        return {"path": game.path}

    def _house(self, split: str, number: int) -> Task:
        house = self._generator.house(split, number)
        return Task(id=f"{split}/{number}", split=split, instruction=house.instruction, kind=house.kind.name)

    def _task(self, split: str, game: OfficialGame) -> Task:
        return Task(id=game.id, split=split, instruction=game.instruction, kind=game.kind)
