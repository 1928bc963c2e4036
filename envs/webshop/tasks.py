"""Which goals there are: the official ones under `ESPALIER_WEBSHOP_DATA`, and those of the generated shop.

What is reported is never trained on: goals are split by product, so that no product is on both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envs.serving.environment import UnknownTaskError
from envs.webshop.catalogue import Product, read_official
from envs.webshop.generator import Generator
from envs.webshop.goals import Goal, goals_of, held_out, human_goals
from envs.webshop.settings import WebshopSettings
from envs.webshop.shop import Shop
from services.contracts.task import Task

TRAIN, HELD_OUT = "train", "held_out"
HUMAN_TRAIN, HUMAN_HELD_OUT = "human_train", "human_held_out"
GENERATED_TRAIN, GENERATED_VALID = "generated_train", "generated_valid"


@dataclass(frozen=True)
class Split:
    """The goals of one split, by their ids, and the shop where they are played."""

    shop: Shop
    goals: dict[str, Goal]


class WebshopTasks:
    """All tasks; a split that has none is not there.

    Args:
        splits: The splits by name, in the order in which they are listed.
    """

    def __init__(self, splits: dict[str, Split]) -> None:
        self._splits = {name: split for name, split in splits.items() if split.goals}
        self._ids = {name: list(split.goals) for name, split in self._splits.items()}

    def splits(self) -> list[str]:
        """The splits that can be played."""
        return list(self._splits)

    def count(self, split: str) -> int:
        """How many tasks a split has."""
        return len(self._ids.get(split, ()))

    def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        return [self._task(split, task_id) for task_id in self._ids.get(split, [])[start:stop]]

    def get(self, task_id: str) -> Task:
        """One task.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        self.goal(task_id)
        return self._task(task_id.partition("/")[0], task_id)

    def goal(self, task_id: str) -> tuple[Shop, Goal]:
        """A task's goal and its shop.

        Raises:
            UnknownTaskError: There is none of this id.
        """
        split = self._splits.get(task_id.partition("/")[0])
        if split is None or task_id not in split.goals:
            raise UnknownTaskError(task_id)
        return split.shop, split.goals[task_id]

    def _task(self, split: str, task_id: str) -> Task:
        return Task(id=task_id, split=split, instruction=self._splits[split].goals[task_id].instruction)


def generated_tasks(settings: WebshopSettings) -> dict[str, Split]:
    """The splits of the generated shop; a task's id is its position."""
    if not settings.webshop_generated:
        return {}
    products = Generator(settings.webshop_seed).products(settings.webshop_generated)
    shop = _shop(products, settings)
    train, valid = _parted(goals_of(products))
    return {
        name: Split(shop, {f"{name}/{number}": goal for number, goal in enumerate(goals)})
        for name, goals in ((GENERATED_TRAIN, train), (GENERATED_VALID, valid))
    }


def official_tasks(folder: Path, settings: WebshopSettings) -> dict[str, Split]:
    """The splits of the official data; a task's id is its product's ASIN and the goal's number.

    Raises:
        CatalogueError: The folder's files are not WebShop's.
    """
    data = read_official(folder)
    shop = _shop(data.products, settings)
    train, held = _parted(goals_of(data.products))
    human_train, human_held = _parted(human_goals(data.products, data.human))
    named = ((TRAIN, train), (HELD_OUT, held), (HUMAN_TRAIN, human_train), (HUMAN_HELD_OUT, human_held))
    return {name: Split(shop, {f"{name}/{goal.name}": goal for goal in goals}) for name, goals in named}


def _shop(products: Sequence[Product], settings: WebshopSettings) -> Shop:
    return Shop(products, attributes=settings.webshop_attributes, page_chars=settings.webshop_page_chars)


def _parted(goals: Sequence[Goal]) -> tuple[list[Goal], list[Goal]]:
    """Goals to train on, and those of products that are held out."""
    sides: tuple[list[Goal], list[Goal]] = ([], [])
    for goal in goals:
        sides[held_out(goal.asin)].append(goal)
    return sides
