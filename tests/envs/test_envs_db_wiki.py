"""Tasks over tables of Wikipedia: answers are right, the division holds, slips show and are mended."""

import json
import lzma
import random
from pathlib import Path

import pytest

from envs.dbbench.engines.port import Table
from envs.dbbench.environment import DbEnvironment
from envs.dbbench.expert import Expert, shows_nothing
from envs.dbbench.reference import Reference, References
from envs.dbbench.settings import DbSettings
from envs.dbbench.slips import draw_slip, slip_column, slip_name, slip_value
from envs.dbbench.tasks.plan import DELETE, INSERT, ROWS, UPDATE, Condition, Plan
from envs.dbbench.tasks.wiki.generator import ROUND, WIKI_TRAIN, WIKI_UNSEEN, WikiGenerator
from envs.dbbench.tasks.wiki.look_ups import solve
from envs.dbbench.tasks.wiki.rows import find_answer
from envs.dbbench.tasks.wiki.sources import (
    ASKED,
    LOOK_UPS,
    TABLES,
    Asked,
    LookUp,
    SourceError,
    WikiTable,
    is_unseen,
)
from tests.conftest import DATA

HEADERS = ["Rank", "Player", "Country (code)", "Points\nwon"]
PEOPLE = ("Ana Ruiz", "Bo Lind", "Cy Young", "Di Wu", "Ed Lee", "Flo Ito", "Gus Orr", "Hal Fox")


def write_sources(folder: Path, tables: int = 40) -> Path:
    """Write the three files, small, in the form of the data sets."""
    rows = [
        [[str(at + 1), one, f"Land {at % 3}", str(100 - 7 * at)] for at, one in enumerate(PEOPLE)]
        for _ in range(tables)
    ]
    listed = [
        {"table_id": f"csv/{at}", "title": f"Masters of {1960 + at}", "headers": HEADERS, "rows": rows[at]}
        for at in range(tables)
    ]
    looked_up = [
        {
            "id": str(at),
            "table_id": f"csv/{at}",
            "question": "which country is cy young from?",
            "answers": ["Land 2"],
        }
        for at in range(tables)
    ]
    asked = [
        {
            "table_id": f"1-{at}",
            "question": f"What is the {name} when the score is {40 + at}?",
            "columns": ["Player", "Score", "Year"],
            "select": name,
            "agg": "" if name == "Player" else "MAX",
            "conditions": [
                {"column": "Score", "operator": "=", "value": str(40 + at)},
                *([{"column": "Player", "operator": "=", "value": PEOPLE[at % 8]}] if name == "Year" else []),
            ],
        }
        for at in range(tables)
        for name in ("Player", "Year")
    ]
    for name, lines in ((TABLES, listed), (LOOK_UPS, looked_up), (ASKED, asked)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with lzma.open(folder / name, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources"))


async def play(environment: DbEnvironment, task_id: str, reference: Reference) -> tuple[float, list[str]]:
    """Play a task with the expert; its reward, and what was shown."""
    opening = await environment.start(await environment.task(task_id), 0)
    expert = Expert(opening.frame.observation, opening.instruction, reference)
    policy = expert.play()
    shown: list[str] = []
    action = next(policy)
    while True:
        frame = await environment.step(opening.handle, action)
        shown.append(frame.observation)
        if frame.done:
            await environment.end(opening.handle)
            return frame.reward, shown
        action = policy.send(frame.observation)


async def test_the_expert_solves_tasks_of_every_kind_with_their_plans(sources: Path) -> None:
    environment = DbEnvironment(DbSettings(dbbench_sources=sources, dbbench_sourced=60, dbbench_generated=0))
    await environment.open()
    try:
        assert environment.metadata.splits == [WIKI_TRAIN, WIKI_UNSEEN]
        generator = WikiGenerator(sources, 0)
        kinds: set[str] = set()
        mended = 0
        for split in (WIKI_TRAIN, WIKI_UNSEEN):
            for number in range(3 * len(ROUND)):
                made = generator.make(split, number)
                reference = Reference(made.plan, made.question.tables[0])
                reward, shown = await play(environment, f"{split}/{number}", reference)
                assert reward == 1.0, (made.question.text, made.plan.sql(), shown)
                kinds.add(made.question.kind)
                mended += any(map(shows_nothing, shown[:-1]))
        assert {INSERT, UPDATE, DELETE, "comparison", "other"} <= kinds
        assert mended > 3, "slips that find nothing are made, and mended"
    finally:
        await environment.close()


def test_tables_of_the_two_splits_are_apart_and_tasks_follow_from_the_seed(sources: Path) -> None:
    one, two = WikiGenerator(sources, 0), WikiGenerator(sources, 0)
    changes = [number for number, kind in enumerate(ROUND * 8) if kind in (INSERT, UPDATE)]
    for split, unseen in ((WIKI_TRAIN, False), (WIKI_UNSEEN, True)):
        assert all(is_unseen(table.id) is unseen for table in one._sources[unseen].tables)
        assert one._sources[unseen].tables
        for number in changes[:8]:
            assert one.make(split, number) == two.make(split, number)
    assert one.make(WIKI_TRAIN, 0) != WikiGenerator(sources, 1).make(WIKI_TRAIN, 0)


def test_a_folder_that_lacks_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"tables\.jsonl\.xz"):
        WikiGenerator(tmp_path, 0)
    write_sources(tmp_path, tables=3)
    (tmp_path / ASKED).write_bytes(b"no archive")
    with pytest.raises(SourceError, match="wikisql"):
        WikiGenerator(tmp_path, 0)


async def test_a_server_with_a_bad_folder_says_why_it_is_not_ready(tmp_path: Path) -> None:
    environment = DbEnvironment(DbSettings(dbbench_sources=tmp_path, dbbench_generated=1))
    await environment.open()
    try:
        assert "tables.jsonl.xz" in (await environment.ready() or "")
    finally:
        await environment.close()


TABLE = WikiTable(
    "t",
    "Races",
    ("Race", "City", "Wins"),
    (("First Cup", "Rome", "3"), ("Second Cup", "Oslo", "12"), ("Third Cup", "Rome", "7")),
)


@pytest.mark.parametrize(
    ("text", "answer", "sql"),
    [
        ("in which city was the second cup?", "Oslo", "SELECT `City` FROM `` WHERE `Race` = 'Second Cup'"),
        ("how many races were in rome?", "2", "SELECT COUNT(*) FROM `` WHERE `City` = 'Rome'"),
        (
            "which race has the most wins?",
            "Second Cup",
            "SELECT `Race` FROM `` ORDER BY REPLACE(`Wins`, ',', '') + 0 DESC LIMIT 1",
        ),
        ("which race came after the first cup?", "Second Cup", None),
        ("which city is best?", "Rome", None),
    ],
)
def test_a_query_is_found_only_where_it_alone_fits(text: str, answer: str, sql: str | None) -> None:
    found = solve(LookUp(TABLE, text, (answer,)))
    assert (found.plan.sql() if found else None) == sql


def test_answers_are_compared_as_the_statement_compares() -> None:
    rows = [{"Name": "a", "N": "1,200"}, {"Name": "B", "N": "30"}, {"Name": "b", "N": "x"}]

    def ask(select: str, function: str, relation: str, value: str) -> list[str] | None:
        column = "N" if relation != "=" else "Name"
        return find_answer(rows, Asked("t", "?", (), select, function, (Condition(column, relation, value),)))

    assert ask("Name", "", ">", "100") == ["a"]
    assert ask("Name", "COUNT", "=", "b") == ["2"]
    assert ask("N", "SUM", "=", "a") == ["1200"]
    assert ask("N", "SUM", "=", "b") is None, "a text cannot be added"
    assert ask("Name", "", "=", "c") == ["none"]


PLAN = Plan(UPDATE, "Towns", conditions=(Condition("Parish", "=", "Harris"),), pairs=(("LGA", "Ipswich"),))
TOWNS = Table.of("Towns", ["Parish", "LGA"], [["Harris", "Boonah"], ["Alfred", "Harris Park"]])


def test_a_slip_never_changes_what_it_should_not() -> None:
    text = "Set LGA to Ipswich for the Harris Park row"
    for seed in range(40):
        slip = slip_value(random.Random(seed), PLAN, PLAN.conditions[0], text, TOWNS)
        # "Harris Park" stands in the table: an UPDATE with it would do harm.
        assert slip is None or "= 'Harris Park'" not in slip.sql
    column = slip_column(random.Random(0), PLAN, PLAN.conditions[0], TOWNS)
    assert column is not None
    assert "WHERE `LGA` = 'Harris'" in column.sql


def test_a_short_name_that_is_a_column_is_no_slip() -> None:
    plan = Plan(ROWS, "Wars", ("Start of conflict",))
    for seed in range(40):
        slip = slip_name(random.Random(seed), plan, ("Start of conflict", "Conflict"))
        assert slip is not None
        assert "`conflict`" not in slip.sql


async def test_what_another_did_already_is_not_done_again() -> None:
    done = "sql: DELETE FROM `Towns` WHERE `Parish` = 'Harris'"
    plan = Plan(DELETE, "Towns", conditions=PLAN.conditions)
    expert = Expert("seen", "Delete the parish Harris.", Reference(plan, TOWNS))
    expert.follow(done, "Query OK, 1 row affected")
    expert.follow(done, "Query OK, 0 rows affected")
    assert list(expert.play()) == ['answer: ["done"]']
    asked = Plan(ROWS, "Towns", ("LGA",), PLAN.conditions)
    expert = Expert("seen", "Where is Harris?", Reference(asked, TOWNS))
    expert.follow(f"SQL:  {asked.sql()};".replace("SQL:", "sql:"), "[('Boonah',)]")
    expert.follow("answer Boonah", "Not understood.")
    assert list(expert.play()) == ['answer: ["Boonah"]']


def test_held_out_tasks_have_no_references(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_DBBENCH_SOURCES", str(sources))
    found = References()
    assert found.find("wiki_train/3") is not None
    assert found.find("wiki_unseen/3") is None
    assert found.find("dev/3") is None


def test_slips_need_a_table_to_be_silent() -> None:
    plan = Plan(ROWS, "Towns", ("LGA",), (Condition("Parish", "=", "Harris"),))
    slips = [draw_slip(random.Random(seed), plan, "the parish Harris", None) for seed in range(200)]
    assert not any(slip.silent for slip in slips if slip)


@pytest.mark.skipif(not (DATA / ASKED).is_file(), reason="WikiSQL is not here")
def test_the_real_data_makes_tasks_of_every_kind() -> None:
    generator = WikiGenerator(DATA, 0)
    texts = {
        generator.make(split, number).question.text
        for split in (WIKI_TRAIN, WIKI_UNSEEN)
        for number in range(240)
    }
    assert len(texts) > 440
