"""WebShop behind the session server."""

import asyncio
import json
from dataclasses import dataclass
from importlib.metadata import version

from envs.serving.environment import Frame
from envs.serving.tasks import Split
from envs.serving.values import ValueEnvironment
from envs.webshop import actions, tasks
from envs.webshop.catalogue import CatalogueError
from envs.webshop.grammar import render_grammar
from envs.webshop.settings import WebshopSettings
from envs.webshop.shop import Shop, Visit
from envs.webshop.tasks import Errand, WebshopTasks
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction

MAX_STEPS = 20
"""AgentBench's limit of rounds for WebShop."""


@dataclass(frozen=True, slots=True)
class _Instance:
    shop: Shop
    visit: Visit


class WebshopEnvironment(ValueEnvironment[Errand, _Instance]):
    """WebShop in memory. A step takes well under a millisecond, so that it runs on the event loop."""

    no_inline = "WebShop takes no inline tasks: its goals are made from its products"

    def __init__(self, settings: WebshopSettings) -> None:
        super().__init__("visit", WebshopTasks({}))
        self._settings = settings
        self._trouble: str | None = "the shop is not open yet"

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

    async def ready(self) -> str | None:
        """Return None where visits can be started; else what is wrong with the data."""
        return self._trouble

    def begin(self, item: Errand, seed: int) -> tuple[_Instance, Frame]:
        """Stand before the search page. There is no chance in the shop: the seed changes nothing."""
        instance = _Instance(item.shop, Visit(item.goal))
        return instance, _frame(instance, valid=True)

    def act(self, value: _Instance, action: str) -> tuple[_Instance, Frame]:
        """Take one action; one that is not possible changes nothing."""
        parsed = actions.parse(action)
        visit = value.shop.act(value.visit, parsed) if parsed else None
        following = value if visit is None else _Instance(value.shop, visit)
        return following, _frame(following, valid=visit is not None)

    def grammar(self, handle: str) -> str:
        """Return the language of the actions of the page that is open."""
        instance = self._instances.get(handle)
        return render_grammar(instance.shop.page(instance.visit))

    def _stock(self) -> WebshopTasks:
        splits: dict[str, Split[Errand]] = {}
        folder = self._settings.webshop_data
        if folder is not None:
            try:
                splits |= tasks.official_tasks(folder, self._settings)
            except CatalogueError as error:
                self._trouble = str(error)
        return WebshopTasks(splits | tasks.generated_tasks(self._settings))


def _frame(instance: _Instance, *, valid: bool) -> Frame:
    visit = instance.visit
    text = instance.shop.page(visit).text()
    if visit.verdict is None:
        return Frame(text, valid=valid)
    bought = {"asin": visit.asin, "options": dict(visit.chosen), "goal_asin": visit.goal.asin}
    return Frame(
        text,
        visit.verdict.reward,
        done=True,
        valid=valid,
        outcome=json.dumps([visit.asin, sorted(visit.chosen.items())]),
        info={**visit.verdict.info(), **bought},
    )
