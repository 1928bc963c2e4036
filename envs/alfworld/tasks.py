"""Which games there are: official ones under `ALFWORLD_DATA`, and generated houses.

Official games are taken as ALFWorld's `AlfredTWEnv` takes them: those with a movable receptacle or a
sliced object are left out, and those that are not known to be solvable.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from envs.alfworld.generator import SPLITS, Generator
from envs.alfworld.goals import KINDS
from envs.serving.tasks import Shown, Split, TaskTable, list_split, number_split

GAME = "game.tw-pddl"
TRAJECTORY = "traj_data.json"
RELEASE = "json_2.1.1"
OFFICIAL_SPLITS = ("train", "valid_train", "valid_seen", "valid_unseen")
SKIPPED = ("movable", "Sliced")


@dataclass(frozen=True)
class OfficialGame:
    """An official game, as the index has it."""

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
        if index != known:
            self._remember(index)

    def splits(self) -> list[str]:
        """The splits that have games."""
        return [split for split, games in self._games.items() if games]

    def games(self, split: str) -> list[OfficialGame]:
        """A split's games, in the order of their ids."""
        return self._games.get(split, [])

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


def make_table(official: OfficialGames | None, generated: int) -> TaskTable[dict[str, Any]]:
    """Return all tasks: the official splits that are there, then the generated ones.

    What a task is played from is what an engine loads: `path`, or `split` and `number`.

    Args:
        official: The official games, scanned; None where there is no data.
        generated: How many houses each generated split has.
    """
    splits: dict[str, Split[dict[str, Any]]] = {}
    if official is not None:
        splits |= {split: _official_split(official.games(split)) for split in official.splits()}
    generator = Generator()
    for split in SPLITS:
        splits[split] = number_split(
            generated, partial(_generated_game, split), partial(_show_house, generator, split)
        )
    return TaskTable(splits)


def _official_split(games: Sequence[OfficialGame]) -> Split[dict[str, Any]]:
    by_name = {game.id.partition("/")[2]: game for game in games}
    listed = list_split(by_name, lambda game: Shown(game.instruction, game.kind))
    return Split(
        count=listed.count,
        names=listed.names,
        has=listed.has,
        find=lambda name: {"path": by_name[name].path},
        describe=listed.describe,
    )


def _generated_game(split: str, number: int) -> dict[str, Any]:
    return {"split": split, "number": number}


def _show_house(generator: Generator, split: str, number: int) -> Shown:
    house = generator.house(split, number)
    return Shown(house.instruction, house.kind.name)
