"""The native engine: it shows what TextWorld shows, and what it does beyond that."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from envs.alfworld.generator import TRAIN, Generator, walkthrough
from envs.alfworld.native.engine import KEPT_PROBLEMS, Game, NativeEngine, read_generated, read_official
from envs.alfworld.native.goal import GoalError, parse_goal
from envs.alfworld.native.problem import UnsupportedGameError, parse_problem
from envs.serving.environment import BadTaskError, InstanceLostError

ROOT = Path(__file__).parents[2]
TREATMENTS = {"heat", "cool", "clean", "slice", "use", "open", "close", "take", "move", "examine", "nothing"}
TYPES = {
    "object": frozenset({"mug1", "mug2", "cup1"}),
    "receptacle": frozenset({"desk1", "shelf1"}),
}
STATIC = {
    "objecttype": {("mug1", "mugtype"), ("mug2", "mugtype"), ("cup1", "cuptype")},
    "receptacletype": {("desk1", "desktype"), ("shelf1", "shelftype")},
}


def compare(*options: str) -> dict[str, Any]:
    outcome = subprocess.run(
        [sys.executable, "-m", "envs.alfworld.comparison.compare", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


def test_it_shows_what_textworld_shows(tmp_path: Path, official_data: Path) -> None:
    pytest.importorskip("textworld")
    found = compare(
        *("--data", str(official_data), "--games", "12", "--generated", "4", "--steps", "100"),
        *("--seed", "20", "--cache", str(tmp_path)),
    )
    assert found["differences"] == 0
    assert found["steps"] >= 1_500
    assert len(found["kinds"]) == 6
    assert found["won"] >= 20
    assert set(found["verbs"]) >= TREATMENTS


def test_it_shows_what_textworld_shows_without_its_memory_of_commands(tmp_path: Path) -> None:
    pytest.importorskip("textworld")
    found = compare("--generated", "2", "--steps", "30", "--plain", "--cache", str(tmp_path))
    assert (found["games"], found["differences"]) == (2, 0)


@pytest.mark.verify
@pytest.mark.skipif(os.environ.get("ESPALIER_VERIFY") != "1", reason="ESPALIER_VERIFY=1 compares every game")
def test_it_shows_what_textworld_shows_on_every_game(tmp_path: Path, official_data: Path) -> None:
    """Some 75 minutes; a run that was cut short goes on where it was. A budget of steps makes it shorter."""
    every = official_data.with_name("alfworld-all")
    if not (every / "unpacked").exists():
        unpack = Path(os.environ.get("ESPALIER_TEST_DATA", ROOT / ".." / "shared" / "data"))
        subprocess.run([sys.executable, str(unpack / "unpack_alfworld.py"), str(every)], check=True)
        (every / "unpacked").touch()
    found = compare(
        *("--data", str(every), "--generated", "400", "--steps", "70", "--cache", str(tmp_path)),
        *("--budget", os.environ.get("ESPALIER_VERIFY_STEPS", "0")),
        *("--out", str(ROOT / ".espalier" / "alfworld-compare" / "verify.jsonl")),
    )
    assert found["differences"] == 0


def test_every_official_walkthrough_at_hand_wins(official_data: Path) -> None:
    for path in sorted(official_data.rglob("game.tw-pddl")):
        game = Game.begin(read_official(path))
        for command in json.loads(path.read_text())["walkthrough"]:
            assert not game.won
            game.step(command)
        assert game.won, path


async def test_a_fork_is_a_copy() -> None:
    engine = NativeEngine()
    house = Generator().house(TRAIN, 3)
    *before, last = walkthrough(house)
    handle, text = await engine.start("3", {"split": TRAIN, "number": 3})
    assert house.instruction in text
    for command in before:
        assert not (await engine.step(handle, command))[1]
    forks = [await engine.fork(handle) for _ in range(3)]
    assert (await engine.step(forks[0], last))[1]
    assert not (await engine.step(handle, "look"))[1]
    assert await engine.step(forks[1], last) == await engine.step(handle, last)
    await engine.end(handle)
    with pytest.raises(InstanceLostError):
        await engine.step(handle, "look")
    with pytest.raises(InstanceLostError):
        await engine.fork(handle)
    assert (await engine.step(forks[2], last))[1]


async def test_it_keeps_nothing_of_games_that_ended() -> None:
    engine = NativeEngine()
    for number in range(KEPT_PROBLEMS + 20):
        handle, _ = await engine.start(str(number), {"split": TRAIN, "number": number})
        await engine.step(handle, "look")
        await engine.end(handle)
    assert (len(engine._live), len(engine._problems)) == (0, KEPT_PROBLEMS)


def in_other_words(data: Path) -> str:
    return next(data.rglob("game.tw-pddl")).read_text().replace("You arrive at", "You come to")


async def test_a_game_of_another_domain_is_refused(tmp_path: Path, official_data: Path) -> None:
    other = tmp_path / "game.tw-pddl"
    other.write_text(in_other_words(official_data))
    with pytest.raises(BadTaskError, match="domain or grammar"):
        await NativeEngine().start("other", {"path": str(other)})
    with pytest.raises(InstanceLostError, match="cannot be read"):
        await NativeEngine().start("none", {"path": str(tmp_path / "none")})


def test_what_was_shifted_here_is_seen_beside_it() -> None:
    game = Game.begin(read_generated(Generator(), TRAIN, _house_with_neighbours()))
    problem = game.state.problem
    item, here, there = next(
        (item, here, there)
        for item, here in sorted(game.state.facts["inreceptacle"])
        for there in problem.near[problem.place_of[here]]
        if there != here and problem.fits(item, there) and problem.able("pickupable", item)
    )
    names = problem.names
    for command in (
        f"go to {names[here]}",
        f"open {names[here]}",
        f"open {names[there]}",
        f"take {names[item]} from {names[here]}",
    ):
        game.step(command)
    assert game.step("look").endswith("Next to it, you see nothing.")
    assert game.step(f"move {names[item]} to {names[there]}") != "Nothing happens."
    assert game.step("look").endswith(f"Next to it, you see a {names[item]}.")


def _house_with_neighbours() -> int:
    for number in range(100):
        problem = read_generated(Generator(), TRAIN, number)
        for item, here in problem.initial["inreceptacle"]:
            near = problem.near[problem.place_of[here]]
            able = problem.able("pickupable", item)
            if able and any(there != here and problem.fits(item, there) for there in near):
                return number
    raise AssertionError("no house has two receptacles at one place")


def reached(goal: str, **facts: set[tuple[str, ...]]) -> bool:
    fluent = {"inreceptacle": set[tuple[str, ...]](), "holds": set[tuple[str, ...]]()}
    return parse_goal(goal, TYPES, STATIC, fluent, {"checked"}).reached(fluent | facts)


def test_a_goal_of_two_objects_wants_two_in_one_place() -> None:
    goal = """(:goal (and (exists (?r - receptacle) (exists (?o1 - object) (and
        (objecttype ?o1 mugtype) (receptacletype ?r desktype) (inreceptacle ?o1 ?r)
        (exists (?o2 - object) (and (not (= ?o1 ?o2)) (objecttype ?o2 mugtype) (inreceptacle ?o2 ?r))))))))"""
    assert not reached(goal)
    assert not reached(goal, inreceptacle={("mug1", "desk1")})
    assert not reached(goal, inreceptacle={("mug1", "desk1"), ("mug2", "shelf1")})
    assert not reached(goal, inreceptacle={("mug1", "desk1"), ("cup1", "desk1")})
    assert reached(goal, inreceptacle={("mug1", "desk1"), ("mug2", "desk1")})


def test_closed_goals_are_reached_each_by_itself() -> None:
    goal = """(:goal (and (exists (?o - object) (and (objecttype ?o cuptype) (holds agent1 ?o)))
        (exists (?o - object ?r - receptacle) (and (objecttype ?o mugtype) (not (holds agent1 ?o))
        (inreceptacle ?o ?r)))))"""
    assert not reached(goal, holds={("agent1", "cup1")})
    assert reached(goal, holds={("agent1", "cup1")}, inreceptacle={("mug2", "shelf1")})


@pytest.mark.parametrize(
    "goal",
    [
        "(:goal (or (holds agent1 mug1) (holds agent1 mug2)))",
        "(:goal (forall (?o - object) (holds agent1 ?o)))",
        "(:goal (exists (?o - object) (checked ?o)))",
        "(:goal (exists (?o - object) (not (holds agent1 ?o))))",
        "(:goal (holds agent1 ?o))",
        "(:goal (exists (?o) (holds agent1 ?o)))",
        "(:goal (holds agent1 mug1)",
        "(:goal)",
    ],
)
def test_goals_of_other_forms_are_refused(goal: str) -> None:
    with pytest.raises(GoalError):
        reached(goal)


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        (("(:goal", "(:aim"), "no objects, init or goal"),
        (("(atLocation agent1 loc_bar_00)", ""), "one agent"),
        (("(atLocation agent1 loc_bar_00)", "(atLocation agent1 nowhere)"), "declared types"),
    ],
)
def test_problems_of_other_forms_are_refused(cut: tuple[str, str], why: str) -> None:
    generator = Generator()
    text = generator.problem(generator.house(TRAIN, 0))
    assert cut[0] in text
    with pytest.raises(UnsupportedGameError, match=why):
        parse_problem(text.replace(*cut), "")


def test_random_play_never_breaks_it() -> None:
    rng = random.Random(20)
    for number in range(20):
        game = Game.begin(read_generated(Generator(), TRAIN, number))
        for _ in range(60):
            commands = game.admissible_commands
            assert commands == sorted(set(commands))
            assert game.step(rng.choice(commands)) != "Nothing happens."
