"""The halves of benchmark files: which tasks may be read and trained on, and which are only scored."""

import hashlib
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from envs.dbbench.tasks.questions import from_record
from envs.dbbench.tasks.table import make_table as make_db_table
from envs.mind2web import official
from envs.mind2web.tasks import make_table as make_mind2web_table
from envs.os_interaction.tasks.table import OsTask
from envs.os_interaction.tasks.table import make_table as make_os_table
from envs.serving.tasks import DEVELOPMENT, REPORTED, TaskTable, halve

EVEN, ODD = ("How many rows?", "Which town is last?"), ("Count the files.", "Who has won?")
"""Texts whose SHA-256 is even, and texts whose SHA-256 is odd."""


def names(table: TaskTable, split: str) -> list[str]:
    """The ids of a split's tasks."""
    return [task.id for task in table.page(split, 0, 1000)]


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=20)))
def test_halves_part_the_tasks_by_the_parity_of_the_digest(tasks: dict[str, str]) -> None:
    halves = halve(tasks, str)
    assert {**halves[DEVELOPMENT], **halves[REPORTED]} == tasks
    for name, half in halves.items():
        for text in half.values():
            number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
            assert name == (REPORTED if number % 2 else DEVELOPMENT)


def test_the_rule_is_fixed() -> None:
    halves = halve({text: text for text in (*EVEN, *ODD)}, str)
    assert (list(halves[DEVELOPMENT]), list(halves[REPORTED])) == (list(EVEN), list(ODD))
    assert halve({"broken": "\ud800"}, str)[DEVELOPMENT] or halve({"broken": "\ud800"}, str)[REPORTED]


def test_halves_of_db_records_keep_their_lines() -> None:
    table = {"table_name": "T", "table_info": {"columns": [{"name": "A"}], "rows": [["1"]]}}
    records = [
        from_record({"type": ["other"], "description": text, "table": table, "label": ["1"]})
        for text in (ODD[0], EVEN[0], ODD[1], EVEN[0])
    ]
    made = make_db_table({"dev": records, "standard": records}, 1, 0)
    assert made.splits()[:4] == ["dev", "standard", DEVELOPMENT, REPORTED]
    assert names(made, DEVELOPMENT) == ["development/1", "development/3"]
    assert names(made, REPORTED) == ["reported/0", "reported/2"]
    assert made.find("reported/2") is made.find("dev/2")
    assert DEVELOPMENT not in make_db_table({"standard": records}, 1, 0).splits()


def test_halves_of_os_records_keep_their_numbers() -> None:
    dev = {"0": OsTask(EVEN[0]), "4": OsTask(ODD[0]), "5": OsTask(EVEN[1])}
    made = make_os_table({"dev": dev, "generated_train": {"0": OsTask("x")}})
    assert names(made, DEVELOPMENT) == ["development/0", "development/5"]
    assert names(made, REPORTED) == ["reported/4"]
    assert made.find("reported/4") is dev["4"]


def test_a_flat_os_file_is_played_in_place_of_a_half() -> None:
    made = make_os_table({"dev": {"0": OsTask(EVEN[0])}, "development": {"9": OsTask("own")}})
    assert names(made, DEVELOPMENT) == ["development/9"]


def test_steps_of_one_visit_are_in_one_half(tmp_path: Path) -> None:
    step = {"website": "w", "previous_actions": [], "op": "CLICK", "value": "", "pos_bnids": ["1"]}
    step["candidates"] = [{"backend_node_id": "1", "tag": "a", "attrs": ""}]
    visits = {f"{number:04x}-{number:04x}": f"Task {number}" for number in range(20)}
    lines = [
        json.dumps(step | {"annotation_id": visit, "confirmed_task": "One text", "action_idx": at})
        for visit in visits
        for at in (0, 1, 10)
    ]
    (tmp_path / "steps.jsonl").write_text("\n".join(lines))
    made = make_mind2web_table(official.read(tmp_path, 10, 30), 1)
    assert made.splits()[:3] == ["steps", DEVELOPMENT, REPORTED]
    halves = {half: names(made, half) for half in (DEVELOPMENT, REPORTED)}
    for half, ids in halves.items():
        assert ids
        for visit in visits:
            steps = {f"{half}/{visit}-{at}" for at in (0, 1, 10)}
            odd = int(hashlib.sha256(visit.encode()).hexdigest(), 16) % 2
            assert len(steps & set(ids)) == (3 if (half == REPORTED) == bool(odd) else 0)
    chosen = halves[REPORTED][0]
    assert made.find(chosen) is made.find(chosen.replace(REPORTED, "steps"))
