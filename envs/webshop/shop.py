"""The shop: what an action does to a visit.

A visit is a value that never changes: a step makes the next one, and a copy of a visit is the visit itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from envs.webshop import pages, scoring
from envs.webshop.actions import Action, fold
from envs.webshop.catalogue import Product
from envs.webshop.goals import Goal
from envs.webshop.pages import Page
from envs.webshop.scoring import Verdict
from envs.webshop.search import SearchEngine

NOTHING_CHOSEN: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a customer is. The fields that are set determine the page that is open."""

    goal: Goal
    hits: tuple[str, ...] | None = None
    """The ASINs that the last search found; None on the search page."""
    number: int = 1
    """The page of results, from 1."""
    asin: str = ""
    """The open product; empty on the results."""
    chosen: Mapping[str, str] = field(default_factory=lambda: NOTHING_CHOSEN)
    """The chosen values by their option's name."""
    detail: str = ""
    """The open page of the product's details."""
    verdict: Verdict | None = None
    """What the purchase is worth; None until it is made."""


class Shop:
    """Products, their search engine and their pages.

    Args:
        products: What is sold.
        attributes: Whether product pages lead to the page of attributes.
        page_chars: How much of a details page is shown, characters.
    """

    def __init__(
        self, products: Sequence[Product], *, attributes: bool = True, page_chars: int = 6000
    ) -> None:
        self.products = {product.asin: product for product in products}
        self._engine = SearchEngine(list(self.products.values()))
        self._details = tuple(name for name in pages.DETAILS if attributes or name != pages.ATTRIBUTES)
        self._page_chars = page_chars

    def page(self, visit: Visit) -> Page:
        """The page that a visit shows."""
        instruction = visit.goal.instruction
        if visit.verdict is not None:
            return pages.thanks_page()
        if visit.hits is None:
            return pages.search_page(instruction)
        if not visit.asin:
            first = (visit.number - 1) * pages.PER_PAGE
            shown = [self.products[asin] for asin in visit.hits[first : first + pages.PER_PAGE]]
            return pages.results_page(instruction, shown, visit.number, len(visit.hits))
        product = self.products[visit.asin]
        if visit.detail:
            return pages.detail_page(instruction, product, visit.detail, self._page_chars)
        return pages.product_page(instruction, product, self._details)

    def act(self, visit: Visit, action: Action) -> Visit | None:
        """The visit after an action; None where the action is not possible.

        A search is possible from every page, also where no search bar is, as in WebShop's text environment.
        """
        if visit.verdict is not None:
            return None
        if action.verb == "search":
            return Visit(visit.goal, hits=self._engine.search(action.words))
        if action.words not in self.page(visit).clickables:
            return None
        return self._click(visit, action.words)

    def _click(self, visit: Visit, button: str) -> Visit:
        if button == fold(pages.BACK_TO_SEARCH):
            return Visit(visit.goal)
        if button == fold(pages.PREVIOUS):
            return _back(visit)
        if button == fold(pages.NEXT):
            return replace(visit, number=visit.number + 1)
        if not visit.asin:
            return replace(visit, asin=next(asin for asin in visit.hits or () if fold(asin) == button))
        if button == fold(pages.BUY):
            return replace(visit, verdict=self._buy(visit))
        detail = next((name for name in self._details if fold(name) == button), None)
        return replace(visit, detail=detail) if detail else self._choose(visit, button)

    def _choose(self, visit: Visit, button: str) -> Visit:
        """Choose a value, in every option that offers it."""
        options = self.products[visit.asin].options
        found = {name: value for name, values in options.items() for value in values if fold(value) == button}
        return replace(visit, chosen=MappingProxyType({**visit.chosen, **found}))

    def _buy(self, visit: Visit) -> Verdict:
        return scoring.judge(self.products[visit.asin], list(visit.chosen.values()), visit.goal)


def _back(visit: Visit) -> Visit:
    """From details to the product, from the product to the results, else to the page of results before."""
    if visit.detail:
        return replace(visit, detail="")
    if visit.asin:
        return replace(visit, asin="", chosen=NOTHING_CHOSEN)
    return replace(visit, number=visit.number - 1)
