"""Steps that need no data: visits to made-up sites, each with a page around the step that is due.

Pages are as Mind2Web's are: their head is known with its texts, and what comes below is known by tags and
attributes alone, most right elements among it. Candidates are the right one, some from below, and then the
head's in their order. Train and valid are parted by the task's words: no task of one is a task of the other.
Unseen has the kinds of sites that the other two lack.
"""

import json
import random
from functools import lru_cache
from hashlib import sha256

from envs.mind2web.elements import Made, describe_step, element
from envs.mind2web.flows import Flow, Flows, Step
from envs.mind2web.layout import Head, below, topics_of
from envs.mind2web.page import describe
from envs.mind2web.record import Element, Record, pack
from envs.mind2web.style import Style
from envs.serving.tasks import UNSEEN, is_unseen

TRAIN, VALID = "generated_train", "generated_valid"
SPLITS = (TRAIN, VALID, UNSEEN)
CANDIDATES = 30
FEW = 12
"""A page with few candidates has so many at least."""
MENUS = ("link", "menu", "tab")
"""Kinds that may stand in the page's head."""
WEIGHTS = {"type": 0.75, "select": 0.75, "suggestion": 1.3, "date": 1.2}
"""How often a step of a kind is drawn, beside the others."""


class Generator:
    """Makes the steps of the generated splits."""

    def __init__(self) -> None:
        self._flows = Flows()

    @lru_cache(maxsize=2048)  # noqa: B019 - bounded, and a generator lives as long as its server
    def record(self, split: str, number: int) -> Record:
        """One step; the same split and number always give the same."""
        flow, at, previous, seed = self.visit(split, number)
        return self._record(random.Random(seed), f"{split}/{number}", flow, at, previous)  # noqa: S311

    @lru_cache(maxsize=2048)  # noqa: B019 - bounded as well
    def visit(self, split: str, number: int) -> tuple[Flow, int, tuple[str, ...], str]:
        """A step without its page: the flow, its place in it, what was done before, and the page's seed."""
        for attempt in range(1000):
            seed = f"mind2web/{split}/{number}/{attempt}"
            draw = random.Random(seed)  # noqa: S311
            flow = self._flows.draw(draw)
            places = [place for place, step in enumerate(flow.steps) if step.due]
            if places and split == _split_of(flow):
                weights = [WEIGHTS.get(flow.steps[place].kind, 1.0) for place in places]
                at = draw.choices(places, weights)[0]
                return flow, at, tuple(describe_step(draw, step) for step in flow.steps[:at]), seed + "/page"
        raise AssertionError(f"a thousand tasks are of other splits than {split}")

    def _record(
        self, draw: random.Random, record_id: str, flow: Flow, at: int, previous: tuple[str, ...]
    ) -> Record:
        step = flow.steps[at]
        style = Style(draw)
        in_head = draw.random() < (0.35 if step.kind in MENUS and at < 2 else 0.06)
        target = element(draw, style, step, labelled=draw.random() < 0.44 and not in_head)
        head = Head(draw, style, flow, target if in_head else None, step.label)
        right_id = head.target_id or str(head.last + draw.randint(40, 900))
        room = (CANDIDATES if draw.random() < 0.75 else draw.randint(FEW, CANDIDATES)) - 1
        listing = draw.random() < 0.13
        picked = below(
            draw,
            style,
            self._like(draw, step),
            self._rivals(draw, style, flow, at),
            topics_of(flow),
            room,
            listing=listing,
        )
        right = Element(right_id, target.tag, target.attributes)
        lines = {describe(target.tag, target.attributes, target.text if in_head else "")}
        others: list[Element] = []
        number = int(right_id) if not head.target_id else head.last + 40
        for made in picked[:room]:
            number += draw.randint(1, 60)
            if describe(made.tag, made.attributes, "") not in lines:
                others.append(Element(str(number), made.tag, made.attributes))
        for found in head.candidates:
            if len(others) < room and found.id != right_id:
                others.append(found)
        return Record(
            id=record_id,
            split=record_id.partition("/")[0],
            website=flow.site,
            task=flow.task,
            previous=previous,
            operation=step.operation,
            value=step.value,
            right=frozenset({right_id}),
            candidates=(right, *others),
            packed=pack(head.html),
        )

    def _like(self, draw: random.Random, step: Step) -> list[Step]:
        """Steps like this one with other words: what stands beside its element."""
        if step.pool == "date":
            days = [day for day in range(1, 29) if not step.label.endswith(f" {day}")]
            month = step.label.partition(" ")[0]
            words = [f"{month} {day}" for day in draw.sample(days, 8)]
        else:
            pool = self._flows.pools.get(step.pool, [])
            words = [word for word in draw.sample(pool, min(9, len(pool))) if word != step.label]
        return [Step(step.kind, word, pool=step.pool) for word in words]

    def _rivals(self, draw: random.Random, style: Style, flow: Flow, at: int) -> list[Made]:
        """Elements of other steps of the visit, done and to be done, that stand on the page as well."""
        around = [step for place, step in enumerate(flow.steps) if step.due and 0 < abs(place - at) < 5]
        count = min(len(around), draw.choice((0, 0, 0, 1, 1, 2, 3)))
        return [
            element(draw, style, step, labelled=draw.random() < 0.5) for step in draw.sample(around, count)
        ]


def _split_of(flow: Flow) -> str:
    """Return the split that a task belongs to."""
    if is_unseen(flow.kind):
        return UNSEEN
    return VALID if is_held_out(flow.task) else TRAIN


def is_held_out(task: str) -> bool:
    """Whether a task of a seen kind belongs to the valid split: one in four, by its words."""
    return int(sha256(json.dumps(task).encode()).hexdigest(), 16) % 4 == 0
