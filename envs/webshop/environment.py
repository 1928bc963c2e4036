"""WebShop behind the session server."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from envs.serving.environment import BadTaskError, Frame, InstanceLostError, Opening
from envs.webshop import actions, tasks
from envs.webshop.catalogue import CatalogueError
from envs.webshop.settings import WebshopSettings
from envs.webshop.shop import Shop, Visit
from envs.webshop.tasks import WebshopTasks
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction
from services.contracts.task import InlineTask, Task

MAX_STEPS = 20
"""AgentBench's limit of rounds for WebShop."""


@dataclass(frozen=True, slots=True)
class _Instance:
    shop: Shop
    visit: Visit


class WebshopEnvironment:
    """WebShop in memory. A step takes well under a millisecond, so that it runs where it is asked for."""

    def __init__(self, settings: WebshopSettings) -> None:
        self._settings = settings
        self._tasks = WebshopTasks({})
        self._trouble: str | None = "the shop is not open yet"
        self._instances: dict[str, _Instance] = {}
        self._handles = itertools.count(1)

    @property
    def metadata(self) -> Metadata:
        """What WebShop is and how it is played."""
        return Metadata(
            name="webshop",
            version="1",
            fork=Fork.NATIVE,
            done_means=DoneMeans.END,
            terminal_action=TerminalAction.REQUIRED,
            terminal_example=actions.TERMINAL,
            splits=self._tasks.splits(),
            max_steps=MAX_STEPS,
            description=actions.DESCRIPTION,
            actions=actions.LANGUAGE,
            engine=f"tantivy {version('tantivy')}",
        )

    async def open(self) -> None:
        """Read the official data, where there is any, make the generated shop, and index both."""
        self._trouble = None
        self._tasks = await asyncio.to_thread(self._stock)

    async def close(self) -> None:
        """Forget every visit."""
        self._instances.clear()

    async def ready(self) -> str | None:
        """None where visits can be started; else what is wrong with the data."""
        return self._trouble

    def count(self, split: str) -> int:
        """How many tasks a split has."""
        return self._tasks.count(split)

    async def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        return self._tasks.page(split, start, stop)

    async def task(self, task_id: str) -> Task:
        """One task."""
        return self._tasks.get(task_id)

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Stand before the search page. There is no chance in the shop: the seed changes nothing."""
        if isinstance(task, InlineTask):
            raise BadTaskError("WebShop takes no inline tasks: its goals are made from its products")
        shop, goal = self._tasks.goal(task.id)
        instance = _Instance(shop, Visit(goal))
        return Opening(self._add(instance), _frame(instance, valid=True), goal.instruction)

    async def step(self, handle: str, action: str) -> Frame:
        """Take one action; one that is not possible changes nothing."""
        instance = self._get(handle)
        parsed = actions.parse(action)
        visit = instance.shop.act(instance.visit, parsed) if parsed else None
        if visit is not None:
            instance = self._instances[handle] = _Instance(instance.shop, visit)
        return _frame(instance, valid=visit is not None)

    async def fork(self, handle: str) -> str:
        """The handle of a copy. Visits are values: nothing needs to be copied."""
        return self._add(self._get(handle))

    async def end(self, handle: str) -> None:
        """Let a visit go."""
        self._instances.pop(handle, None)

    def normalise(self, observation: str) -> str:
        """Two runs show the same text."""
        return observation.strip()

    def _stock(self) -> WebshopTasks:
        splits: dict[str, tasks.Split] = {}
        folder = self._settings.webshop_data
        if folder is not None:
            try:
                splits |= tasks.official_tasks(folder, self._settings)
            except CatalogueError as error:
                self._trouble = str(error)
        return WebshopTasks(splits | tasks.generated_tasks(self._settings))

    def _add(self, instance: _Instance) -> str:
        handle = f"visit-{next(self._handles)}"
        self._instances[handle] = instance
        return handle

    def _get(self, handle: str) -> _Instance:
        try:
            return self._instances[handle]
        except KeyError:
            raise InstanceLostError(handle) from None


def _frame(instance: _Instance, *, valid: bool) -> Frame:
    visit = instance.visit
    text = instance.shop.page(visit).text()
    if visit.verdict is None:
        return Frame(text, valid=valid)
    bought = {"asin": visit.asin, "options": dict(visit.chosen), "goal_asin": visit.goal.asin}
    return Frame(text, visit.verdict.reward, done=True, valid=valid, info={**visit.verdict.info(), **bought})
