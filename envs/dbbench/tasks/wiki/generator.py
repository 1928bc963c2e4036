"""Tasks over Wikipedia's tables: changes of real tables, WikiSQL's questions, WikiTableQuestions' look-ups.

The same folder, seed, split and number make the same task. The tables of the unseen split are in no task of
the other. Tasks for training alone are worded in everyday sentences too.
"""

import random
from functools import cache
from pathlib import Path

from envs.dbbench.tasks.plan import DELETE, INSERT, UPDATE
from envs.dbbench.tasks.wiki.changes import ChangeMaker
from envs.dbbench.tasks.wiki.look_ups import make_look_up, solve
from envs.dbbench.tasks.wiki.made import Made
from envs.dbbench.tasks.wiki.rows import RowMaker
from envs.dbbench.tasks.wiki.selects import QuestionMaker
from envs.dbbench.tasks.wiki.sources import Sources, read_sources

WIKI_TRAIN, WIKI_UNSEEN = "wiki_train", "wiki_unseen"
WIKI = (WIKI_TRAIN, WIKI_UNSEEN)
ASKED, LOOKED_UP = "asked", "looked up"
ROUND = (
    *(INSERT, UPDATE, ASKED, INSERT, UPDATE, LOOKED_UP),
    *(ASKED, INSERT, UPDATE, ASKED, LOOKED_UP, DELETE),
)
"""The kinds in turn."""
TRIES = 2000
EVERYDAY = 0.4
"""How many questions for training are in everyday words, over real tables, in place of those of the sets."""


class WikiGenerator:
    """Makes tasks.

    Args:
        folder: Holds `wikisql/` and `wikitablequestions/`.
        seed: What the tasks are drawn from.

    Raises:
        SourceError: A file is missing or malformed.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._sources = read_sources(folder)
        self._rows = {unseen: RowMaker(sources) for unseen, sources in self._sources.items()}
        self._solved = {
            unseen: [found for one in sources.look_ups if (found := solve(one)) is not None]
            for unseen, sources in self._sources.items()
        }

    def make(self, split: str, number: int) -> Made:
        """Return one task with its plan."""
        unseen = split == WIKI_UNSEEN
        draw = random.Random(f"dbbench/wiki/{self._seed}/{split}/{number}")  # noqa: S311
        kind = ROUND[number % len(ROUND)]
        for _ in range(TRIES):
            made = self._draw(draw, self._sources[unseen], unseen, kind)
            if made is not None:
                return made
        raise AssertionError(f"no task {split}/{number} in {TRIES} tries")

    def _draw(self, draw: random.Random, sources: Sources, unseen: bool, kind: str) -> Made | None:
        # The unseen tasks stay what they were, so that measurements on them can be compared.
        if not unseen and kind in (ASKED, LOOKED_UP) and draw.random() < EVERYDAY:
            return QuestionMaker(draw, draw.choice(sources.tables)).make()
        match kind:
            case "asked":
                return self._rows[unseen].make(draw, draw.choice(sources.asked))
            case "looked up":
                return make_look_up(draw, draw.choice(self._solved[unseen]))
            case _:
                return ChangeMaker(draw, draw.choice(sources.tables), freely=not unseen).make(kind)


@cache
def load_generator(folder: Path, seed: int) -> WikiGenerator:
    """Return the generator of a folder, read once a process."""
    return WikiGenerator(folder, seed)
