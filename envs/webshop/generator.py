"""The generated shop: products of kinds that WebShop has, made from a seed.

Part of a product's attributes stand in its title, the rest in its features and on its page of attributes: to
know whether it is what the customer wants, one must look. The same seed makes the same products.
"""

import json
import random
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.webshop.catalogue import Product, Review, priced

GOODS = Path(__file__).with_name("goods.json")
LETTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CENTS = (0.0, 0.49, 0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Kind:
    """A kind of product."""

    query: str
    nouns: list[str]
    department: str
    path: str
    attributes: list[str]
    options: dict[str, list[str]]
    low: float
    """The least price, dollars."""
    high: float
    """The highest price, dollars."""
    uses: list[str]


class Generator:
    """Makes products.

    Args:
        seed: What they are made from.
    """

    def __init__(self, seed: int) -> None:
        goods: dict[str, Any] = json.loads(GOODS.read_text(encoding="utf-8"))
        self._kinds = [Kind(**kind) for kind in goods.pop("kinds")]
        self._words: dict[str, list[Any]] = goods
        self._seed = seed

    def products(self, count: int) -> list[Product]:
        """So many products; fewer of them are the first of more."""
        return [self._product(number) for number in range(count)]

    def _product(self, number: int) -> Product:
        draw = random.Random(f"webshop/{self._seed}/{number}")  # noqa: S311
        kind = self._kinds[number % len(self._kinds)]
        asin = _asin(draw, number)
        brand = draw.choice(self._words["brand_heads"]) + draw.choice(self._words["brand_tails"])
        noun = draw.choice(kind.nouns)
        words = {"brand": brand, "noun": noun.lower(), "use": draw.choice(kind.uses)}
        attributes = draw.sample(kind.attributes, draw.randint(3, 6))
        mentioned = attributes[: draw.randint(1, 2)]
        wanted = draw.sample(attributes, draw.randint(1, 3))
        options = {
            name: tuple(sorted(draw.sample(values, draw.randint(2, min(5, len(values)))), key=values.index))
            for name, values in kind.options.items()
            if draw.random() < 0.85
        }
        reviews = tuple(
            Review(title, score, body.format(**words))
            for title, score, body in draw.sample(self._words["reviews"], draw.randint(0, 3))
        )
        tag, price = priced(asin, _prices(draw, kind))
        return Product(
            asin=asin,
            title=self._title(draw, kind, words["brand"], noun, mentioned, words["use"]),
            description=draw.choice(self._words["descriptions"]).format(**words),
            bullets=tuple(self._bullet(draw, attribute, words) for attribute in attributes),
            price_tag=tag,
            price=price,
            category=kind.department,
            query=kind.query,
            product_category=kind.path,
            options=options,
            attributes=tuple(sorted(attributes)),
            reviews=reviews,
            rating=f"{sum(review.score for review in reviews) / len(reviews):.1f}" if reviews else "N.A.",
            instruction=_instruction(wanted, kind.query),
            instruction_attributes=tuple(wanted),
        )

    def _title(
        self, draw: random.Random, kind: Kind, brand: str, noun: str, mentioned: list[str], use: str
    ) -> str:
        """A title that names the kind too: the reward compares the nouns of titles."""
        adjective = draw.choice(self._words["adjectives"])
        shown = ", ".join(attribute.title() for attribute in mentioned)
        return f"{brand} {adjective} {noun} for {use.title()}, {shown}, {string.capwords(kind.query)}"

    def _bullet(self, draw: random.Random, attribute: str, words: dict[str, str]) -> str:
        form: str = draw.choice(self._words["bullets"])
        return form.format(attribute=attribute, Attribute=attribute.capitalize(), **words)


def _asin(draw: random.Random, number: int) -> str:
    """Ten letters and digits that no other product of the shop has."""
    tail = ""
    for _ in range(4):
        number, digit = divmod(number, len(LETTERS))
        tail = LETTERS[digit] + tail
    return "B0" + "".join(draw.choice(LETTERS) for _ in range(4)) + tail


def _prices(draw: random.Random, kind: Kind) -> list[float]:
    price = int(draw.uniform(kind.low, kind.high)) + draw.choice(CENTS)
    return [price, round(price + draw.randint(2, 8), 2)] if draw.random() < 0.15 else [price]


def _instruction(wanted: list[str], query: str) -> str:
    first, *rest = wanted
    return f"Find me {first} {query}" + (f" with {', '.join(rest)}" if rest else "")
