"""Every form of an action that README.md has is read, in linear time; an empty answer ends nothing."""
# ruff: noqa: E501 - worst cases stand one a line

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from envs.dbbench import actions, scoring
from envs.dbbench.actions import ANSWER, EMPTY, SQL, Action, parse
from envs.dbbench.engines.port import Table
from envs.dbbench.environment import DbEnvironment
from envs.dbbench.mysql.statements import SqlError, checked, reads
from envs.dbbench.mysql.translate import translate
from envs.dbbench.settings import DbSettings
from envs.dbbench.tasks.questions import from_inline, read_official
from envs.serving.environment import BadTaskError
from services.contracts.task import InlineTask

STATEMENT = "SELECT a FROM t WHERE b = 'final answer: x'"
LONG = 20_000
SECONDS = 3.0
"""A hundred times what 20,000 characters take."""


@pytest.mark.parametrize(
    "text",
    [
        STATEMENT,
        f"sql: {STATEMENT}",
        f"SQL:\n{STATEMENT}",
        f"sql({STATEMENT})",
        f"```sql\n{STATEMENT}\n```",
        f"```\n{STATEMENT}\n```",
        f"```{STATEMENT}```",
        f"```sql {STATEMENT}```",
        f"Action: Operation\n```sql\n{STATEMENT}\n```",
        f"Action: Operation\n```\n{STATEMENT}\n```",
        f"Action: Operation\n{STATEMENT}",
        f"The table has to be read.\n\nAction: Operation\n```sql\n{STATEMENT}\n```",
    ],
)
def test_statements(text: str) -> None:
    assert parse(text) == Action(SQL, STATEMENT)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('answer: ["9"]', '["9"]'),
        ('answer(["9"])', '["9"]'),
        ('answer["9"]', '["9"]'),
        ("answer(9)", "9"),
        ("answer: done", "done"),
        ("answer: []", "[]"),
        ('Final Answer: ["9"]', '["9"]'),
        ('final answer:\n["9"]', '["9"]'),
        ('**Final Answer:** ["9"]', '["9"]'),
        ('Action: Answer\nFinal Answer: ["9"]', '["9"]'),
        ('Action: Answer\n\nFinal Answer:\n["9", "10"]', '["9", "10"]'),
        ('Action: Answer\nAnswer: ["9"]', '["9"]'),
        ('I looked.\nAction: Answer\nFinal Answer: ["9"]', '["9"]'),
        ('Action: Final Answer: ["9"]', '["9"]'),
        ("answer: Answer key", "Answer key"),
    ],
)
def test_answers(text: str, answer: str) -> None:
    assert parse(text) == Action(ANSWER, answer)


@pytest.mark.parametrize(
    "text",
    [
        "answer:",
        "answer",
        "answer()",
        "Answer",
        "Final Answer:",
        "Action: Answer",
        "Action: Answer\nFinal Answer:",
        'answer: ""',
        "answer: ''",
    ],
)
async def test_an_empty_answer_does_not_end_a_task(text: str) -> None:
    assert parse(text) == Action(EMPTY, parse(text).text)  # type: ignore[union-attr]
    environment = DbEnvironment(DbSettings(agentbench_data=None, dbbench_workers=1))
    await environment.open()
    try:
        task = InlineTask(
            instruction="?", data={"table": {"name": "t", "columns": ["a"], "rows": [["9"]]}, "label": ["9"]}
        )
        opening = await environment.start(task, 0)
        frame = await environment.step(opening.handle, text)
        assert (frame.done, frame.valid, frame.observation) == (False, False, actions.EMPTY_ANSWER)
        ended = await environment.step(opening.handle, 'Action: Answer\nFinal Answer: ["9"]')
        assert (ended.done, ended.reward) == (True, 1.0)
    finally:
        await environment.close()


def test_a_text_in_no_form_is_none() -> None:
    assert [parse(text) for text in ("", "look around", "Answer is near", "sql:", "```\n```")] == [None] * 5


@pytest.mark.parametrize(
    "part",
    ["(", "( ", " ", "\n", "```", "``` ", "`", "final ", "final\n", "final answer", "final answer ", "answer:", "answer(", "action: ", "Action: Answer\n",
     "sql", "sql: ", "--\n", "#\n", "/*", "/**/", "/* ", ")", ") LIMIT ", "'", '"', "\\", ",'", ',"', "'a", "[", "],", "1,", "'\\",
     "SHOW ", "SHOW COLUMNS FROM ", "INTO ", "DESCRIBE `", "a b", "*", "* ", "\t"],
)  # fmt: skip
def test_worst_cases_are_read_in_linear_time(part: str) -> None:
    """Every parser of what a model writes, with 20,000 characters that make it look again and again."""
    started = time.perf_counter()
    for first, last in (
        ("", ""),
        ("x ", " x"),
        ("SELECT ", " LIMIT 1"),
        ("SHOW ", "x"),
        ("sql: ", ""),
        ("action ", "!"),
    ):
        text = first + part * (LONG // len(part)) + last
        parse(text)
        scoring.correct(f"[{text}]", ("a", "b"))
        scoring.correct(text, ("a",))
        with contextlib.suppress(SqlError):
            reads(checked(text))
    assert time.perf_counter() - started < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "(" * LONG,
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT " + "-" * 5000,
        "SELECT " + "NOT " * 3000 + "1",
    ],
)
def test_deep_statements_are_refused(text: str) -> None:
    with pytest.raises((SqlError, RecursionError, ValueError)):
        translate(text, {"t": ("a",)})


def test_long_labels_are_compared_in_linear_time() -> None:
    """80,000 values held the event loop for half a minute."""
    numbers = [str(number) for number in range(80_000)]
    texts = [f"x{number}" for number in range(80_000)]
    started = time.perf_counter()
    assert scoring.correct(json.dumps(numbers[::-1]), numbers)
    assert not scoring.correct(json.dumps([*numbers[:-1], "-5"]), numbers)
    assert scoring.correct(json.dumps(texts[::-1]), texts)
    assert not scoring.correct(json.dumps([*texts[:-1], "y"]), texts)
    assert scoring.correct(json.dumps([*texts, *numbers]), [*numbers, *texts])
    assert time.perf_counter() - started < 60


@pytest.mark.parametrize(
    ("answer", "label", "right"),
    [
        ('["1", "2", "2"]', ("2", "1", "2"), True),
        ('["1", "2", "2"]', ("2", "1", "1"), False),
        ('["1.005", "2"]', ("2", "1"), True),
        ('["1.02", "2"]', ("2", "1"), False),
        ('["a", "1"]', ("1.0", "a"), True),
        ('["a", "1.5"]', ("1", "a"), False),
        ("['it's', \"a,b\", 7]", ("it's", "a,b", "7"), True),
        ("[a, b , 'c, d']", ("a", "b", "c, d"), True),
    ],
)
def test_values_are_found_as_before(answer: str, label: tuple[str, ...], right: bool) -> None:
    assert scoring.correct(answer, label) is right


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


TABLE = {"name": "t", "columns": ["a"], "rows": [["1"]]}


@pytest.mark.parametrize(
    "data",
    [
        {"table": TABLE, "label": [float("nan")]},
        {"table": TABLE, "label": float("inf")},
        {"table": TABLE, "label": deep(200)},
        {"table": TABLE, "label": [{"a": 1}]},
        {"table": TABLE, "label": ["x"] * 10_001},
        {"table": TABLE, "label": [10**400]},
        {"table": TABLE, "label": ["x\ud800"]},
        {"table": TABLE, "label": {"a": 1}},
        {"table": TABLE, "sql": 5},
        {"table": TABLE, "sql": {"query": ["x"]}},
        {"table": TABLE, "label": ["1"], "type": ["SELECT"]},
        {"table": TABLE, "label": ["1"], "evidence": {"a": "b"}},
        {"table": TABLE | {"rows": [[float("nan")]]}, "label": ["1"]},
        {"table": TABLE | {"rows": [[deep(200)]]}, "label": ["1"]},
        {"table": TABLE | {"rows": [["x\udfff"]]}, "label": ["1"]},
        {"table": TABLE | {"rows": [["1"] * 201]}, "label": ["1"]},
        {"table": TABLE | {"rows": ["xyz"]}, "label": ["1"]},
        {"table": TABLE | {"rows": {"a": 1}}, "label": ["1"]},
        {"table": TABLE | {"columns": [["a"]]}, "label": ["1"]},
        {"table": "t", "label": ["1"]},
        {"table": [TABLE, 5], "label": ["1"]},
    ],
)
def test_data_that_no_table_can_hold_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(BadTaskError):
        from_inline(InlineTask.model_construct(instruction="?", data=data))


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    """U+2028 and U+0085 are letters of a text; `splitlines` would end a record there."""
    record = {
        "description": "What\u2028is\u0085it?",
        "type": ["other"],
        "label": ["a\u2028b"],
        "table": {"table_name": "t", "table_info": {"columns": [{"name": "a"}], "rows": [["x\u2029y"]]}},
    }
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for _ in range(3))
    (tmp_path / "dev.jsonl").write_text(lines + "\n", encoding="utf-8")
    (one, *rest) = read_official(tmp_path)["dev"]
    assert len(rest) == 2
    assert (one.label, one.tables[0].rows) == (("a\u2028b",), (("x\u2029y",),))
    assert parse("sql: SELECT 'a\u2028b'") == Action(SQL, "SELECT 'a\u2028b'")
    assert parse('answer: ["a\u2028b"]') == Action(ANSWER, '["a\u2028b"]')
    assert Table.of("t", ["a"], [["x\u2028"]]).rows == (("x\u2028",),)
