"""Which goals there are: the official ones under `ESPALIER_WEBSHOP_DATA`, and those of the generated shop.

What is reported is never trained on: goals are split by product, so that no product is on both sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envs.serving.tasks import UNSEEN, Shown, Split, TaskTable, is_unseen, list_split
from envs.webshop.catalogue import Product, read_official
from envs.webshop.generator import Generator
from envs.webshop.goals import Goal, goals_of, held_out, human_goals
from envs.webshop.settings import WebshopSettings
from envs.webshop.shop import Shop

TRAIN, HELD_OUT = "train", "held_out"
HUMAN_TRAIN, HUMAN_HELD_OUT = "human_train", "human_held_out"
GENERATED_TRAIN, GENERATED_VALID = "generated_train", "generated_valid"


@dataclass(frozen=True)
class Errand:
    """A goal, and the shop where it is played."""

    shop: Shop
    goal: Goal


WebshopTasks = TaskTable[Errand]


def generated_tasks(settings: WebshopSettings) -> dict[str, Split[Errand]]:
    """The splits of the generated shop.

    Goals about unseen kinds of products are in `generated_unseen` alone; the shop sells them all. A task's
    name is its position among the goals of all kinds, so that it is the same task whichever kinds are unseen;
    in `generated_unseen` it is the position in it.
    """
    if not settings.webshop_generated:
        return {}
    products = Generator(settings.webshop_seed).products(settings.webshop_generated)
    shop = _shop(products, settings)
    goals = goals_of(products)
    train, valid = _parted(goals)
    splits = {
        name: {str(number): goal for number, goal in enumerate(side) if not is_unseen(goal.query)}
        for name, side in ((GENERATED_TRAIN, train), (GENERATED_VALID, valid))
    }
    unseen = [goal for goal in goals if is_unseen(goal.query)]
    splits[UNSEEN] = {str(number): goal for number, goal in enumerate(unseen)}
    return {name: _split(shop, named) for name, named in splits.items()}


def official_tasks(folder: Path, settings: WebshopSettings) -> dict[str, Split[Errand]]:
    """The splits of the official data; a task's name is its product's ASIN and the goal's number.

    Raises:
        CatalogueError: The folder's files are not WebShop's.
    """
    data = read_official(folder)
    shop = _shop(data.products, settings)
    train, held = _parted(goals_of(data.products))
    human_train, human_held = _parted(human_goals(data.products, data.human))
    named = ((TRAIN, train), (HELD_OUT, held), (HUMAN_TRAIN, human_train), (HUMAN_HELD_OUT, human_held))
    return {name: _split(shop, {goal.name: goal for goal in goals}) for name, goals in named}


def _split(shop: Shop, goals: Mapping[str, Goal]) -> Split[Errand]:
    errands = {name: Errand(shop, goal) for name, goal in goals.items()}
    return list_split(errands, lambda errand: Shown(errand.goal.instruction))


def _shop(products: Sequence[Product], settings: WebshopSettings) -> Shop:
    return Shop(products, attributes=settings.webshop_attributes, page_chars=settings.webshop_page_chars)


def _parted(goals: Sequence[Goal]) -> tuple[list[Goal], list[Goal]]:
    """Goals to train on, and those of products that are held out."""
    sides: tuple[list[Goal], list[Goal]] = ([], [])
    for goal in goals:
        sides[held_out(goal.asin)].append(goal)
    return sides
