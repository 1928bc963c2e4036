"""Tasks over tables of Wikipedia: answers are right, the division holds, slips show and are mended."""

import json
import lzma
import random
from pathlib import Path

import pytest

from envs.dbbench.engines.port import Table
from envs.dbbench.engines.sqlite_engine import SqliteEngine
from envs.dbbench.environment import DbEnvironment
from envs.dbbench.expert import Expert, shows_nothing
from envs.dbbench.reference import Reference, References
from envs.dbbench.scoring import correct
from envs.dbbench.settings import DbSettings
from envs.dbbench.slips import draw_slip, slip_column, slip_name, slip_value
from envs.dbbench.tasks.plan import DELETE, INSERT, ROWS, UPDATE, Condition, Plan
from envs.dbbench.tasks.wiki import everyday
from envs.dbbench.tasks.wiki.changes import ChangeMaker
from envs.dbbench.tasks.wiki.generator import ROUND, WIKI_TRAIN, WIKI_UNSEEN, WikiGenerator
from envs.dbbench.tasks.wiki.look_ups import solve
from envs.dbbench.tasks.wiki.made import fill
from envs.dbbench.tasks.wiki.mentions import DASH, mention
from envs.dbbench.tasks.wiki.narration import Narrated, find_hint, narrate
from envs.dbbench.tasks.wiki.rows import find_answer
from envs.dbbench.tasks.wiki.selects import QuestionMaker
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


SCORE, SEASON = f"2{DASH}0", f"1998{DASH}99"
COLUMNS = ("Player", "Team", "Date", "Points", "Score")
ROW = ("Ana Ruiz", "Oslo", "April 3, 1998", "23", SCORE)


def draw_narrations(
    headers: tuple[str, ...], row: tuple[str | None, ...], count: int = 400
) -> list[Narrated]:
    found = [narrate(random.Random(seed), headers, row, 0) for seed in range(count)]
    return [one for one in found if one is not None]


def test_a_narrated_row_has_every_value_in_the_order_of_its_columns() -> None:
    made = draw_narrations(COLUMNS, ROW)
    assert {one.form for one in made} == {*everyday.ROWS, *everyday.LEADS, *everyday.STORIES}
    for one in made:
        text = fill(one.form, {"table": "T", **one.words})
        places = [text.index(value) for _, value in one.pairs]
        assert places == sorted(places), (text, one.pairs)
        assert dict(one.pairs) == dict(zip(COLUMNS, ROW, strict=True))


def test_a_value_without_its_column_stands_beside_what_shows_it() -> None:
    stories = [one.words["story"] for one in draw_narrations(COLUMNS, ROW) if "story" in one.words]
    assert any("for Oslo" in story and "23 points" in story for story in stories)
    assert all("Points" in story or "points" in story for story in stories)
    assert all("on 'April 3" in one or 'on "April 3' in one or "ate" in one for one in stories)


def test_a_row_with_a_gap_is_never_listed_without_names() -> None:
    made = draw_narrations(COLUMNS, (*ROW[:3], None, SCORE))
    assert made
    assert not [one for one in made if "row" in one.words]
    assert all("player " in one.words["subject"] for one in made if "subject" in one.words)


def test_a_preposition_stands_for_a_column_only_where_no_other_could_be_meant() -> None:
    found = find_hint("Venue", "Rome", ("Venue", "Score"))
    assert found is not None
    assert found.form == "at {value}"
    assert find_hint("Venue", "Rome", ("Venue", "City")) is None
    assert find_hint("Year", "1998", ("Year", "City")) is not None
    assert find_hint("Year", SEASON, ("Year", "City")) is None
    assert find_hint("Score", SCORE, ("Score",)) is None


NATIONS = ["Great Britain (GBR)", "Italy (ITA)", "Italy B", "Italy (ITA)", SEASON]


def draw_mentions(value: str, *, alone: bool = True, column: str = "Nation") -> set[tuple[str, str, str]]:
    condition = Condition(column, "=", value)
    found = [mention(random.Random(seed), condition, NATIONS, alone=alone) for seed in range(400)]
    return {(shown, one.value, one.mention) for shown, one in found}


def test_a_value_is_mentioned_in_other_letters_with_a_noun_and_in_part() -> None:
    value = "Great Britain (GBR)"
    made = draw_mentions(value)
    assert (value.lower(), value.lower(), "") in made
    assert {(f"nation {value}", value, ""), (f"the {value} nation", value, "")} <= made
    assert (f"'{value}'", value, "") in made
    assert ("Great Britain", value, "Great Britain") in made
    assert ("1998-99", SEASON, "1998-99") in draw_mentions(SEASON)
    assert not [
        shown for shown, _, _ in draw_mentions(value, alone=False) if "nation" in shown or "'" in shown
    ]


def test_a_part_that_two_values_have_is_no_mention() -> None:
    assert all(not part for _, _, part in draw_mentions("Italy (ITA)"))


TEAMS = Table.of(
    "Games", ["Nation", "Season", "Gold"], [["Great Britain (GBR)", SEASON, "3"], ["Italy", "2001", "5"]]
)


@pytest.mark.parametrize(
    ("condition", "shape"),
    [
        (Condition("Nation", "=", "Great Britain (GBR)", "Great Britain"), ROWS),
        (Condition("Season", "=", SEASON, "1998-99"), UPDATE),
        (Condition("Nation", "=", "Great Britain (GBR)", "great britain"), DELETE),
    ],
)
async def test_the_expert_finds_a_value_that_is_mentioned_in_part(condition: Condition, shape: str) -> None:
    pairs = (("Gold", "4"),) if shape == UPDATE else ()
    plan = Plan(shape, "Games", ("Gold",) if shape == ROWS else (), (condition,), pairs=pairs)
    expert = Expert("seen", f"Gold, Nation, Season: {condition.mention}", Reference(plan, TEAMS))
    engine = SqliteEngine(DbSettings(dbbench_generated=0))
    await engine.open()
    try:
        handle = await engine.create((TEAMS,))
        policy, actions, shown = expert.play(), list[str](), list[str]()
        action = next(policy)
        while action.startswith("sql: "):
            actions.append(action.removeprefix("sql: "))
            shown.append((await engine.run(handle, actions[-1])).text)
            action = policy.send(shown[-1])
    finally:
        await engine.close()
    assert len(actions) == 3
    assert shows_nothing(shown[0])
    assert shown[1] == f"[('{condition.value}',)]"
    assert actions[2] == plan.sql()
    assert shown[2] == ("[('3',)]" if shape == ROWS else "Query OK, 1 row affected")


def test_a_value_that_another_step_showed_is_not_looked_for() -> None:
    condition = Condition("Nation", "=", "Great Britain (GBR)", "Great Britain")
    plan = Plan(DELETE, "Games", conditions=(condition,))
    expert = Expert("seen", "Delete the nation Great Britain", Reference(plan, TEAMS))
    expert.follow("sql: SELECT * FROM `Games`", f"[('Great Britain (GBR)', '{SEASON}', '3')]")
    assert next(expert.play()) == f"sql: {plan.sql()}"
    stuck = Expert("seen", "Delete the nation Great Britain", Reference(plan, TEAMS))
    stuck.follow(f"sql: {plan.as_mentioned().sql()}", "Query OK, 0 rows affected")
    assert "LIKE '%Great Britain%'" in next(stuck.play())


GAMES = WikiTable(
    "t",
    "Games",
    ("Player", "Team", "Points", "Goals"),
    tuple((one, f"Team {at % 3}", str(90 - 7 * at), f"{at % 4},000") for at, one in enumerate(PEOPLE)),
)


async def test_everyday_questions_have_the_answers_that_the_database_gives() -> None:
    made = [found for seed in range(300) if (found := QuestionMaker(random.Random(seed), GAMES).make())]
    kinds = {one.question.kind for one in made}
    assert {"other", "comparison", "counting", "ranking", "aggregation-SUM", "aggregation-AVG"} <= kinds
    assert {"<", ">", "<=", ">="} <= {each.relation for one in made for each in one.plan.conditions}
    assert any(len(one.plan.conditions) > 1 for one in made)
    engine = SqliteEngine(DbSettings(dbbench_generated=0))
    await engine.open()
    try:
        for one in made[:120]:
            assert "{" not in one.question.text
            handle = await engine.create(one.question.tables)
            shown = (await engine.run(handle, one.plan.sql())).text
            assert correct(shown, one.question.label or ()), (one.question.text, one.plan.sql(), shown)
            await engine.end(handle)
    finally:
        await engine.close()


def test_everyday_words_are_in_training_alone(sources: Path) -> None:
    generator = WikiGenerator(sources, 0)
    cut = (
        " is really ",
        "Due to a correction",
        "From left to right",
        "on 'April",
        "Clean up",
        "no longer be in",
    )
    texts = {
        split: [generator.make(split, number).question.text for number in range(240)]
        for split in (WIKI_TRAIN, WIKI_UNSEEN)
    }
    assert any(part in text for text in texts[WIKI_TRAIN] for part in cut)
    assert not any(part in text for text in texts[WIKI_UNSEEN] for part in cut)


def test_a_change_in_everyday_words_has_its_values_in_the_sentence() -> None:
    made = [
        found
        for seed in range(300)
        if (
            found := ChangeMaker(random.Random(seed), GAMES, freely=True).make(
                (INSERT, UPDATE, DELETE)[seed % 3]
            )
        )
    ]
    assert len(made) > 150
    for one in made:
        wanted = [value for _, value in one.plan.pairs]
        wanted += [each.mention or each.value for each in one.plan.conditions]
        assert all(value in one.question.text for value in wanted), (one.question.text, wanted)
