"""WebShop's reward: every rule on cases of its own."""

from typing import Any

import pytest

from envs.webshop.catalogue import Product
from envs.webshop.goals import Goal
from envs.webshop.scoring import alike, has_attribute, judge, matched_options, type_match
from envs.webshop.words import colour, nouns

PATH = "Home \u203a Furniture \u203a Tables"


def product(**fields: Any) -> Product:
    plain: dict[str, Any] = {
        "asin": "B000000001",
        "title": "Oak Console Table",
        "description": "",
        "bullets": (),
        "price_tag": "$35.0",
        "price": 35.0,
        "category": "garden",
        "query": "console tables",
        "product_category": PATH,
        "options": {"color": ("light blue", "red"), "size": ("large", "small")},
        "attributes": ("solid wood", "easy assemble"),
    }
    return Product(**plain | fields)


def goal(**fields: Any) -> Goal:
    plain: dict[str, Any] = {
        "name": "B000000001-0",
        "asin": "B000000001",
        "instruction": "Find me solid wood console tables",
        "attributes": ("solid wood", "easy assemble"),
        "options": ("light blue", "large"),
        "price_upper": 40.0,
        "title": "Oak Console Table",
        "query": "console tables",
        "product_category": PATH,
    }
    return Goal(**plain | fields)


def test_bought_as_asked_is_one() -> None:
    verdict = judge(product(), ["light blue", "large"], goal())
    assert verdict.reward == 1.0
    assert verdict.info() == {
        "r_type": 1.0,
        "query_match": True,
        "category_match": True,
        "title_score": 1.0,
        "r_att": 1.0,
        "w_att": 0.4,
        "r_option": 1.0,
        "w_option": 0.4,
        "r_price": 1.0,
        "w_price": 0.2,
    }


@pytest.mark.parametrize(
    ("fields", "chosen", "reward"),
    [
        ({}, [], 3 / 5),
        ({}, ["light blue"], 4 / 5),
        ({"price": 40.0}, ["light blue", "large"], 1.0),
        ({"price": 40.01}, ["light blue", "large"], 4 / 5),
        ({"attributes": ("solid wood",)}, ["light blue", "large"], 4 / 5),
        ({"attributes": (), "price": 41.0}, [], 0.0),
    ],
)
def test_the_reward_is_the_share_of_what_was_asked_for(
    fields: dict[str, Any], chosen: list[str], reward: float
) -> None:
    assert judge(product(**fields), chosen, goal()).reward == pytest.approx(reward)


OTHER = {"query": "desks", "product_category": "Office \u203a Desks"}
TEN = "alpha bravo charlie delta echo foxtrot golf hotel india juliett"


@pytest.mark.parametrize(
    ("bought", "wanted", "score", "factor"),
    [
        (TEN, TEN, 1.0, 1.0),
        ("alpha bravo charlie kilo", TEN, 0.3, 1.0),
        ("alpha bravo kilo", TEN, 0.2, 0.5),
        ("alpha kilo", TEN, 0.1, 0.5),
        ("alpha kilo", TEN + " kappa", 1 / 11, 0.1),
        ("kilo lima", TEN, 0.0, 0.0),
        ("kilo lima", "2 x 4", 0.2, 0.5),
    ],
)
def test_levels_of_the_type(bought: str, wanted: str, score: float, factor: float) -> None:
    match = type_match(product(title=bought, **OTHER), goal(title=wanted))
    assert (match.query_match, match.category_match) == (False, False)
    assert (match.title_score, match.factor) == (pytest.approx(score), factor)


def test_a_query_or_two_categories_make_the_type() -> None:
    wanted = goal(title=TEN)
    assert type_match(product(title="alpha kilo"), wanted).factor == 1.0
    assert type_match(product(title="alpha kilo", query="desks"), wanted).factor == 1.0
    shared = {"query": "desks", "product_category": "Home \u203a Home \u203a Desks"}
    assert type_match(product(title="alpha kilo", **shared), wanted).factor == 0.5
    assert type_match(product(title="kilo"), wanted).factor == 0.0, "no noun in common is no match at all"


def test_repeated_nouns_count_in_the_wanted_title() -> None:
    assert type_match(product(title="Bar Table"), goal(title="Bar Bar Table Lamp")).title_score == 0.5


def test_attributes_match_by_likeness_or_in_the_texts() -> None:
    assert has_attribute(product(attributes=("essential oil",)), "essential oils")
    assert has_attribute(product(attributes=("wood solid oak",)), "solid wood")
    plain = product(attributes=("metal",))
    assert not has_attribute(plain, "tea tree")
    assert has_attribute(product(attributes=(), title="With Tea Tree Oil"), "tea tree")
    assert has_attribute(product(attributes=(), bullets=("A", "Made of TEA TREE")), "tea tree")
    assert has_attribute(product(attributes=(), description="tea tree inside"), "tea tree")


def test_options_match_by_likeness_after_colours() -> None:
    assert colour("light blue") == colour("blue-2") == "blue"
    assert colour("xx-large") == "xx-large"
    assert matched_options(["blue"], ["light blue"]) == 1
    assert matched_options(["black"], ["light blue"]) == 0
    assert matched_options(["pack of 12"], ["Pack of 12", "small"]) == 1
    assert matched_options([], ["small"]) == 0
    assert matched_options(["small"], []) == 0


def test_likeness_is_above_85_rounded() -> None:
    assert alike("essential oil", "Essential-Oils!")
    assert not alike("small", "medium")
    assert not alike("", "")
    assert not alike("+", "+"), "thefuzz compares letters and digits only"
    assert not alike("army\u00a0green", "green"), (
        "thefuzz drops Latin-1's upper half, and joins what it parted"
    )


SHOE = "adidas Unisex-Adult D.o.n. Issue 2 {} Shoe"
CORD = "Saireed UL Listed 2 Prong Power Cord for JBL Bar 3.1 Bar 2.1 Channel 4K Ultra HD Soundbar"
THEATER = " Home Theater System"
OTHER_CORD = "BRST AC Power Cord Outlet Socket Cable Plug Lead for Panasonic SC-HT830V DVD/VCR Combo"


@pytest.mark.parametrize(
    ("wanted", "bought", "spacy"),
    [
        (SHOE.format("Basketball"), SHOE.format("Indoor Court"), 0.85),
        (f"{CORD}{THEATER} Subwoofer", OTHER_CORD + THEATER, 0.31),
        (CORD, OTHER_CORD + THEATER, 0.17),
    ],
)
def test_noun_overlap_is_the_taggers(wanted: str, bought: str, spacy: float) -> None:
    """The figures are those that WebShop's own tests expect of spaCy's large model."""
    score = type_match(product(title=bought, **OTHER), goal(title=wanted)).title_score
    assert score == pytest.approx(spacy, abs=0.01)


def test_nouns_leave_out_numbers_and_small_words() -> None:
    assert nouns("2 Listed New Cables for the 4K TV, it's a Cable") == ["cables", "tv", "it's", "cable"]
