"""Scripted customers that see only what an agent sees; their visits are demonstrations.

`Expert` searches, opens the products that look right, reads their pages, compares, and buys the best with its
options. `FirstFit` buys the first within the price that has every option: as good, shorter, and easier to
imitate. `FirstHit` buys the first result: the rule that they must beat. The server never imports them.
"""

import json
import re
from collections.abc import Generator
from dataclasses import dataclass, field

from envs.webshop.pages import AVAILABLE, BACK_TO_SEARCH, PER_PAGE, SEPARATOR

Policy = Generator[str, str, None]
"""Yields actions and is sent what each showed; it ends with the purchase."""

LIMIT = re.compile(r",? and price lower than (?P<dollars>[\d.]+) dollars")
OPTIONS = re.compile(r"^(?P<words>.*) with (?P<options>[a-z][a-z ]{0,30}: .+)$")
NEXT_OPTION = re.compile(r", and (?=[a-z][a-z ]{0,30}: )")
DOLLARS = re.compile(r"\$(\d+(?:\.\d+)?)")
CODE = re.compile(r"[A-Z0-9]{10}")
WORD = re.compile(r"[a-z0-9]+")
FILLERS = frozenset(
    ("find", "me", "with", "for", "and", "a", "the", "in", "of", "s", "i", "am", "looking", "need")
)
BUY = "click[Buy Now]"
BACK = "click[< Prev]"


@dataclass(frozen=True)
class Wish:
    """The wishes of an instruction."""

    words: str
    """The kind of product and its attributes."""
    options: tuple[str, ...]
    limit: float
    """Dollars."""

    @property
    def query(self) -> str:
        """What to search for."""
        return " ".join((self.words, *self.options))

    @classmethod
    def parse(cls, instruction: str) -> "Wish":
        """Read WebShop's sentence; what is not in its form is taken as words."""
        price = LIMIT.search(instruction)
        text = LIMIT.sub("", instruction)
        found = OPTIONS.search(text)
        options: tuple[str, ...] = ()
        if found:
            text = found["words"]
            options = tuple(part.partition(": ")[2] for part in NEXT_OPTION.split(found["options"]))
        return cls(
            text.removeprefix("Find me").strip(), options, float(price["dollars"]) if price else float("inf")
        )


@dataclass
class Look:
    """What is known of one product."""

    asin: str
    page: int
    """Its page of results, from 1."""
    title: str
    price: float
    """The lowest price shown, dollars."""
    text: str = ""
    """All that was read of it."""
    options: list[str] = field(default_factory=list[str])
    """The wanted values that it offers."""


class FirstHit:
    """Searches for the instruction's words, opens the first result, chooses what is wanted and buys.

    Args:
        observation: The first observation.
        instruction: The task.
    """

    def __init__(self, observation: str, instruction: str) -> None:
        self._wish = Wish.parse(instruction)

    def play(self) -> Policy:
        """The actions of the visit, one by one."""
        shown = yield f"search[{self._wish.words}]"
        found = looks(shown, 1)
        if not found:
            return
        shown = yield f"click[{found[0].asin}]"
        for option in offered(shown, self._wish):
            yield f"click[{option}]"
        yield BUY


class Expert:
    """Compares the products that look right.

    Args:
        observation: The first observation.
        instruction: The task.
        steps: How many actions it may take.
    """

    def __init__(self, observation: str, instruction: str, steps: int = 20) -> None:
        self.wish = Wish.parse(instruction)
        self._wanted = words(self.wish.words)
        self._steps = steps
        self._seen: dict[str, Look] = {}
        self._page = 1
        self.thought = ""
        """Why the last action was taken."""

    def play(self) -> Policy:
        """The actions of the visit, one by one."""
        self.thought = "I search for what is asked."
        shown = yield from self._do(f"search[{self.wish.query}]")
        self._note(shown)
        opened: list[Look] = []
        settled = False
        while (look := self._next(opened)) and self._affords(look):
            yield from self._inspect(look)
            opened.append(look)
            settled = self.score(look) >= 1
            if settled:
                break
            self.thought = f"{lack(look, self.wish)} I look at another."
            yield from self._do(BACK)
        best = max(opened, key=self.score, default=None)
        if best is None:
            return
        if not settled:
            yield from self._open(best, f"The best was {best.asin}.")
        for option in best.options:
            self.thought = f"{option} is asked for."
            yield from self._do(f"click[{option}]")
        self.thought = "All that is asked for is chosen."
        yield BUY

    def score(self, look: Look) -> float:
        """How well a product fits, 0 to 1: the wanted words that were read of it, options and price."""
        read = words(f"{look.title} {look.text}")
        words_share = len(self._wanted & read) / max(1, len(self._wanted))
        options = len(look.options) / len(self.wish.options) if self.wish.options else 1.0
        return (3 * words_share + 2 * options + (look.price <= self.wish.limit)) / 6

    def _next(self, opened: list[Look]) -> Look | None:
        """The product to open next: by its title's words and its price, in the order of the results."""
        left = [look for look in self._seen.values() if look not in opened]
        return max(left, key=lambda look: (look.price <= self.wish.limit, self._promise(look)), default=None)

    def _promise(self, look: Look) -> float:
        rank = list(self._seen).index(look.asin)
        return len(self._wanted & words(look.title)) / max(1, len(self._wanted)) - 0.5 * rank / PER_PAGE

    def _affords(self, look: Look) -> bool:
        """Whether the steps suffice to read a product, leave it, come back to another and buy that."""
        return self._steps >= 8 + len(self.wish.options) + 2 * abs(look.page - self._page)

    def _inspect(self, look: Look) -> Generator[str, str, None]:
        shown = yield from self._open(look, "Its title and price fit best.")
        look.options = offered(shown, self.wish)
        if len(look.options) < len(self.wish.options):
            return
        for detail in ("Attributes", "Features"):
            if f"click[{detail}]".lower() in (f"click[{button}]" for button in clickables(shown)):
                self.thought = f"I read its {detail.lower()}."
                page = yield from self._do(f"click[{detail}]")
                look.text = " ".join(parts(page)[4:])
                self.thought = "I have read it."
                yield from self._do(BACK)
                return

    def _open(self, look: Look, why: str) -> Generator[str, str, str]:
        self.thought = why
        while self._page != look.page:
            forward = self._page < look.page
            self._page += 1 if forward else -1
            yield from self._do("click[Next >]" if forward else BACK)
        return (yield from self._do(f"click[{look.asin}]"))

    def _note(self, shown: str) -> None:
        for look in looks(shown, self._page):
            self._seen.setdefault(look.asin, look)

    def _do(self, action: str) -> Generator[str, str, str]:
        self._steps -= 1
        return (yield action)


class FirstFit:
    """Goes down the results and buys the first product within the price that offers every wanted option.

    Where none does, it buys the one that offers most of them.

    Args:
        observation: The first observation.
        instruction: The task.
        most: How many products it opens before it settles.
    """

    def __init__(self, observation: str, instruction: str, most: int = 4) -> None:
        self.wish = Wish.parse(instruction)
        self._most = most
        self._shown = observation
        self.thought = ""
        """Why the last action was taken."""

    def follow(self, action: str, shown: str) -> None:
        """Take note of another's step, and of the page that it showed."""
        self._shown = shown

    def play(self) -> Policy:
        """The actions of the visit, one by one; from another's page it goes back to the search first."""
        if BACK_TO_SEARCH.lower() in clickables(self._shown):
            self.thought = "This leads nowhere. I search again."
            yield f"click[{BACK_TO_SEARCH}]"
        self.thought = "I search for what is asked."
        shown = yield f"search[{self.wish.query}]"
        results = looks(shown, 1)
        opened: list[Look] = []
        for look in ([look for look in results if look.price <= self.wish.limit] or results)[: self._most]:
            self.thought = f"{look.asin} costs {look.price:g} dollars{self._within(look)}."
            shown = yield f"click[{look.asin}]"
            look.options = offered(shown, self.wish)
            opened.append(look)
            if len(look.options) >= len(self.wish.options):
                break
            self.thought = f"{lack(look, self.wish)} I look at another."
            yield BACK
        best = max(opened, key=lambda look: len(look.options), default=None)
        if best is None:
            return
        if len(best.options) < len(self.wish.options):
            self.thought = f"None has all. {best.asin} has the most."
            yield f"click[{best.asin}]"
        for option in best.options:
            self.thought = f"{option} is asked for, and it is there."
            yield f"click[{option}]"
        self.thought = "All that is asked for is chosen."
        yield BUY

    def _within(self, look: Look) -> str:
        if self.wish.limit == float("inf"):
            return ""
        return f", {'not above' if look.price <= self.wish.limit else 'above'} {self.wish.limit:g}"


def lack(look: Look, wish: Wish) -> str:
    """What speaks against a product."""
    missing = [value for value in wish.options if value not in look.options]
    if missing:
        return f"It has no {missing[0]}."
    return "It costs too much." if look.price > wish.limit else "It may not be what is asked for."


def parts(observation: str) -> list[str]:
    """What stands between the separators."""
    return observation.partition(f"\n\n{AVAILABLE}")[0].split(SEPARATOR)


def clickables(observation: str) -> list[str]:
    """The buttons of a page."""
    available = observation.partition(f"{AVAILABLE}\n")[2]
    return json.loads(available)["clickables"] if available else []


def looks(observation: str, page: int) -> list[Look]:
    """The products on a page of results."""
    shown, buttons = parts(observation), set(clickables(observation))
    found: list[Look] = []
    for position, part in enumerate(shown):
        if CODE.fullmatch(part) and part.lower() in buttons:
            rest = shown[position + 1 : position + 3]
            prices = [float(price) for price in DOLLARS.findall(rest[-1])] if rest else []
            found.append(Look(part, page, rest[0] if len(rest) > 1 else "", min(prices, default=0.0)))
    return found


def offered(observation: str, wish: Wish) -> list[str]:
    """The wanted values that a product page offers; where none are named, those whose words the wish has."""
    buttons = clickables(observation)
    if wish.options:
        return [value for value in wish.options if " ".join(value.lower().split()) in buttons]
    after = buttons.index("buy now") + 1 if "buy now" in buttons else len(buttons)
    wanted = words(wish.words)
    return [value for value in buttons[after:] if words(value) and words(value) <= wanted]


def words(text: str) -> set[str]:
    """Return the words that have a meaning of their own, without plural endings."""
    return {word.rstrip("s") or word for word in WORD.findall(text.lower()) if word not in FILLERS}
