"""The pages of the shop as text, with their buttons: WebShop's `text` observations.

Parts are separated by ` [SEP] `. Below stands what AgentBench adds: the available actions as JSON.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from envs.webshop.actions import fold
from envs.webshop.catalogue import Product

SEPARATOR = " [SEP] "
AVAILABLE = "Available Actions:"
PER_PAGE = 10
BACK_TO_SEARCH = "Back to Search"
PREVIOUS = "< Prev"
NEXT = "Next >"
BUY = "Buy Now"
DESCRIPTION, FEATURES, REVIEWS, ATTRIBUTES = "Description", "Features", "Reviews", "Attributes"
DETAILS = (DESCRIPTION, FEATURES, REVIEWS, ATTRIBUTES)
THANKS = "Thank you for shopping with us!"
CUT = "..."


@dataclass(frozen=True, slots=True)
class Page:
    """What stands on a page and what can be done there."""

    parts: Sequence[str]
    clickables: Sequence[str] = ()
    """Lower-cased."""
    has_search_bar: bool = False
    closed: bool = False
    """Whether nothing can be done any more."""

    def text(self) -> str:
        """The observation."""
        shown = SEPARATOR.join(part for part in (" ".join(part.split()) for part in self.parts) if part)
        if self.closed:
            return shown
        available = {"has_search_bar": self.has_search_bar, "clickables": list(self.clickables)}
        return f"{shown}\n\n{AVAILABLE}\n{json.dumps(available, ensure_ascii=False)}"


def search_page(instruction: str) -> Page:
    """Where a visit begins."""
    return Page(("WebShop", "Instruction:", instruction, "Search"), has_search_bar=True)


def results_page(instruction: str, products: Sequence[Product], number: int, total: int) -> Page:
    """One page of results; `number` counts from 1."""
    turns = [PREVIOUS] * (number > 1) + [NEXT] * (number * PER_PAGE < total)
    parts = [*_head(instruction), f"Page {number} (Total results: {total})", *turns]
    for product in products:
        parts += [product.asin, product.title, product.price_tag]
    return Page(parts, _buttons(BACK_TO_SEARCH, *turns, *(product.asin for product in products)))


def product_page(instruction: str, product: Product, details: Sequence[str]) -> Page:
    """A product with its options; `details` are the buttons of its further pages."""
    parts = [*_head(instruction), PREVIOUS]
    for name, values in product.options.items():
        parts += [name, *values]
    parts += [product.title, f"Price: {product.price_tag}", f"Rating: {product.rating}", *details, BUY]
    values = [value for group in product.options.values() for value in group]
    return Page(parts, _buttons(BACK_TO_SEARCH, PREVIOUS, *details, BUY, *values))


def detail_page(instruction: str, product: Product, detail: str, limit: int) -> Page:
    """The description, features, reviews or attributes of a product, at most `limit` characters of it."""
    parts = [*_head(instruction), PREVIOUS, *_cut(_detail(product, detail), limit)]
    return Page(parts, _buttons(BACK_TO_SEARCH, PREVIOUS))


def thanks_page() -> Page:
    """After a purchase. WebShop shows the score here; this shop does not."""
    return Page((THANKS,), closed=True)


def _head(instruction: str) -> tuple[str, ...]:
    return ("Instruction:", instruction, BACK_TO_SEARCH)


def _buttons(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fold(name) for name in names))


def _detail(product: Product, detail: str) -> list[str]:
    if detail == DESCRIPTION:
        return [product.description]
    if detail == FEATURES:
        return list(product.bullets) or ["No Features"]
    if detail == ATTRIBUTES:
        return [*product.attributes, product.category, product.query, product.product_category]
    reviews = [
        part for review in product.reviews for part in (f'"{review.title}"', f"{review.score:g}", review.body)
    ]
    return reviews or ["No reviews found"]


def _cut(parts: Iterable[str], limit: int) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if len(part) > limit:
            return [*kept, part[:limit] + CUT]
        kept.append(part)
        limit -= len(part)
    return kept
