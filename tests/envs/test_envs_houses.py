"""Generated houses, and the parts of ALFWorld that need no engine."""

import ctypes
import hashlib
import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.alfworld import actions, scoring
from envs.alfworld.generator import SPLITS, TRAIN, VALID, Generator, Names, seed_of, walkthrough
from envs.alfworld.goals import KINDS
from envs.alfworld.houses import LAMP
from envs.alfworld.tasks import OfficialGames, make_table, task_text
from envs.alfworld.textworld.library import loadable_size, trimmed
from envs.serving.environment import UnknownTaskError
from envs.serving.tasks import UNSEEN

NUMBERS = st.integers(0, 1_000_000)


def digest(split: str, number: int) -> str:
    generator = Generator()
    problem = generator.problem(generator.house(split, number))
    return hashlib.sha256(problem.encode()).hexdigest()


def test_a_house_is_the_same_for_ever() -> None:
    # A figure that changes here changes every result that was measured on generated houses.
    assert digest(TRAIN, 0)[:16] == "6702d03c5f82ab7f"
    assert digest(VALID, 4323)[:16] == "ea57e4cad2f998f8"
    assert digest(UNSEEN, 7)[:16] == "3056db1f545c2bb0"


@settings(deadline=None)
@given(NUMBERS, st.sampled_from(SPLITS))
def test_houses_are_reproducible_and_sound(number: int, split: str) -> None:
    generator = Generator()
    house = generator.house(split, number)
    assert digest(split, number) == digest(split, number)
    ids = [each.id for each in (*house.receptacles, *house.items)]
    assert len(ids) == len(set(ids))
    things = [item for item in house.items if item.kind == house.thing]
    assert len(things) >= house.kind.count
    assert all(item.where.kind != house.target for item in things), "the goal is not reached yet"
    if house.target == LAMP:
        lamp = next(item for item in house.items if item.kind == LAMP)
        assert not lamp.where.openable
    else:
        assert any(receptacle.kind == house.target for receptacle in house.receptacles)
    assert house.thing.lower() in house.instruction
    assert len(walkthrough(house)) <= 35


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_no_seed_is_in_two_splits(train: int, valid: int) -> None:
    assert len({seed_of(TRAIN, train), seed_of(VALID, valid), seed_of(UNSEEN, train)}) == 3


def test_no_house_comes_twice() -> None:
    digests = [digest(split, number) for split in SPLITS for number in range(200)]
    assert len(set(digests)) == len(digests)


def test_every_task_type_is_there() -> None:
    generator = Generator()
    for split in (TRAIN, VALID):
        kinds = {generator.house(split, number).kind.name for number in range(60)}
        assert kinds == {kind.name for kind in KINDS}


def test_names_count_down_from_the_first_id() -> None:
    house = Generator().house(TRAIN, 1)
    names = Names(house)
    drawers = sorted(r.id for r in house.receptacles if r.kind == "Cabinet")
    assert [names[each] for each in drawers] == [f"cabinet {n}" for n in range(len(drawers), 0, -1)]
    basin = next(r for r in house.receptacles if r.kind == "SinkBasin")
    assert names[basin.id] == "sinkbasin 1"


def test_task_ids() -> None:
    tasks = make_table(None, 10)
    assert tasks.splits() == [TRAIN, VALID, UNSEEN]
    assert tasks.task(f"{TRAIN}/9").split == TRAIN
    assert tasks.find(f"{VALID}/3") == {"split": VALID, "number": 3}
    for wrong in (
        f"{TRAIN}/10",
        f"{TRAIN}/-1",
        f"{TRAIN}/01",
        f"{TRAIN}/",
        TRAIN,
        "valid_seen/x",
        "",
        "a/b/c",
    ):
        with pytest.raises(UnknownTaskError):
            tasks.task(wrong)
    assert [task.id for task in tasks.page(TRAIN, 8, 99)] == [f"{TRAIN}/8", f"{TRAIN}/9"]


def write_game(root: Path, name: str, kind: str = "pick_and_place_simple", **game: object) -> None:
    folder = root / "json_2.1.1" / "train" / name / "trial_1"
    folder.mkdir(parents=True)
    grammar = '{"task": [{"rhs": "Your task is to: put a mug in desk."}]}'
    folder.joinpath("game.tw-pddl").write_text(json.dumps({"grammar": grammar, "solvable": True} | game))
    folder.joinpath("traj_data.json").write_text(json.dumps({"task_type": kind}))


def test_official_games_are_skipped_as_alfworld_skips_them(tmp_path: Path) -> None:
    write_game(tmp_path, "good")
    write_game(tmp_path, "pick_and_place_with_movable_recep-Mug", "pick_and_place_with_movable_recep")
    write_game(tmp_path, "pick-AppleSliced-None")
    write_game(tmp_path, "unsolvable", solvable=False)
    for _ in ("first", "from the index"):
        games = OfficialGames(tmp_path, tmp_path / "home")
        games.scan()
        assert [game.id for game in games.games("train")] == ["train/good/trial_1"]
        assert games.splits() == ["train"]
        assert games.games("train")[0].instruction == "put a mug in desk."
    write_game(tmp_path, "later")
    games.scan()
    assert len(games.games("train")) == 2


def test_a_library_is_cut_where_loading_ends(tmp_path: Path) -> None:
    find = importlib.util.find_spec("fast_downward")
    if find is None or find.origin is None:
        pytest.skip("the engine is not installed")
    source = Path(find.origin).with_name("libdownward.so")
    cut = trimmed(source, tmp_path / "cache")
    assert cut.stat().st_size < source.stat().st_size / 10
    assert source.read_bytes().startswith(cut.read_bytes())
    assert ctypes.CDLL(str(cut)).get_state_size
    assert trimmed(source, tmp_path / "cache") == cut
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cut.name]


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"\x7fELF\x02\x01" + rest))
@settings(deadline=None)
def test_what_is_no_library_is_left_alone(image: bytes) -> None:
    size = loadable_size(image)
    assert size is None or size >= 0


def test_task_text_of_a_grammar() -> None:
    assert task_text('"rhs": "Your task is to: put two pen in drawer."}') == "put two pen in drawer."
    assert task_text("nothing of the kind") == ""


@pytest.mark.parametrize(
    ("action", "command"),
    [
        ("go to desk 1", "go to desk 1"),
        ("  Go   to DESK 1. ", "go to desk 1"),
        ("put mug 1 in/on desk 1", "move mug 1 to desk 1"),
        ("put mug 1 in desk 1", "move mug 1 to desk 1"),
        ("Put mug 1 on desk 1.", "move mug 1 to desk 1"),
        ("move mug 1 to desk 1", "move mug 1 to desk 1"),
        ("put", "put"),
        ("put mug 1", "put mug 1"),
        ("", ""),
    ],
)
def test_commands(action: str, command: str) -> None:
    assert actions.command(action) == command


@settings(deadline=None)
@given(st.text(max_size=200))
def test_a_command_is_stable(action: str) -> None:
    once = actions.command(action)
    assert "\n" not in once
    assert actions.command(once) == once or once.startswith("move ")


def test_first_observation_and_instruction() -> None:
    text = "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in a room.\n\nYour task is to: put a mug in desk."
    assert scoring.first_observation(text) == "You are in a room.\n\nYour task is to: put a mug in desk."
    assert scoring.instruction(text) == "put a mug in desk."
    assert not scoring.valid("Nothing happens.")
    assert scoring.valid("You arrive at desk 1.")
