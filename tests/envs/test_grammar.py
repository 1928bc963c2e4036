"""The languages of the environments: experts speak them, and they hold no name that was not shown."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from envs.alfworld.environment import AlfworldEnvironment
from envs.alfworld.grammar import MOST_NAMES, Seen, read_names
from envs.alfworld.grammar import render_grammar as render_house
from envs.alfworld.settings import AlfworldSettings, EngineKind
from envs.dbbench.engines.port import Table
from envs.dbbench.environment import DbEnvironment
from envs.dbbench.grammar import render_grammar as render_database
from envs.dbbench.settings import DbSettings
from envs.mind2web.environment import Mind2webEnvironment
from envs.mind2web.grammar import render_grammar as render_round
from envs.mind2web.settings import Mind2webSettings
from envs.os_interaction.environment import OsEnvironment
from envs.os_interaction.grammar import GRAMMAR
from envs.os_interaction.settings import OsSettings
from envs.serving.environment import Environment
from envs.serving.grammar import any_of, escape, read_grammar
from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from envs.webshop.environment import WebshopEnvironment
from envs.webshop.grammar import render_grammar as render_page
from envs.webshop.pages import Page
from envs.webshop.settings import WebshopSettings
from services.contracts.language import LANGUAGE, MAX_LANGUAGE
from tests.support import served
from training.construct.experts import player

TASKS, STEPS = 50, 60
MAKERS: dict[str, Callable[[], Any]] = {
    "alfworld": lambda: AlfworldEnvironment(AlfworldSettings(), EngineKind.NATIVE),
    "webshop": lambda: WebshopEnvironment(WebshopSettings()),
    "mind2web": lambda: Mind2webEnvironment(Mind2webSettings()),
    "dbbench": lambda: DbEnvironment(DbSettings()),
    "os_interaction": lambda: OsEnvironment(OsSettings()),
}


@asynccontextmanager
async def running(name: str) -> AsyncIterator[Any]:
    environment = MAKERS[name]()
    await environment.open()
    try:
        reason = await environment.ready()
        if reason is not None:
            pytest.skip(reason)
        yield environment
    finally:
        await environment.close()


def speaks(language: str, action: str) -> bool:
    return re.fullmatch(language, action) is not None


@pytest.mark.parametrize("name", MAKERS)
async def test_experts_speak_the_language(name: str) -> None:
    play = player(name)
    spoken = 0
    async with running(name) as environment:
        assert hasattr(environment, "grammar")
        for number in range(TASKS):
            [task] = await environment.page("generated_valid", number, number + 1)
            opening = await environment.start(task, 0)
            frame, moves = opening.frame, play(opening.frame.observation, opening.instruction, None)
            move = next(moves, None)
            for _ in range(STEPS):
                if move is None:
                    break
                language = environment.grammar(opening.handle)
                assert LANGUAGE.validate_python(language), "it is a pattern, and short enough"
                frame = await environment.step(opening.handle, move.action)
                if frame.valid:  # an expert shows how a slip is mended, too
                    assert speaks(language, move.action), (task.id, move.action)
                    spoken += 1
                if frame.done:
                    break
                try:
                    move = moves.send(frame.observation)
                except StopIteration:
                    break
            await environment.end(opening.handle)
    assert spoken >= TASKS


# What each language leaves out


async def test_a_house_names_what_its_agent_has_seen_and_nothing_else() -> None:
    play = player("alfworld")
    async with running("alfworld") as environment:
        [task] = await environment.page("generated_train", 3, 4)
        opening = await environment.start(task, 0)
        shown = [opening.frame.observation]
        moves = play(shown[0], opening.instruction, None)
        move = next(moves)
        first = environment.grammar(opening.handle)
        copy = await environment.fork(opening.handle)
        while True:
            language = environment.grammar(opening.handle)
            assert set(re.findall(r"take|slice|use", language)) == (
                {"take", "slice", "use"} if any(read_names(text) for text in shown[1:]) else set()
            )
            seen = {name for text in shown for name in read_names(text)}
            for kind in ("apple", "mug", "book", "soapbar", "pencil", "cabinet", "drawer"):
                for count in range(1, 4):
                    known = speaks(language, f"examine {kind} {count}")
                    assert known == (f"{kind} {count}" in seen)
            frame = await environment.step(opening.handle, move.action)
            shown.append(frame.observation)
            if frame.done:
                break
            move = moves.send(frame.observation)
        assert environment.grammar(copy) == first, "a fork has seen what was seen before it"
        await environment.end(opening.handle)
        assert read_grammar(environment, opening.handle) == ""


def test_a_house_has_verbs_for_what_was_seen() -> None:
    seen = Seen.begin("You are in a room. Looking quickly around you, you see a fridge 1, and a shelf 12.")
    language = render_house(seen)
    assert speaks(language, "go to shelf 12")
    assert not any(
        speaks(language, action) for action in ("go to shelf 1", "take cup 1 from shelf 12", "jump")
    )
    seen = seen.after("You arrive at shelf 12. On the shelf 12, you see a cup 1.")
    language = render_house(seen)
    for action in (
        "take cup 1 from shelf 12",
        "cool cup 1 with fridge 1",
        "slice cup 1 with cup 1",
        "use cup 1",
    ):
        assert speaks(language, action)
    for action in ("cool cup 1 with shelf 12", "heat cup 1 with fridge 1", "take shelf 12 from cup 1"):
        assert not speaks(language, action)
    assert seen.after("Nothing happens.") is seen
    crowd = seen.after(f"you see {', '.join(f'a cup {number}' for number in range(2, 1000))}.")
    assert len(crowd.objects) + len(crowd.receptacles) == MOST_NAMES
    assert len(render_house(crowd)) < MAX_LANGUAGE


def test_a_page_of_the_shop_has_its_buttons_and_its_search_bar() -> None:
    page = Page(["Instruction:", "Back to Search", "B000TEST01", "Size (x)"], ("back to search", "size (x)"))
    language = render_page(page)
    for action in ("click[back to search]", "click[Back to Search]", "click[Size (x)]"):
        assert speaks(language, action)
    for action in ("click[b000test01]", "click[Buy Now]", "search[cup]", "click[]", "click[size (x)"):
        assert not speaks(language, action)
    language = render_page(Page(["WebShop"], has_search_bar=True))
    assert speaks(language, "search[red cup, 4 oz]")
    assert not any(speaks(language, action) for action in ("search[]", "search[ ]", "click[Search]"))
    assert render_page(Page(["Thank you"], closed=True)) == ""


def test_a_round_has_the_letters_of_its_choices() -> None:
    language = render_round(2)
    for action in ("A", "B CLICK", "C TYPE san diego", "C SELECT 2 adults"):
        assert speaks(language, action)
    for action in ("D CLICK", "A CLICK", "B", "B TYPE ", "B HOVER", "C click"):
        assert not speaks(language, action)
    assert render_round(0) == "A"


def test_a_shell_has_three_forms() -> None:
    for action in (
        "bash: ls -la | wc -l",
        "```bash\nfor f in *; do\n\n  echo `pwd`\ndone\n```",
        "answer(4 (2))",
    ):
        assert speaks(GRAMMAR, action)
    assert speaks(GRAMMAR, "finish")
    for action in (
        "ls",
        "bash: ",
        "```bash\n```",
        "```bash\nls\n``` and",
        "answer()",
        "answer( )",
        "finish it",
    ):
        assert not speaks(GRAMMAR, action)


TABLES = [
    Table("Best films", ("Name", "Box office (US)", "Order", "a`b"), ()),
    Table("people", ("Id", "Name"), ()),
]


@pytest.mark.parametrize(
    "action",
    [
        "sql: SELECT `Name`, Name FROM `Best films` WHERE `Box office (US)` + 0 > 4.5 ORDER BY `Order`",
        "sql: SELECT COUNT(DISTINCT `Name`) AS n FROM people p WHERE p.`Name` LIKE '%O''N%' OR Id = \"a b\"",
        "sql: SELECT * FROM `Best films`;",
        "sql: SELECT ABS((SELECT `Id` FROM `people` WHERE `Name` = 'a') - (SELECT MAX(`Id`) FROM `people`))",
        "sql: SELECT t.`Id` FROM `people` t JOIN `Best films` ON t.`Name` = `Best films`.`Name`",
        "sql: SELECT COUNT(*) FROM (SELECT `Name` FROM `people` GROUP BY `Name` HAVING COUNT(*) > 1) AS t",
        "sql: INSERT INTO `Best films` (`Name`, `a``b`) VALUES ('it''s', NULL), (\"x\", 2)",
        "sql: INSERT INTO people VALUES ('1', 'b')",
        "sql: INSERT INTO people SET `Id` = '1', Name = 'b'",
        "sql: UPDATE `people` SET `Name` = 'b', `Id` = `Id` + 1 WHERE `Name` IN ('a', 'c') AND NOT Id = '3'",
        "sql: DELETE FROM `people` WHERE `Name` = '`Other`'",
        "sql: SHOW TABLES",
        "sql: DESCRIBE `Best films`",
        'answer: ["a", "\\"b\\"", "é"]',
        "answer: []",
    ],
)
def test_a_database_has_statements_on_its_names(action: str) -> None:
    assert speaks(render_database(TABLES), action)


@pytest.mark.parametrize(
    "action",
    [
        "sql: SELECT `Title` FROM `Best films`",
        "sql: SELECT Title FROM `Best films`",
        "sql: SELECT `Name` FROM `films`",
        "sql: SELECT `Name` FROM films",
        "sql: SELECT Order FROM `Best films`",
        "sql: SELECT `name of` FROM people",
        "sql: UPDATE `people` SET `Title` = 'b'",
        "sql: UPDATE `Name` SET `Name` = 'b'",
        "sql: INSERT INTO `people` (`Title`) VALUES ('b')",
        "sql: DELETE FROM `people` WHERE `Title` = 'b'",
        "sql: DROP TABLE people",
        "sql: SELECT `Name` FROM people; DROP TABLE people",
        "SELECT `Name` FROM people",
        "answer: a",
        'answer: ["a"',
        "sql: SELECT 'open",
    ],
)
def test_a_database_has_no_other_names_and_no_other_statements(action: str) -> None:
    assert not speaks(render_database(TABLES), action)


# The server


def test_equal_names_give_equal_texts() -> None:
    assert any_of(["b", "a", "b"]) == any_of(("a", "b")) == "(?:a|b)"
    text = "a.b*c+d?e(f)g[h]i{j}k|l\\m^n$ -/<>`'\"#é"
    assert re.fullmatch(escape(text), text)


@pytest.mark.parametrize(
    ("language", "outcome"), [("look|north", "look|north"), ("(", ""), ("a" * 20_001, "")]
)
async def test_a_session_shows_its_language_where_it_is_read(language: str, outcome: str) -> None:
    twin = TwinEnvironment()
    twin.grammar = lambda handle: language  # pyright: ignore[reportAttributeAccessIssue]

    def play(url: str) -> None:
        made = httpx.post(f"{url}/v1/sessions", json={"task_id": "corridors/0"}).json()
        session = f"{url}/v1/sessions/{made['session_id']}"
        assert made["grammar"] == ""
        assert httpx.get(session).json()["grammar"] == outcome
        stepped = httpx.post(f"{session}/steps", json={"action": "north"}).json()
        assert (stepped["done"], stepped["grammar"]) == (True, "")
        assert httpx.get(session).json()["grammar"] == "", "nothing is valid after the end"

    with served(serve(twin, EnvironmentSettings())) as url:
        await asyncio.to_thread(play, url)


def test_an_environment_without_a_grammar_has_no_language() -> None:
    class Plain:
        """An environment of before."""

    environment: Environment = Plain()  # pyright: ignore[reportAssignmentType]
    assert read_grammar(environment, "w1") == ""
    assert read_grammar(TwinEnvironment(), None) == ""


# The engine


@pytest.mark.parametrize(
    ("language", "spoken", "other"),
    [
        (
            render_house(Seen(frozenset({"shelf 1"}), frozenset({"cup 2"}))),
            "take cup 2 from shelf 1",
            "take cup 1",
        ),
        (render_page(Page(["< Prev"], ("< prev", "b0-x (2)"))), "click[b0-x (2)]", "click[b0]"),
        (render_round(5), "F TYPE San José", "G CLICK"),
        (GRAMMAR, "```bash\nls\n\necho `x`\n```", "ls"),
        (
            render_database(TABLES),
            "sql: SELECT `Box office (US)` FROM people",
            "sql: SELECT `Title` FROM people",
        ),
    ],
)
def test_the_engines_library_reads_it_as_python_does(language: str, spoken: str, other: str) -> None:
    xgrammar = pytest.importorskip("xgrammar")
    testing = pytest.importorskip("xgrammar.testing")
    compiled = xgrammar.Grammar.from_regex(language)
    for action in (spoken, other):
        assert (
            testing._is_grammar_accept_string(compiled, action)
            == speaks(language, action)
            == (action == spoken)
        )
