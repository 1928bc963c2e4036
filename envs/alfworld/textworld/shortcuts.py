"""Work that the engine is spared in a worker process: the same answers, sooner.

TextWorld translates a problem four times for one start (loading and resetting, each also for its
planner, which nothing calls here), copies 33 MB of library for each game, and parses the same few
dozen grammar expressions again at every step. Here each is done once.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import deepcopy
from pathlib import Path
from typing import Any

import fast_downward
import fast_downward.interface
import textworld.logic
from textworld.envs.pddl import textgen

from envs.alfworld.textworld.library import trimmed

KEPT_TRANSLATIONS = 32
KEPT_EXPRESSIONS = 2000


class Memory:
    """The newest answers of a function, by key."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The answer under a key, made if it is not there."""
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def install(cache: Path) -> None:
    """Take the shortcuts in this process.

    Args:
        cache: Where the cut library is kept.
    """
    interface = fast_downward.interface
    interface.DOWNWARD_LIB_PATH = str(trimmed(Path(interface.DOWNWARD_LIB_PATH), cache))
    _remember_translations()
    _remember_texts()
    _remember_queries()


def _remember_translations() -> None:
    translate = fast_downward.pddl2sas
    memory = Memory(KEPT_TRANSLATIONS)

    def remembered(domain: str, problem: str, verbose: bool = False, optimize: bool = False) -> Any:
        # `optimize` is for the planner alone; what is played is the translation without it.
        return memory.get((domain, problem), lambda: translate(domain, problem, verbose=verbose))

    fast_downward.pddl2sas = remembered


def _remember_texts() -> None:
    parse = textgen._parse_and_convert
    memory = Memory(KEPT_EXPRESSIONS)

    def remembered(text: str, rule_name: str, **options: Any) -> Any:
        kept = memory.get((text, rule_name), lambda: parse(text, rule_name=rule_name, **options))
        # Deriving hangs a context on each symbol, so that every caller needs symbols of its own.
        return deepcopy(kept)

    textgen._parse_and_convert = remembered


def _remember_queries() -> None:
    rule = textworld.logic.Rule
    parse = rule.parse_conjunctive_query
    memory = Memory(KEPT_EXPRESSIONS)

    def remembered(expr: str) -> textworld.logic.Rule:
        return memory.get(expr, lambda: parse(expr))

    rule.parse_conjunctive_query = staticmethod(remembered)
