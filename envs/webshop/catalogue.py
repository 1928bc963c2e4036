"""Products, and how they are read from WebShop's files.

Two forms are known: the search engine's documents, whose products are ready made, and the raw items.
"""

import json
import lzma
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RAW = ("items_shuffle_1000.json", "items_shuffle.json")
DOCUMENTS = ("documents_1k.jsonl.xz", "documents_1k.jsonl", "documents.jsonl.xz", "documents.jsonl")
INSTRUCTIONS = ("items_ins_v2_1000.json", "items_ins_v2.json")
HUMAN = ("items_human_ins.json",)
NO_PRICE = 100.0
"""The price of a product that states none, dollars (as WebShop has it)."""
DOLLARS = re.compile(r"\$\s*(\d[\d,]*(?:\.\d+)?)")
CATEGORY = "\u203a"
"""What separates the names in a path of categories."""
MAX_ASIN = 10


class CatalogueError(ValueError):
    """Raised when the data folder cannot be used; the message has what is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a buyer wrote."""

    title: str
    score: float
    """Stars, 1 to 5."""
    body: str


@dataclass(frozen=True, slots=True)
class Product:
    """One product."""

    asin: str
    title: str
    description: str
    bullets: tuple[str, ...]
    price_tag: str
    """The price as pages show it: `$9.99`, or `$9.99 to $12.99`."""
    price: float
    """What is paid, dollars."""
    category: str
    """The department."""
    query: str
    """The words under which it was collected: its kind, `console tables`."""
    product_category: str
    """The path of its categories, the widest first."""
    options: Mapping[str, tuple[str, ...]]
    """An option's values by its name."""
    attributes: tuple[str, ...]
    reviews: tuple[Review, ...] = ()
    rating: str = "N.A."
    instruction: str = ""
    """A customer's instruction for it, without options and price; empty where no customer wants it."""
    instruction_attributes: tuple[str, ...] = ()

    def categories(self) -> set[str]:
        """The names in `product_category`."""
        return categories(self.product_category)


def categories(path: str) -> set[str]:
    """The names in a path of categories."""
    return {name.strip() for name in path.split(CATEGORY)}


@dataclass(frozen=True, slots=True)
class HumanInstruction:
    """What a person wrote who wanted a product."""

    text: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]
    """The wanted values."""


@dataclass(frozen=True)
class OfficialData:
    """The official files of one folder, read."""

    products: list[Product]
    human: dict[str, list[HumanInstruction]]
    """By ASIN, out of `items_human_ins.json`; empty where the file is missing."""


def read_official(folder: Path) -> OfficialData:
    """Read the official data; the raw form is preferred where both are there.

    Raises:
        CatalogueError: A file is missing or is not what WebShop publishes under its name.
    """
    raw, documents = _first(folder, RAW), _first(folder, DOCUMENTS)
    instructions = _first(folder, INSTRUCTIONS)
    if instructions is None or (raw is None and documents is None):
        raise CatalogueError(
            f"no WebShop data in {folder}: it needs {INSTRUCTIONS[0]} and {RAW[0]} or {DOCUMENTS[0]}"
        )
    try:
        wishes: dict[str, Any] = json.loads(instructions.read_text(encoding="utf-8"))
        if raw is not None:
            products = list(_from_raw(json.loads(raw.read_text(encoding="utf-8")), wishes))
        else:
            assert documents is not None
            products = list(_from_documents(_lines(documents), wishes))
        human = _first(folder, HUMAN)
        return OfficialData(products, _human(json.loads(human.read_text(encoding="utf-8"))) if human else {})
    except (KeyError, TypeError, ValueError, AttributeError, OSError, lzma.LZMAError) as error:
        raise CatalogueError(f"the WebShop data in {folder} cannot be read: {error!r}") from error


def _human(written: dict[str, list[dict[str, Any]]]) -> dict[str, list[HumanInstruction]]:
    return {asin: [_written(record) for record in records] for asin, records in written.items()}


def _written(record: dict[str, Any]) -> HumanInstruction:
    options = record.get("instruction_options") or ()
    return HumanInstruction(
        record["instruction"],
        tuple(record["instruction_attributes"]),
        tuple(options.values() if isinstance(options, dict) else options),
    )


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _from_documents(documents: Iterable[dict[str, Any]], wishes: dict[str, Any]) -> Iterator[Product]:
    for document in documents:
        item = document["product"]
        options = {name: tuple(values) for name, values in item["options"].items()}
        prices = [float(price) for price in item["pricing"]]
        yield _product(item, wishes, options, prices, item["Attributes"])


def _from_raw(items: Iterable[dict[str, Any]], wishes: dict[str, Any]) -> Iterator[Product]:
    seen: set[str] = set()
    for item in items:
        asin = item["asin"]
        if asin == "nan" or len(asin) > MAX_ASIN or asin in seen:
            continue
        seen.add(asin)
        prices = [float(found.replace(",", "")) for found in DOLLARS.findall(item.get("pricing") or "")]
        options: dict[str, tuple[str, ...]] = {}
        for name, values in (item.get("customization_options") or {}).items():
            if values is not None:
                options[name.lower()] = tuple(_option(value["value"]) for value in values)
        yield _product(item, wishes, options, prices, wishes.get(asin, {}).get("attributes", []))


def _option(value: str) -> str:
    return value.strip().replace("/", " | ").lower()


def _product(
    item: dict[str, Any],
    wishes: dict[str, Any],
    options: dict[str, tuple[str, ...]],
    prices: list[float],
    attributes: Iterable[str],
) -> Product:
    asin = item["asin"]
    bullets = item["small_description"]
    tag, price = priced(asin, prices)
    wish = wishes.get(asin, {})
    return Product(
        asin=asin,
        title=item["name"] or "",
        description=item["full_description"] or "",
        bullets=tuple([bullets] if isinstance(bullets, str) else bullets or ()),
        price_tag=tag,
        price=price,
        category=item["category"],
        query=item["query"].lower().strip(),
        product_category=item["product_category"],
        options={name: values for name, values in options.items() if values},
        attributes=tuple(attributes),
        instruction=wish.get("instruction") or "",
        instruction_attributes=tuple(wish.get("instruction_attributes") or ()),
    )


def priced(asin: str, prices: list[float]) -> tuple[str, float]:
    """How a price is shown and what is paid.

    Of a range WebShop draws the price at each start of its server; here it is drawn once, from the ASIN.
    """
    if not prices:
        prices = [NO_PRICE]
    if len(prices) == 1:
        return f"${prices[0]}", prices[0]
    low, high = prices[:2]
    return f"${low} to ${high}", random.Random(f"price/{asin}").uniform(low, high)  # noqa: S311
