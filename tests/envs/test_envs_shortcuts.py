"""The engine with its shortcuts shows what it shows without them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from envs.alfworld.generator import TRAIN, Generator, walkthrough

pytest.importorskip("textworld")
PLAY = """
import json, sys
from pathlib import Path
from envs.alfworld.textworld import shortcuts
from envs.alfworld.textworld.worker import Games

if sys.argv[1] == "short":
    shortcuts.install(Path(sys.argv[2]))
games = Games()
shown = []
for number, commands in json.loads(sys.argv[3]):
    for again in range(2):
        handle = f"{number} {again}"
        shown.append(vars(games.start(handle, {"split": "generated_train", "number": number})))
        shown += [vars(games.step(handle, command)) for command in commands]
        games.end(handle)
print(json.dumps(shown))
"""


def play(mode: str, cache: Path, houses: str) -> list[dict[str, object]]:
    found = subprocess.run(
        [sys.executable, "-c", PLAY, mode, str(cache), houses], check=True, capture_output=True, text=True
    )
    return json.loads(found.stdout)


def test_shortcuts_change_nothing_that_is_shown(tmp_path: Path) -> None:
    generator = Generator()
    houses: list[tuple[int, list[str]]] = []
    for kind in ("pick_clean_then_place_in_recep", "look_at_obj_in_light"):
        number = next(n for n in range(100) if generator.house(TRAIN, n).kind.name == kind)
        commands = walkthrough(generator.house(TRAIN, number))
        between = ["look", "inventory", "dance", "examine drawer 1"]
        mixed = [each for pair in zip(commands, between * 5, strict=False) for each in reversed(pair)]
        houses.append((number, mixed))
    plain, short = (play(mode, tmp_path, json.dumps(houses)) for mode in ("plain", "short"))
    assert [step["won"] for step in plain].count(True) == 4, "two houses, won twice each"
    assert short == plain
