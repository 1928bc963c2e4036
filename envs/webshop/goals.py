"""Goals: what a customer wants, made from products as WebShop makes them.

A goal is a product's instruction, one combination of its options, and a limit of the price. Goals are in an
order in which every product comes once before one comes again, so that the first n are n products.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from envs.webshop.catalogue import HumanInstruction, Product, categories

PRICES = tuple(10.0 * step for step in range(1, 100))
"""The limits that an instruction may name, dollars."""
NO_LIMIT = 1_000_000.0
MAX_COMBINATIONS = 1000
"""The most goals of one product."""
HELD_OUT = 4
"""One product of so many is held out."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The attributes that are wanted."""

    name: str
    """`<ASIN>-<n>`."""
    asin: str
    instruction: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]
    """The wanted values."""
    price_upper: float
    """Dollars."""
    title: str
    query: str
    product_category: str

    def categories(self) -> set[str]:
        """The names in `product_category`."""
        return categories(self.product_category)


def held_out(asin: str) -> bool:
    """Whether a product's goals are for reporting alone: sha256 of the ASIN is divisible by four."""
    return int(hashlib.sha256(asin.encode()).hexdigest(), 16) % HELD_OUT == 0


def goals_of(products: Iterable[Product]) -> list[Goal]:
    """All goals of the products that have an instruction (WebShop's synthetic goals), in their order."""
    return _ordered(_product_goals(product) for product in products)


def human_goals(products: Iterable[Product], human: Mapping[str, Sequence[HumanInstruction]]) -> list[Goal]:
    """The goals that people wrote (`items_human_ins.json`), in their order."""
    return _ordered(_human_goals(product, human.get(product.asin, ())) for product in products)


def price_limit(price: float, key: str) -> float:
    """The higher of two drawn from the next four multiples of ten above a price, dollars.

    Args:
        price: Dollars.
        key: What the draw is made from.
    """
    above = [limit for limit in PRICES if limit > price][:4]
    return max(random.Random(f"limit/{key}").sample(above, 2)) if len(above) >= 2 else NO_LIMIT  # noqa: S311


def _ordered(families: Iterable[Iterator[Goal]]) -> list[Goal]:
    ranked: list[tuple[int, bytes, Goal]] = []
    for family in families:
        goals = sorted((_digest(goal.name), goal.name, goal) for goal in family)
        ranked += [(rank, digest, goal) for rank, (digest, _, goal) in enumerate(goals)]
    return [goal for _, _, goal in sorted(ranked, key=lambda entry: (entry[0], entry[1]))]


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _product_goals(product: Product) -> Iterator[Goal]:
    if not (product.instruction and product.instruction_attributes):
        return
    limit = price_limit(product.price, product.asin)
    names = sorted(product.options)
    for number in _combinations(math.prod(len(product.options[name]) for name in names)):
        combination = _combination(product, names, number)
        named = ", and ".join(f"{name}: {value}" for name, value in zip(names, combination, strict=True))
        text = f"{product.instruction} with {named}" if named else product.instruction
        yield _goal(product, number, text, product.instruction_attributes, combination, limit)


def _combinations(count: int) -> Iterable[int]:
    if count <= MAX_COMBINATIONS:
        return range(count)
    return sorted(random.Random(count).sample(range(count), MAX_COMBINATIONS))  # noqa: S311


def _combination(product: Product, names: list[str], number: int) -> tuple[str, ...]:
    """The combination of this number; the last name's value changes fastest."""
    chosen: list[str] = []
    for name in reversed(names):
        number, position = divmod(number, len(product.options[name]))
        chosen.append(product.options[name][position])
    return tuple(reversed(chosen))


def _human_goals(product: Product, written: Sequence[HumanInstruction]) -> Iterator[Goal]:
    for number, wish in enumerate(written):
        if wish.attributes:
            limit = price_limit(product.price, f"{product.asin}/{number}")
            yield _goal(product, number, wish.text.strip("."), wish.attributes, wish.options, limit)


def _goal(
    product: Product,
    number: int,
    text: str,
    attributes: tuple[str, ...],
    options: tuple[str, ...],
    limit: float,
) -> Goal:
    price = f", and price lower than {limit:.2f} dollars" if limit < NO_LIMIT else ""
    return Goal(
        name=f"{product.asin}-{number}",
        asin=product.asin,
        instruction=f"{text}{price}",
        attributes=attributes,
        options=options,
        price_upper=limit,
        title=product.title,
        query=product.query,
        product_category=product.product_category,
    )
