"""The database environment over real HTTP, on SQLite: its tasks, forks, rebuilds."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envs.dbbench.expert import Expert
from envs.dbbench.server import create
from envs.dbbench.tasks.generator import KINDS, ROUND, Generator
from envs.dbbench.tasks.questions import CHANGES
from envs.dbbench.tasks.reading import understood
from envs.dbbench.tasks.table import GENERATED_TRAIN, GENERATED_VALID
from envs.dbbench.tasks.topics import about, topics
from tests.envs.test_envs_db_support import FOLDER, NOT_IN_TABLE, Db, database, play_gold, questions
from tests.support import eventually, running

TABLE = {
    "table_name": "Club Members",
    "table_info": {
        "columns": [{"name": "Name"}, {"name": "Age"}, {"name": "Town or city"}],
        "rows": [["Ada", "36", "Ashton"], ["Bo", "9", ""], ["Cy", "41", "Dunmore"]],
    },
}


@pytest.fixture(scope="module")
def db() -> Iterator[Db]:
    """A server without any data."""
    with database() as served:
        yield served


@pytest.fixture(scope="module")
def official() -> Iterator[Db]:
    """A server with the official records."""
    questions()
    with database(agentbench_data=FOLDER, dbbench_generated=0) as served:
        yield served


def inline(instruction: str = "How old is Bo?", **data: Any) -> dict[str, Any]:
    return {"instruction": instruction, "data": {"table": TABLE} | data}


def test_metadata_says_what_it_is(db: Db) -> None:
    metadata = db.http.get("/metadata").json()
    assert metadata["splits"] == [GENERATED_TRAIN, GENERATED_VALID]
    assert (metadata["fork"], metadata["done_means"], metadata["takes_tasks"]) == ("native", "end", True)
    assert (metadata["terminal_action"], metadata["max_steps"]) == ("required", 15)
    assert len(f"{metadata['description']} {metadata['actions']}".split()) < 110
    assert metadata["engine"].startswith("sqlite 3")
    assert db.http.get("/schema").json()["action_language"] == metadata["actions"]
    assert db.http.get("/readyz").status_code == 200
    ended = db.step(db.create(inline(label=["9"]))["session_id"], metadata["terminal_example"])
    assert (ended["done"], ended["reward"]) == (True, 0.0)


def test_gold_statements_solve_every_official_task(official: Db) -> None:
    found = questions()
    states = [play_gold(official, number, question) for number, question in enumerate(found)]
    failed = [
        number for number, state in enumerate(states) if (state["reward"], state["done"]) != (1.0, True)
    ]
    assert failed == []
    assert len(states) == 60
    assert {found[number].kind for number in NOT_IN_TABLE} == {"other", "ranking"}


def test_an_untouched_table_is_not_the_changed_one(official: Db) -> None:
    for number, question in enumerate(questions()):
        if question.changes:
            state = official.step(official.create(f"dev/{number}")["session_id"], 'answer: ["done"]')
            assert (state["reward"], state["done"]) == (0.0, True), number


def test_the_first_observation_is_agentbenchs(official: Db) -> None:
    state = official.create("dev/3")
    assert state["observation"] == (
        "Additional table information about the question: The name of this table is "
        "skyscrapers_in_Columbus, and the headers of this table are "
        "Rank,Name,Height\\nft / m,Floors,Year,Notes.\n"
        "Question: how many floors does the capitol square have?"
    )
    unnamed = official.create("dev/5")["observation"]
    assert "column_1,Name on the Register" in unnamed, "MySQL takes no column without a name"


def test_the_expert_solves_generated_tasks(db: Db) -> None:
    kinds: Counter[str] = Counter()
    for split in (GENERATED_TRAIN, GENERATED_VALID):
        for number in range(44):
            task = f"{split}/{number}"
            kinds[db.http.get(f"/v1/tasks/{task}").json()["kind"]] += 1
            state = db.play(task, Expert)
            assert (state["reward"], state["done"]) == (1.0, True), task
            assert state["step_count"] <= 15
    assert len(kinds) == 11
    assert set(CHANGES) < set(kinds)


def test_the_experts_thoughts_give_reasons(db: Db) -> None:
    state = db.create(f"{GENERATED_TRAIN}/1")
    expert = Expert(state["observation"], state["instruction"])
    policy = expert.play()
    action, thoughts = next(policy), []
    while not state["done"]:
        thoughts.append(expert.thought)
        state = db.step(state["session_id"], action)
        if not state["done"]:
            action = policy.send(state["observation"])
    assert len(set(thoughts)) == len(thoughts) > 1
    assert all(8 < len(thought) < 250 for thought in thoughts)


def test_the_expert_says_what_it_does_not_understand() -> None:
    expert = Expert("Question: who wins?", "who wins?")
    assert not expert.understands
    assert list(expert.play()) == []


def test_most_generated_tasks_change_the_table_as_in_the_benchmark() -> None:
    kinds = Counter(Generator(3).question(GENERATED_TRAIN, number).kind for number in range(len(ROUND)))
    assert set(kinds) == KINDS
    assert 0.55 < sum(kinds[kind] for kind in CHANGES) / len(ROUND) < 0.7


def test_every_topic_can_be_read_again() -> None:
    for topic in topics():
        names = tuple(outcome.names[0] for outcome in topic.columns)
        assert topic in about(names), topic.things
        assert sum(outcome.key for outcome in topic.columns) == 1, topic.things
        assert len(topic.sentences) >= 2, topic.things


def test_a_condition_is_read_with_the_headers_own_name() -> None:
    columns = ("Pos", "Car no.", "Driver", "Team", "Laps", "Points")
    plan = understood("heat_1", columns, "Which driver has a car no of 7, and a Laps smaller than 60?")
    assert plan is not None
    assert plan.sql() == (
        "SELECT `Driver` FROM `heat_1` WHERE `Car no.` = '7' AND REPLACE(`Laps`, ',', '') + 0 < 60"
    )


def test_generated_splits_do_not_overlap(db: Db) -> None:
    tasks = db.environment._tasks
    sides = [
        {question.tables[0].rows[0] for question in (tasks.find(f"{split}/{n}") for n in range(600))}
        for split in (GENERATED_TRAIN, GENERATED_VALID)
    ]
    texts = {tasks.find(f"{GENERATED_TRAIN}/{n}").shown for n in range(2000)}
    assert len(texts) > 1980
    assert not sides[0] & sides[1]
    for task in ("generated_train/-1", "generated_train/2000", "generated_train/01", "dev/0", "x"):
        assert db.http.get(f"/v1/tasks/{task}").status_code == 404


@pytest.mark.parametrize(
    ("task", "actions", "reward"),
    [
        (inline(label=["9"]), ["SELECT Age FROM `Club Members` WHERE Name = 'bo'", 'answer: ["9"]'], 1.0),
        (inline(label=["9"]), ['answer: ["10"]'], 0.0),
        (inline(label="9"), ["answer(9)"], 1.0),
        (inline(sql="SELECT Age FROM `Club Members` WHERE Name = 'Bo'"), ["answer: [('9',)]"], 1.0),
        (inline(sql="SELECT Name FROM `Club Members` WHERE Age > 20"), ['answer: ["Cy", "Ada"]'], 1.0),
        (
            inline("Remove Bo.", type="DELETE", sql="DELETE FROM `Club Members` WHERE Name = 'Bo'"),
            ["DELETE FROM `Club Members` WHERE Age < 10", "answer: done"],
            1.0,
        ),
        (
            inline("Remove Bo.", type="DELETE", sql="DELETE FROM `Club Members` WHERE Name = 'Bo'"),
            ["DELETE FROM `Club Members` WHERE Age > 10", "answer: done"],
            0.0,
        ),
    ],
)
def test_a_clients_own_task(db: Db, task: dict[str, Any], actions: list[str], reward: float) -> None:
    state = db.create(task)
    assert "Club Members" in state["observation"]
    assert "Town or city" in state["observation"]
    for action in actions:
        state = db.step(state["session_id"], action)
        assert state["valid"], state
    assert (state["reward"], state["done"]) == (reward, True)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"table": TABLE},
        {"table": TABLE, "sql": "SELECT nope FROM `Club Members`"},
        {"table": {"table_name": "x"}, "label": ["1"]},
        {"table": {"name": "x", "columns": [], "rows": []}, "label": ["1"]},
        {"table": {"name": "x", "columns": ["a"], "rows": [["y" * 2_000_001]]}, "label": ["1"]},
        {"table": [TABLE, TABLE], "label": ["1"]},
    ],
)
def test_a_task_that_cannot_be_played_is_422(db: Db, data: dict[str, Any]) -> None:
    answer = db.http.post("/v1/sessions", json={"task": {"instruction": "x", "data": data}})
    assert answer.status_code == 422, answer.text


def test_two_tables_make_one_database(db: Db) -> None:
    towns = {
        "name": "Towns",
        "columns": ["Town", "Country"],
        "rows": [["Dunmore", "Peru"], ["Ashton", "Chile"]],
    }
    task = {"instruction": "Who lives in Peru?", "data": {"table": [TABLE, towns], "label": ["Cy"]}}
    session = db.create(task)["session_id"]
    assert db.step(session, "sql: SHOW TABLES")["observation"] == "[('Club Members',), ('Towns',)]"
    joined = "SELECT m.Name FROM `Club Members` m JOIN Towns t ON m.`Town or city` = t.Town"
    assert db.step(session, f"{joined} WHERE t.Country = 'Peru'")["observation"] == "[('Cy',)]"


def test_forks_are_independent(db: Db) -> None:
    parent = db.create(inline(label=["9"]))["session_id"]
    assert db.step(parent, "UPDATE `Club Members` SET Age = '10' WHERE Name = 'Bo'")["valid"]
    fork = db.fork(parent)["session_id"]
    early = db.fork(parent, at_step=0)["session_id"]
    assert db.step(fork, "DELETE FROM `Club Members`")["observation"] == "Query OK, 3 rows affected"
    bo = "SELECT Age FROM `Club Members` WHERE Name = 'Bo'"
    assert [db.step(session, bo)["observation"] for session in (parent, fork, early)] == [
        "[('10',)]",
        "[]",
        "[('9',)]",
    ]
    db.end(parent)
    assert db.step(fork, "SELECT COUNT(*) FROM `Club Members`")["observation"] == "[(0,)]"


def test_a_lost_session_is_rebuilt(db: Db) -> None:
    session = db.create(inline(label=["9"]))["session_id"]
    db.step(session, "INSERT INTO `Club Members` VALUES ('Di', '7', NULL)")
    before = db.step(session, "SELECT * FROM `Club Members` WHERE Name = 'Di' AND NOW() > RAND()")
    db.environment._instances.clear()
    again = db.step(session, "SELECT Name, Age, `Town or city` FROM `Club Members` WHERE Name = 'Di'")
    assert again["observation"] == "[('Di', '7', None)]"
    assert before["step_count"] + 1 == again["step_count"]


def test_a_worker_that_dies_takes_nothing_with_it(db: Db) -> None:
    session = db.create(inline(label=["9"]))["session_id"]
    db.step(session, "UPDATE `Club Members` SET Age = '10' WHERE Name = 'Bo'")
    for worker in list(db.environment.engine._pool._live):  # type: ignore[attr-defined]
        worker._process.kill()
    died = [db.step(session, "SELECT 1")["valid"] for _ in range(3)]
    assert died[-1]
    assert db.step(session, "SELECT Age FROM `Club Members` WHERE Name = 'Bo'")["observation"] == "[('10',)]"


@pytest.mark.parametrize(
    "action",
    [
        "SELECT 6*7",
        "sql: SELECT 6*7",
        "SQL: SELECT 6*7;",
        "sql SELECT 6*7",
        "sql(SELECT 6*7)",
        "Operation: SELECT 6*7",
        "```sql\nSELECT 6*7\n```",
        "Action: Operation\n```sql\nSELECT 6*7;\n```",
        "I multiply.\nAction: Operation\n```sql\nSELECT 6*7\n```",
    ],
)
def test_forms_of_a_statement(db: Db, action: str) -> None:
    session = db.create(inline(label=["9"]))["session_id"]
    state = db.step(session, action)
    assert (state["observation"], state["valid"], state["done"]) == ("[(42,)]", True, False)


@pytest.mark.parametrize(
    "action",
    [
        'answer: ["9"]',
        "answer: 9",
        "Answer: ['9']",
        "answer(9)",
        'answer(["9"])',
        'answer["9"]',
        'Final Answer: ["9"]',
        'Action: Answer\nFinal Answer: ["9"]',
        'I am sure.\nAction: Answer\nFinal Answer: ["9"]',
    ],
)
def test_forms_of_an_answer(db: Db, action: str) -> None:
    state = db.step(db.create(inline(label=["9"]))["session_id"], action)
    assert (state["reward"], state["done"], state["observation"]) == (1.0, True, "The answer was submitted.")


@pytest.mark.parametrize(
    "action", ["", "look around", "SELECT", "sql:", "```\n```", "SELECT nope", "DROP TABLE x"]
)
def test_what_is_not_possible_changes_nothing(db: Db, action: str) -> None:
    session = db.create(inline(label=["9"]))["session_id"]
    state = db.step(session, action)
    assert (state["valid"], state["done"], state["reward"]) == (False, False, 0.0)
    assert db.step(session, "SELECT COUNT(*) FROM `Club Members`")["observation"] == "[(3,)]"


def test_long_results_are_cut(db: Db) -> None:
    session = db.create(inline(label=["9"]))["session_id"]
    shown = db.step(session, "SELECT a.*, REPEAT('x', 90) FROM `Club Members` a, `Club Members` b")[
        "observation"
    ]
    assert len(shown) == 800 + len("[TRUNCATED]")
    assert shown.endswith("[TRUNCATED]")


def test_the_reward_is_told_to_graders_only(db: Db) -> None:
    state = db.step(db.create(inline(label=["9"]))["session_id"], "answer: 9")
    assert state["info"] == {"kind": "other", "answer": "9", "label": ["9"]}
    assert not {"1", "right", "correct"} & set(state["observation"].split())


def test_the_server_reads_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    record = {
        "type": ["other"],
        "description": "Who?",
        "label": ["Ada"],
        "table": TABLE,
        "add_description": "Told.",
        "sql": {"query": "SELECT 1"},
    }
    (tmp_path / "dbbench").mkdir()
    (tmp_path / "dbbench" / "standard.jsonl").write_text(json.dumps(record) + "\n")
    monkeypatch.setenv("ESPALIER_AGENTBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_DBBENCH_GENERATED", "7")
    monkeypatch.setenv("ESPALIER_DBBENCH_SEED", "5")
    with running(create()) as http:
        assert http.get("/metadata").json()["splits"] == ["standard", GENERATED_TRAIN, GENERATED_VALID]
        assert http.get("/v1/tasks", params={"split": GENERATED_VALID}).json()["total"] == 7
        assert http.get("/v1/tasks/standard/0").json()["instruction"] == "Who?"
    (tmp_path / "dbbench" / "standard.jsonl").write_text("{}\n")
    with running(create()) as http:
        eventually(lambda: http.get("/readyz").status_code == 503)
        assert "standard.jsonl, line 1" in http.get("/readyz").text
        assert http.get("/metadata").json()["splits"] == [GENERATED_TRAIN, GENERATED_VALID]
