"""The split `generated_unseen`: kinds of tasks that no other generated split has."""

import hashlib
import json
import re
from collections.abc import Callable
from functools import cache

import pytest

from envs.alfworld.generator import SPLITS, TRAIN, VALID, Generator
from envs.alfworld.houses import Houses
from envs.mind2web.flows import FOLDER
from envs.mind2web.generator import Generator as Sites
from envs.mind2web.tasks import make_table
from envs.serving.tasks import UNSEEN, Split, is_unseen
from envs.webshop.generator import GOODS
from envs.webshop.generator import Generator as Goods
from envs.webshop.goals import goals_of
from envs.webshop.settings import WebshopSettings
from envs.webshop.tasks import Errand, generated_tasks

SHOP = WebshopSettings(webshop_data=None, webshop_generated=120)


def room(split: str, number: int) -> str:
    return Generator().house(split, number).room


def site(split: str, number: int) -> str:
    return Sites().visit(split, number)[0].kind


@cache
def shop() -> dict[str, Split[Errand]]:
    return generated_tasks(SHOP)


def goods(split: str, number: int) -> str:
    tasks = shop()[split]
    return tasks.find(list(tasks.names(0, 200))[number]).goal.query


ROOMS = set(Houses.load().rooms)
SITES = set(re.findall(r"^# (.+)$", (FOLDER / "flows.txt").read_text(), re.MULTILINE))
KINDS = {kind["query"] for kind in json.loads(GOODS.read_text())["kinds"]}


@pytest.mark.parametrize("kinds", [ROOMS, SITES, KINDS])
def test_about_a_quarter_of_the_kinds_is_unseen(kinds: set[str]) -> None:
    unseen = {kind for kind in kinds if is_unseen(kind)}
    assert unseen == {kind for kind in kinds if int(hashlib.sha256(kind.encode()).hexdigest(), 16) % 4 == 0}
    assert 0.2 <= len(unseen) / len(kinds) <= 0.35


@pytest.mark.parametrize(("kind_of", "kinds"), [(room, ROOMS), (site, SITES), (goods, KINDS)])
def test_the_splits_part_the_kinds(kind_of: Callable[[str, int], str], kinds: set[str]) -> None:
    for split in SPLITS:
        found = {kind_of(split, number) for number in range(60)}
        assert found <= kinds
        assert {is_unseen(kind) for kind in found} == {split == UNSEEN}, split
        assert len(found) >= min(6, sum(is_unseen(kind) == (split == UNSEEN) for kind in kinds))


@pytest.mark.parametrize(
    ("split", "number", "digest"),
    [(TRAIN, 0, "c757f3bf"), (TRAIN, 1, "fc91ec32"), (VALID, 0, "5afb674f"), (VALID, 2, "e1a2caa9")],
)
def test_numbers_of_seen_kinds_keep_their_tasks(split: str, number: int, digest: str) -> None:
    # As they were when every kind was in both splits; `test_a_house_is_the_same_for_ever` has ALFWorld's.
    task = Sites().visit(split, number)[0].task
    assert hashlib.sha256(task.encode()).hexdigest()[:8] == digest


def test_numbers_of_a_shop_are_positions_among_all_kinds() -> None:
    splits = shop()
    goals = goals_of(Goods(SHOP.webshop_seed).products(120))
    names = {split: list(splits[split].names(0, 10_000)) for split in SPLITS}
    assert sum(map(len, names.values())) == len(goals)
    assert names[UNSEEN] == [str(number) for number in range(len(names[UNSEEN]))]
    held = [goal for goal in goals if int(hashlib.sha256(goal.asin.encode()).hexdigest(), 16) % 4 == 0]
    for name in names[VALID]:
        assert splits[VALID].find(name).goal == held[int(name)]
    missing = next(number for number in range(len(held)) if str(number) not in names[VALID])
    assert not splits[VALID].has(str(missing))
    assert is_unseen(held[missing].query)


def test_unseen_steps_are_listed() -> None:
    table = make_table({}, 3)
    assert [task.id for task in table.page(UNSEEN, 0, 9)] == [f"{UNSEEN}/{number}" for number in range(3)]
    assert table.find(f"{UNSEEN}/2").id == f"{UNSEEN}/2"
