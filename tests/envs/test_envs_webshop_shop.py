"""WebShop's parts without HTTP: actions, pages, search, goals, the generator, the loaders."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.webshop.actions import Action, parse
from envs.webshop.catalogue import CatalogueError, Product, priced, read_official
from envs.webshop.environment import WebshopEnvironment
from envs.webshop.expert import Wish, offered
from envs.webshop.generator import Generator
from envs.webshop.goals import NO_LIMIT, Goal, goals_of, held_out, human_goals, price_limit
from envs.webshop.pages import BUY, Page
from envs.webshop.scoring import judge
from envs.webshop.settings import WebshopSettings
from envs.webshop.shop import Shop, Visit

PRODUCTS = tuple(Generator(0).products(120))
SHOP = Shop(PRODUCTS)
GOALS = tuple(goals_of(PRODUCTS))


ENVIRONMENT = WebshopEnvironment(WebshopSettings(webshop_data=None, webshop_generated=40))
asyncio.run(ENVIRONMENT.open())


def act(visit: Visit, text: str) -> Visit:
    action = parse(text)
    assert action is not None
    after = SHOP.act(visit, action)
    assert after is not None, text
    return after


def buttons(visit: Visit) -> list[str]:
    return list(SHOP.page(visit).clickables)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("search[red shoe]", Action("search", "red shoe")),
        ("  Click[ Buy   NOW ] ", Action("click", "buy now")),
        ("click [< Prev].", Action("click", "< prev")),
        ("SEARCH[a [b] c]", Action("search", "a [b] c")),
        ("click[]", None),
        ("click[ ]", None),
        ("buy[it]", None),
        ("click Buy Now", None),
        ("search[a", None),
        ("", None),
    ],
)
def test_actions_are_understood(text: str, action: Action | None) -> None:
    assert parse(text) == action


def test_pages_of_results_turn_to_their_ends() -> None:
    visit = act(Visit(GOALS[0]), "search[easy install easy clean machine wash gluten free heavy duty]")
    assert visit.hits is not None
    assert len(visit.hits) == 50
    assert len(set(visit.hits)) == 50
    assert buttons(visit)[:2] == ["back to search", "next >"]
    seen: list[str] = []
    for number in range(1, 6):
        shown = buttons(visit)
        seen += [button for button in shown if button.startswith("b0")]
        assert ("< prev" in shown, "next >" in shown) == (number > 1, number < 5)
        assert f"Page {number} (Total results: 50)" in SHOP.page(visit).text()
        if number < 5:
            visit = act(visit, "click[Next >]")
    assert seen == [asin.lower() for asin in visit.hits or ()]
    assert act(visit, "click[< Prev]").number == 4
    assert act(visit, "click[Back to Search]") == Visit(GOALS[0])


def test_a_search_without_hits_shows_an_empty_page() -> None:
    visit = act(Visit(GOALS[0]), "search[zzzzqqq]")
    assert buttons(visit) == ["back to search"]
    assert "Page 1 (Total results: 0)" in SHOP.page(visit).text()


def test_details_lead_back_to_the_product_with_its_choices() -> None:
    product = next(product for product in PRODUCTS if len(product.options) == 2 and product.reviews)
    goal = next(goal for goal in GOALS if goal.asin == product.asin)
    visit = act(act(Visit(goal), f"search[{product.title}]"), f"click[{product.asin}]")
    value = next(iter(product.options.values()))[0]
    visit = act(visit, f"click[{value.upper()}]")
    assert list(visit.chosen.values()) == [value]
    shown = {
        "Description": product.description,
        "Features": product.bullets[0],
        "Reviews": product.reviews[0].body,
        "Attributes": " [SEP] ".join((*product.attributes, product.category, product.query)),
    }
    for detail, text in shown.items():
        page = act(visit, f"click[{detail}]")
        assert text in SHOP.page(page).text()
        assert buttons(page) == ["back to search", "< prev"]
        assert act(page, "click[< Prev]") == visit
    back = act(visit, "click[< Prev]")
    assert (back.asin, dict(back.chosen)) == ("", {}), "leaving a product forgets its options"


def test_the_button_of_attributes_can_be_left_out() -> None:
    shop = Shop(PRODUCTS[:5], attributes=False)
    visit = Visit(GOALS[0], hits=(PRODUCTS[0].asin,), asin=PRODUCTS[0].asin)
    assert "attributes" not in shop.page(visit).clickables
    assert shop.act(visit, Action("click", "attributes")) is None


def test_long_details_are_cut() -> None:
    product = PRODUCTS[0]
    shop = Shop(PRODUCTS[:5], page_chars=len(product.bullets[0]) + 4)
    page = shop.page(Visit(GOALS[0], hits=(), asin=product.asin, detail="Features"))
    assert page.text().partition("\n")[0].endswith(f"{product.bullets[0]} [SEP] {product.bullets[1][:4]}...")


def test_what_is_not_on_the_page_is_not_possible() -> None:
    visit = Visit(GOALS[0])
    for words in ("buy now", "search", "next >", "description", PRODUCTS[0].asin.lower()):
        assert SHOP.act(visit, Action("click", words)) is None
    results = act(visit, "search[table]")
    assert SHOP.act(results, Action("click", "buy now")) is None
    assert SHOP.act(results, Action("click", "< prev")) is None


def test_searches_repeat_and_ties_are_in_order() -> None:
    twins = [
        Product(
            asin=f"B00000{number:04}",
            title="Twin Lamp",
            description="",
            bullets=(),
            price_tag="$1.0",
            price=1.0,
            category="garden",
            query="lamps",
            product_category="Home",
            options={},
            attributes=("bright",),
        )
        for number in random.Random(1).sample(range(400), 400)
    ]
    found = Shop(twins).act(Visit(GOALS[0]), Action("search", "twin lamps"))
    assert found is not None
    assert found.hits == tuple(f"B00000{number:04}" for number in range(50))
    again = Shop(PRODUCTS)
    for goal in GOALS[:20]:
        action = Action("search", goal.instruction.lower())
        assert again.act(Visit(goal), action) == SHOP.act(Visit(goal), action)


def test_the_generator_repeats_and_grows() -> None:
    assert Generator(0).products(120) == list(PRODUCTS)
    assert Generator(0).products(150)[:120] == list(PRODUCTS)
    assert Generator(1).products(120) != list(PRODUCTS)
    assert len({product.asin for product in PRODUCTS}) == len(PRODUCTS)
    assert all(set(product.instruction_attributes) <= set(product.attributes) for product in PRODUCTS)


def test_generated_goals_bought_as_asked_are_worth_one() -> None:
    assert all(judge(SHOP.products[goal.asin], goal.options, goal).reward == 1.0 for goal in GOALS)


def test_goals_are_split_by_product_and_named_once() -> None:
    assert len({goal.name for goal in GOALS}) == len(GOALS)
    sides = {held: {goal.asin for goal in GOALS if held_out(goal.asin) is held} for held in (True, False)}
    assert not sides[True] & sides[False]
    assert min(len(side) for side in sides.values()) > 10
    first = [goal.asin for goal in GOALS[: len(PRODUCTS)]]
    assert len(set(first)) == len(first), "every product comes once before one comes again"


@pytest.mark.parametrize(("price", "limits"), [(35.0, {50.0, 60.0, 70.0}), (0.5, {20.0, 30.0, 40.0})])
def test_limits_of_the_price(price: float, limits: set[int]) -> None:
    drawn = {price_limit(price, str(number)) for number in range(200)}
    assert drawn == limits


def test_dear_products_have_no_limit() -> None:
    assert price_limit(985.0, "x") == NO_LIMIT
    assert priced("B1", [10.0, 20.0])[0] == "$10.0 to $20.0"
    assert 10 <= priced("B1", [10.0, 20.0])[1] <= 20
    assert priced("B1", []) == ("$100.0", 100.0)


def test_the_expert_reads_the_official_sentence() -> None:
    said = "Find me easy, soft shoes with storage for men with color: a, b, and size: 5: wide"
    said += ", and price lower than 40.00 dollars"
    assert Wish.parse(said) == Wish("easy, soft shoes with storage for men", ("a, b", "5: wide"), 40.0)
    assert Wish.parse("i need a lamp") == Wish("i need a lamp", (), float("inf"))


def test_the_expert_finds_options_in_free_text() -> None:
    wish = Wish.parse("i need a light blue shirt in size x-large, and price lower than 20.00 dollars")
    buttons = ["back to search", "< prev", "buy now", "light blue", "red", "x-large", "small"]
    page = Page(("a product",), buttons).text()
    assert offered(page, wish) == ["light blue", "x-large"]


def raw_item(asin: str, **fields: Any) -> dict[str, Any]:
    return {
        "asin": asin,
        "name": "Oak Table",
        "full_description": None,
        "small_description": "one bullet",
        "pricing": "$1,019.99$1,029.50",
        "category": "garden",
        "query": " Console Tables ",
        "product_category": "Home \u203a Tables",
        "customization_options": {"Color": [{"value": " Red/Blue "}, {"value": "Green"}], "Size": None},
    } | fields


def test_the_raw_form_is_read(tmp_path: Path) -> None:
    items = [
        raw_item("B1"),
        raw_item("B1"),
        raw_item("nan"),
        raw_item("B2", pricing="", customization_options=""),
    ]
    said = {
        "B1": {
            "attributes": ["solid wood"],
            "instruction": "Find me",
            "instruction_attributes": ["solid wood"],
        }
    }
    human = {
        "B1": [
            {"instruction": "i want it.", "instruction_attributes": ["oak"], "instruction_options": ["green"]}
        ]
    }
    (tmp_path / "items_shuffle_1000.json").write_text(json.dumps(items))
    (tmp_path / "items_ins_v2_1000.json").write_text(json.dumps(said))
    (tmp_path / "items_human_ins.json").write_text(
        json.dumps(human | {"B2": [{"instruction": "", "instruction_attributes": []}]})
    )
    data = read_official(tmp_path)
    first, second = data.products
    assert (first.query, first.bullets, first.description) == ("console tables", ("one bullet",), "")
    assert (first.price_tag, first.options) == ("$1019.99 to $1029.5", {"color": ("red | blue", "green")})
    assert (second.price, second.options, second.attributes) == (100.0, {}, ())
    assert [goal.options for goal in goals_of(data.products)] in (
        [("red | blue",), ("green",)],
        [("green",), ("red | blue",)],
    )
    (goal,) = human_goals(data.products, data.human)
    assert (goal.instruction, goal.options, goal.attributes) == ("i want it", ("green",), ("oak",))


def test_a_human_file_that_is_no_such_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "items_shuffle_1000.json").write_text("[]")
    (tmp_path / "items_ins_v2_1000.json").write_text("{}")
    (tmp_path / "items_human_ins.json").write_text('{"B1": [{"instruction": "x"}]}')
    with pytest.raises(CatalogueError, match="instruction_attributes"):
        read_official(tmp_path)


@pytest.mark.parametrize("content", [None, "[]", '[{"asin": "B1"}]', "{", "[1]"])
async def test_data_that_cannot_be_read_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "items_shuffle_1000.json").write_text(content)
        (tmp_path / "items_ins_v2_1000.json").write_text("{}")
    if content == "[]":
        assert read_official(tmp_path).products == []
        return
    with pytest.raises(CatalogueError, match="WebShop data"):
        read_official(tmp_path)
    environment = WebshopEnvironment(WebshopSettings(webshop_data=tmp_path, webshop_generated=10))
    assert await environment.ready() == "the shop is not open yet"
    await environment.open()
    assert str(tmp_path) in str(await environment.ready())
    assert environment.metadata.splits == ["generated_train", "generated_valid", "generated_unseen"]


async def test_every_fork_has_a_handle_of_its_own() -> None:
    environment = WebshopEnvironment(WebshopSettings(webshop_data=None, webshop_generated=20))
    await environment.open()
    opening = await environment.start(await environment.task("generated_train/0"), 0)
    forks = [await environment.fork(opening.handle) for _ in range(1000)]
    assert len(set(forks)) == 1000


@pytest.mark.parametrize(
    "words", ["\ud800 table", "\x00", "the of", '+-&|(){}^~*?:\\/"', "x" * 20_000, "a " * 9_999]
)
def test_odd_searches_are_answered(words: str) -> None:
    assert SHOP.act(Visit(GOALS[0]), Action("search", words)) is not None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_text_is_an_answer(texts: list[str]) -> None:
    async def play() -> None:
        opening = await ENVIRONMENT.start((await ENVIRONMENT.page("generated_valid", 0, 1))[0], 0)
        for text in texts:
            frame = await ENVIRONMENT.step(opening.handle, text)
            assert frame.observation
            assert 0.0 <= frame.reward <= 1.0
        await ENVIRONMENT.end(opening.handle)

    asyncio.run(play())


WORDS = st.sampled_from(["back to search", "< prev", "next >", "buy now", "description", "reviews", "search"])
CLICKS = st.one_of(WORDS, st.integers(0, 60), st.text(max_size=20))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(GOALS),
    st.lists(st.tuples(st.sampled_from(["search", "click", "raw"]), CLICKS), max_size=25),
)
def test_random_actions_never_raise(goal: Goal, moves: list[tuple[str, str | int]]) -> None:
    visit = Visit(goal)
    for verb, words in moves:
        page: Page = SHOP.page(visit)
        text = str(words)
        if isinstance(words, int) and page.clickables:
            text = page.clickables[words % len(page.clickables)]
        action = parse(text if verb == "raw" else f"{verb}[{text}]")
        after = SHOP.act(visit, action) if action else None
        if action and action.verb == "click":
            assert (after is not None) == (action.words in page.clickables)
        visit = after or visit
        observation = SHOP.page(visit).text()
        assert observation
        if visit.verdict is not None:
            assert 0.0 <= visit.verdict.reward <= 1.0
            assert "score" not in observation.lower()
            assert BUY not in observation
