"""The plans of tasks that come with one, for those who make training data. The server never imports it."""

from dataclasses import dataclass

from envs.dbbench.engines.port import Table
from envs.dbbench.settings import DbSettings
from envs.dbbench.tasks.plan import Plan
from envs.dbbench.tasks.wiki.generator import WIKI_TRAIN, load_generator


@dataclass(frozen=True, slots=True)
class Reference:
    """How a task is solved."""

    plan: Plan
    table: Table


class References:
    """The references of the tasks that a server with the same settings plays."""

    def __init__(self) -> None:
        settings = DbSettings()
        self._make = None
        if settings.dbbench_sources is not None:
            self._make = load_generator(settings.dbbench_sources, settings.dbbench_seed).make

    def find(self, task_id: str) -> Reference | None:
        """Return the reference of a task, or None if its sentence is all that there is, or it is held out."""
        split, _, number = task_id.partition("/")
        if self._make is None or split != WIKI_TRAIN or not number.isdigit():
            return None
        made = self._make(split, int(number))
        return Reference(made.plan, made.question.tables[0])
