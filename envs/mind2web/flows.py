"""The generated sites' tasks: what is to be done, and the steps that do it, out of `sites/`.

`flows.txt` has the sites by their kind: words of their names, the texts of their menus, and flows. A flow has
phrasings (`>`), steps (`-`) and clauses that may be added with steps of their own (`+`). A step whose words
the task does not hold is left out.
"""

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

FOLDER = Path(__file__).with_name("sites")
SLOT = re.compile(r"{(\w+)}")
QUESTION = re.compile(r"(What|How|Who|Where|When|Is|I|One-way|Check if)\b")
LEADS = (
    "",
    "",
    "",
    "",
    "",
    "",
    "I want to ",
    "Please ",
    "Can you ",
    "Help me ",
    "I need to ",
    "I would like to ",
)
DATES = (
    "{month} {day}",
    "{month} {day}",
    "{short} {day}",
    "{day} {month}",
    "{month} {day}{th}",
    "{day}{th} of {month}",
)
SUFFIXES = (
    *("", "", "ly", "hub", "now", "go", "box", "spot", "point", "well", "zone", "base", "link", "way", "ify"),
    *(
        "world",
        "central",
        "express",
        "direct",
        "finder",
        "market",
        "online",
        "plus",
        "one",
        "mate",
        "lab",
        "nest",
    ),
)
CHEAP = re.compile(r"\b(cheap\w*|low\w*)\b")
NOISE = (
    "button|Next month",
    "button|Close",
    "button|Accept cookies",
    "svg|",
    "div|",
    "button|Not now",
    "span|Show more",
)
TAILS = (
    *(
        "for a trip with my family",
        "and show the details of the first one",
        "and tell me the price",
        "for my friend {first}",
    ),
    *(
        "for the cheapest price possible",
        "with good reviews",
        "and go to the checkout",
        "and save it for later",
        "as soon as possible",
    ),
    *(
        "and read the terms",
        "for our company in {city}",
        "and compare the first two",
        "that my son aged {age} would like",
        "paying by credit card",
    ),
    *(
        "as a gift for {first} {last}",
        "with the best rating",
        "and share it with {email}",
        "starting after {time}",
        "if it is available",
    ),
    *(
        "otherwise choose the next best option",
        "for no more than {price} in total",
        "near {venue}",
        "and open the first result",
    ),
)
"""What a task adds; no step of its own follows from it."""
MOST_CLAUSES = 4


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a flow."""

    kind: str
    """One of `elements.TAGS`, or a role for what is only listed as done before."""
    label: str
    """The element's text."""
    value: str = ""
    """What is typed or selected."""
    pool: str = ""
    """What the label's words are of: others of it stand beside the element."""
    due: bool = True
    """Whether it can be the step of a task."""

    @property
    def operation(self) -> str:
        """CLICK, TYPE or SELECT."""
        return {"type": "TYPE", "select": "SELECT"}.get(self.kind, "CLICK")


@dataclass(frozen=True, slots=True)
class Flow:
    """A task with words filled in, and its steps in order."""

    kind: str
    """The kind of its site."""
    site: str
    menu: tuple[str, ...]
    """The texts of the site's menu."""
    task: str
    steps: tuple[Step, ...]


@dataclass(slots=True)
class _Form:
    tasks: list[str] = field(default_factory=list[str])
    steps: list[str] = field(default_factory=list[str])
    clauses: list[tuple[str, list[str]]] = field(default_factory=list[tuple[str, list[str]]])


@dataclass(slots=True)
class _Domain:
    kind: str = ""
    names: list[str] = field(default_factory=list[str])
    menu: list[str] = field(default_factory=list[str])


class Flows:
    """All flows that the sites have."""

    def __init__(self) -> None:
        self.pools: dict[str, list[str]] = json.loads((FOLDER / "pools.json").read_text(encoding="utf-8"))
        self._forms = list(_read((FOLDER / "flows.txt").read_text(encoding="utf-8")))

    def draw(self, draw: random.Random) -> Flow:
        """A flow with its words drawn."""
        domain, form = draw.choice(self._forms)
        words = _Words(draw, self.pools)
        task = draw.choice(form.tasks)
        lines = list(form.steps)
        chosen = draw.sample(
            form.clauses, min(len(form.clauses), draw.choice((0, 0, 1, 1, 2, 2, 3, MOST_CLAUSES)))
        )
        for place, (clause, steps) in enumerate(chosen):
            task += draw.choice((" ", ", ", " and ")) + clause if place else f" {clause}"
            lines += steps
        slots = list(SLOT.findall(task))
        if CHEAP.search(task) and draw.random() < 0.6:
            slots.append("sortprice")
        words.fill(slots)
        phrase = _phrase(draw, task, words)
        lower = draw.random() < 0.05
        made = [
            replace(step, value=step.value.lower()) if lower and step.kind == "type" else step
            for line in lines
            for step in _expand(draw, line, words)
        ]
        return Flow(
            kind=domain.kind,
            site=_site(draw, domain.names),
            menu=tuple(domain.menu),
            task=phrase.lower() if lower else phrase,
            steps=tuple(made),
        )


class _Words:
    """Words for slots; a slot is a pool's name, with a digit behind it for another word of the same pool."""

    def __init__(self, draw: random.Random, pools: dict[str, list[str]]) -> None:
        self._draw, self._pools = draw, pools
        self.shown: dict[str, str] = {}
        """By slot, as steps have it."""
        self.wanted: dict[str, str] = {}
        """By slot, as the task has it."""
        self._month = draw.choice(pools["month"])
        self._date = draw.choice(DATES)

    def fill(self, slots: Sequence[str]) -> None:
        """Draw words for so many slots."""
        for slot in slots:
            if slot in self.shown:
                continue
            if slot in ("date", "date2"):
                day = self._draw.choice(self._pools["day2" if slot == "date2" else "day"])
                self.shown[slot] = f"{self._month} {day}"
                self.wanted[slot] = self._date.format(
                    month=self._month, short=self._month[:3], day=day, th=_ordinal(int(day))
                )
                continue
            pool = self._pools.get(slot) or self._pools[slot.rstrip("2")]
            self.shown[slot] = self._draw.choice(
                [word for word in pool if word not in self.shown.values()] or pool
            )
            self.wanted[slot] = self.shown[slot]

    def fills(self, text: str) -> bool:
        """Whether all slots of a text are filled."""
        return all(slot in self.shown for slot in SLOT.findall(text))


def _read(text: str) -> Iterator[tuple[_Domain, _Form]]:
    domain, form = _Domain(), _Form()
    for line in text.split("\n"):
        mark, _, rest = line.partition(" ")
        if mark == "#":
            domain = _Domain(rest)
        elif mark == "names:":
            domain.names = rest.split()
        elif mark == "nav:":
            domain.menu = rest.split("; ")
        elif mark == ">":
            if form.steps or not form.tasks:
                form = _Form()
                yield domain, form
            form.tasks.append(rest)
        elif mark == "-":
            form.steps.append(rest)
        elif mark == "+":
            clause, _, steps = rest.partition(" :: ")
            form.clauses.append((clause, steps.split("; ")))


def _expand(draw: random.Random, line: str, words: _Words) -> Iterator[Step]:
    """The steps that a line stands for; none where the task does not hold its words."""
    kind, *parts = line.split("|")
    if not words.fills(line) or (kind.endswith("?") and draw.random() < 0.5):
        return
    slots = SLOT.findall(line)
    pool = slots[-1].rstrip("2") if slots else ""
    label = draw.choice(parts[0].split(";")).format(**words.shown)
    value = parts[1].format(**words.shown) if len(parts) > 1 else ""
    match kind.rstrip("?"):
        case "where":
            yield Step("type", label, value)
            if draw.random() < 0.75:
                yield Step("suggestion", value, pool=pool)
        case "when":
            yield Step("open", label)
            if draw.random() < 0.4:
                yield _noise(draw)
            yield Step("date", value, pool="date")
        case "choose":
            if draw.random() < 0.5:
                yield Step("select", label, value)
            else:
                yield Step("open", label)
                yield Step("option", value, pool=pool)
        case "filter":
            if draw.random() < 0.5:
                yield Step("open", label)
            yield Step("check", value, pool=pool)
        case "count":
            yield Step("select", label, value) if draw.random() < 0.4 else Step("plus", label)
        case "search":
            yield Step("search", label)
        case "type" | "select" as plain:
            yield Step(plain, label, value)
        case other:
            yield Step(other, label, pool=pool)
    if draw.random() < 0.05:
        yield _noise(draw)


def _noise(draw: random.Random) -> Step:
    kind, label = draw.choice(NOISE).split("|")
    return Step(kind, label, due=False)


def _phrase(draw: random.Random, task: str, words: _Words) -> str:
    states = bool(QUESTION.match(task))
    tails = [] if states else draw.sample(TAILS, draw.choice((0, 0, 0, 0, 1, 1, 1, 2)))
    words.fill([slot for tail in tails for slot in SLOT.findall(tail)])
    text = ", ".join([task, *tails]).format(**words.wanted)
    lead = "" if states else draw.choice(LEADS)
    if lead:
        text = lead + text[0].lower() + text[1:]
    if text.endswith("?"):
        return text
    return text + draw.choice((".", ".", "", "", ", please."))


def _site(draw: random.Random, names: list[str]) -> str:
    first, second = draw.sample(names, 2)
    name = draw.choice(
        (first + draw.choice(SUFFIXES), first + second, draw.choice("abcdefghklmnprstvwz") + first)
    )
    return draw.choice(("", "", "", "", "", "", "us.", "store.", "shop.")) + name


def _ordinal(number: int) -> str:
    if 10 < number < 14:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
