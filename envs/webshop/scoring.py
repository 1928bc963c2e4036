"""The reward of a purchase, as in WebShop's `web_agent_site/engine/goal.py`.

reward = r_type x (matched attributes + matched options + price ok) / (attributes + options + 1)
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rapidfuzz import fuzz, utils

from envs.webshop.catalogue import Product
from envs.webshop.goals import Goal
from envs.webshop.words import colour, nouns

MATCH = 85
"""A token-set ratio above this is a match, 0 to 100."""
LATIN_1 = re.compile(r"[\x80-\xff]")
NO_NOUNS = 0.2
"""The overlap with a title that has no nouns."""


@dataclass(frozen=True, slots=True)
class TypeMatch:
    """Whether what was bought is the kind of thing that is wanted."""

    query_match: bool
    category_match: bool
    title_score: float
    """The share of the wanted title's nouns that stand in the bought one's, 0 to 1."""

    @property
    def factor(self) -> float:
        """`r_type`: 1, 0.5, 0.1 or 0."""
        if self.title_score == 0:
            return 0.0
        if self.title_score < 0.1:
            return 0.1
        return 1.0 if self.query_match or self.category_match or self.title_score > 0.2 else 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """A purchase's reward and its parts."""

    reward: float
    """0 to 1."""
    type: TypeMatch
    attributes: int
    """How many of the goal's attributes the product has."""
    options: int
    """How many of the goal's options were chosen."""
    price_ok: bool
    goal: Goal

    def info(self) -> dict[str, Any]:
        """The parts under WebShop's names; `w_*` is a part's weight, `r_*` its share that was reached."""
        attributes, options = len(self.goal.attributes), len(self.goal.options)
        weight = 1 / (attributes + options + 1)
        parts: dict[str, Any] = {"r_type": self.type.factor, **asdict(self.type)}
        parts |= {"r_att": _share(self.attributes, attributes), "w_att": attributes * weight}
        if options:
            parts |= {"r_option": _share(self.options, options), "w_option": options * weight}
        return parts | {"r_price": float(self.price_ok), "w_price": weight}


def judge(product: Product, chosen: Sequence[str], goal: Goal) -> Verdict:
    """What buying a product with these option values is worth.

    Args:
        product: What was bought.
        chosen: The values of the options that were chosen; an option may be left out.
        goal: What is wanted.
    """
    kind = type_match(product, goal)
    attributes = sum(has_attribute(product, attribute) for attribute in goal.attributes)
    options = matched_options(chosen, goal.options)
    price_ok = product.price <= goal.price_upper
    parts = len(goal.attributes) + len(goal.options) + 1
    reward = kind.factor * (attributes + options + price_ok) / parts
    return Verdict(reward, kind, attributes, options, price_ok, goal)


def type_match(product: Product, goal: Goal) -> TypeMatch:
    """Compare query, categories and titles."""
    wanted, got = nouns(goal.title), set(nouns(product.title))
    return TypeMatch(
        query_match=product.query == goal.query,
        category_match=len(product.categories() & goal.categories()) >= 2,
        title_score=len(got & set(wanted)) / len(wanted) if wanted else NO_NOUNS,
    )


def has_attribute(product: Product, attribute: str) -> bool:
    """Whether an attribute is like one of the product's, or stands in its texts."""
    if any(alike(own, attribute) for own in product.attributes):
        return True
    texts = (product.title, " ".join(product.bullets), product.description)
    return any(attribute in text.lower() for text in texts)


def matched_options(chosen: Sequence[str], wanted: Sequence[str]) -> int:
    """How many wanted values are like a chosen one, colours normalised."""
    colours = [colour(value) for value in chosen]
    return sum(any(alike(value, colour(want)) for value in colours) for want in wanted)


def alike(one: str, other: str) -> bool:
    """Whether the token-set ratio, rounded as `thefuzz` does, is above 85."""
    return round(fuzz.token_set_ratio(_plain(one), _plain(other))) > MATCH


def _plain(text: str) -> str:
    """Letters and digits, lower-cased; as `thefuzz` does, the upper half of Latin-1 is left out before."""
    return utils.default_process(LATIN_1.sub("", text))


def _share(count: int, of: int) -> float:
    return count / of if of else 0.0
