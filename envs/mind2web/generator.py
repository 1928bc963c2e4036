"""Steps that need no data: visits to made-up sites, each with a page around the step that is due.

Pages are as Mind2Web's are: names of frames and classes that say little, pictures, much that could be
clicked and a little that should be. Half of them are cut off, so that an element's text is not always there.
The splits are parted by the task's words: no task of one is a task of the other.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from html import escape

from envs.mind2web.flows import SLOT, Flow, Flows, Step, parse_step
from envs.mind2web.page import NODE_ID
from envs.mind2web.record import Element, Record, pack

TRAIN, VALID = "generated_train", "generated_valid"
SPLITS = (TRAIN, VALID)
CANDIDATES = 30
CUT = 7800
"""Characters of a page that is cut off, as the records at hand are."""
KINDS = {
    "button": ("button", "input", "a", "button"),
    "link": ("a", "a", "li", "span"),
    "type": ("input", "input", "textarea"),
    "select": ("select",),
    "check": ("input", "label", "span", "li", "a"),
    "radio": ("input", "label", "span"),
    "option": ("li", "div", "a"),
    "suggestion": ("li", "div", "span"),
    "date": ("td", "a", "div", "button"),
    "open": ("button", "div", "span", "input"),
    "result": ("a", "a", "h3", "li"),
}
"""Tags that an element of a kind comes with."""
TYPES = {"type": "text", "check": "checkbox", "radio": "radio", "button": "submit", "open": "button"}
HINTS = {
    "button": "btn",
    "link": "nav-link",
    "type": "field",
    "select": "form-control",
    "check": "filter-item",
    "radio": "radio-input",
    "option": "dropdown-item",
    "suggestion": "autocomplete-item",
    "date": "calendar-day",
    "open": "dropdown-toggle",
    "result": "product-link",
}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class _Tag:
    """An element of a page that is being made."""

    id: str
    tag: str
    attributes: dict[str, str]
    text: str = ""

    def html(self) -> str:
        told = "".join(f' {name}="{escape(value)}"' for name, value in self.attributes.items())
        inner = f'<text {NODE_ID}="{self.id}9">{escape(self.text)}</text>' if self.text else ""
        return f'<{self.tag} {NODE_ID}="{self.id}"{told}>{inner}</{self.tag}>'


class Generator:
    """Makes the steps of both splits."""

    def __init__(self) -> None:
        self._flows = Flows()

    @lru_cache(maxsize=2048)  # noqa: B019 - bounded, and a generator lives as long as its server
    def record(self, split: str, number: int) -> Record:
        """One step; the same split and number always give the same."""
        for attempt in range(1000):
            draw = random.Random(f"mind2web/{split}/{number}/{attempt}")  # noqa: S311
            flow = self._flows.draw(draw)
            if is_held_out(flow.task) == (split == VALID):
                return self._record(draw, split, number, flow)
        raise AssertionError("a thousand tasks fell on the other side")

    def _record(self, draw: random.Random, split: str, number: int, flow: Flow) -> Record:
        at = draw.randrange(len(flow.steps))
        step = flow.steps[at]
        ids = iter(range(draw.randint(100, 40_000), 1_000_000, draw.randint(1, 7)))
        target = self._element(draw, step, next(ids), telling=draw.random() < 0.85)
        others = [
            self._element(draw, other, next(ids), telling=draw.random() < 0.6)
            for other in self._others(draw, flow, step)
        ]
        frames = [self._frame(draw, next(ids)) for _ in range(draw.randint(14, 22))]
        everything = [*others, *frames]
        draw.shuffle(everything)
        elements = [target, *everything[: CANDIDATES - 1]]
        html = self._page(draw, [target, *everything])
        return Record(
            id=f"{split}/{number}",
            split=split,
            website=flow.site,
            task=flow.task,
            previous=tuple(before.told for before in flow.steps[:at]),
            operation=step.operation,
            value=step.value,
            right=frozenset({target.id}),
            candidates=tuple(Element(made.id, made.tag, made.attributes) for made in elements),
            packed=pack(html),
        )

    def _others(self, draw: random.Random, flow: Flow, step: Step) -> Iterator[Step]:
        """What else stands on the page: other steps of the site, other values of the same choice."""
        seen = {(step.kind, step.label)}
        for form in self._flows.siblings(flow.site):
            words = {slot: draw.choice(self._flows.pools[slot]) for slot in SLOT.findall(form)}
            made = parse_step(form.format(**words))
            if (made.kind, made.label) not in seen and draw.random() < 0.6:
                seen.add((made.kind, made.label))
                yield made
        for pool in self._flows.pools.values():
            if step.label in pool:
                for value in draw.sample(pool, min(5, len(pool))):
                    if (step.kind, value) not in seen:
                        seen.add((step.kind, value))
                        yield Step(step.kind, value)
        for label in draw.sample(self._flows.words["chrome"], 6):
            yield Step("link", label)

    def _element(self, draw: random.Random, step: Step, number: int, *, telling: bool) -> _Tag:
        tag = draw.choice(KINDS[step.kind])
        slug = re.sub(r"[^a-z0-9]+", "-", step.label.lower()).strip("-")
        attributes: dict[str, str] = {"class": self._class(draw, f"{HINTS[step.kind]} {slug[:20]}", telling)}
        if tag == "input" and step.kind in TYPES:
            attributes["type"] = TYPES[step.kind]
        if draw.random() < 0.3:
            attributes["role"] = {"check": "checkbox", "suggestion": "option", "link": "link"}.get(
                step.kind, "button"
            )
        text = ""
        if telling:
            way = draw.random()
            if tag in ("input", "textarea", "select"):
                attributes[draw.choice(("placeholder", "aria_label", "name", "id", "title"))] = step.label
            elif way < 0.3:
                attributes["aria_label"] = step.label
            elif way < 0.45:
                attributes["title"] = step.label
            else:
                text = step.label
            if tag == "input" and step.kind in ("button", "check", "radio") and draw.random() < 0.5:
                attributes["value"] = step.label
        if tag == "select":
            text = draw.choice(("Select", "Any", step.value or "All"))
        return _Tag(str(number), tag, attributes, text)

    def _class(self, draw: random.Random, hint: str, telling: bool) -> str:
        prefix = draw.choice(self._flows.words["prefixes"])
        noise = f"css-{''.join(draw.choices(LETTERS, k=6))}" if draw.random() < 0.4 else f"{prefix}-item"
        kind, _, slug = hint.partition(" ")
        words = [noise, f"{prefix}-{kind}" if draw.random() < 0.7 else kind]
        if not telling or draw.random() < 0.4:
            words.append(slug)
        return " ".join(words)

    def _frame(self, draw: random.Random, number: int) -> _Tag:
        words = self._flows.words
        if draw.random() < 0.35:
            alt = draw.choice(words["pictures"])
            return _Tag(str(number), "img", {"class": f"{draw.choice(words['prefixes'])}-image", "alt": alt})
        tag = draw.choice(("div", "div", "div", "form", "ul", "section", "header", "body", "span", "html"))
        name = f"{draw.choice(words['prefixes'])}-{draw.choice(words['frames'])}"
        return _Tag(str(number), tag, {"class": name} if draw.random() < 0.8 else {})

    def _page(self, draw: random.Random, tags: list[_Tag]) -> str:
        shuffled = draw.sample(tags, len(tags))
        layouts = self._flows.words["layouts"]
        parts = [f"<{layout}>" for layout in layouts]
        for tag in shuffled:
            parts[draw.randrange(len(parts))] += f"\n<div>{tag.html()}</div>"
        html = "<html><body>" + "\n".join(
            f"{part}</{layout}>" for part, layout in zip(parts, layouts, strict=True)
        )
        cut = draw.random() < 0.5
        return html[: int(len(html) * draw.uniform(0.3, 0.9))][:CUT] if cut else html + "</body></html>"


def is_held_out(task: str) -> bool:
    """Whether a task belongs to the valid split: one in four, by its words."""
    return int(sha256(json.dumps(task).encode()).hexdigest(), 16) % 4 == 0
