"""The rules without a model that agents are compared with."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from benchmarks.dbbench_rule import read_first_values, select_named_column
from benchmarks.mind2web_rule import count_right
from benchmarks.os_interaction_rule import answer_zero
from benchmarks.rules import RuleError, play_split, play_with, render_report, run_rule
from benchmarks.webshop_rule import buy_first_hit
from envs.dbbench.environment import DbEnvironment
from envs.dbbench.settings import DbSettings
from envs.serving.twin import SPLIT, TwinEnvironment
from envs.webshop.environment import WebshopEnvironment
from envs.webshop.settings import WebshopSettings
from evaluation.intervals import bootstrap, wilson

SHOWN = (
    "Additional table information about the question: The name of this table is Members, and the headers of "
    "this table are Name,Town or city,Age.\nQuestion: "
)


def walk(cells: int) -> Generator[str, str, None]:
    for cell in range(cells):
        shown = yield "north"
        assert shown.startswith(f"Cell {cell + 1} of ")


async def test_a_rule_plays_the_first_tasks() -> None:
    environment = TwinEnvironment(tasks=4)
    assert await play_split(environment, SPLIT, None, lambda *_: walk(2)) == [1.0, 1.0, 0.0, 0.0]
    assert await play_split(environment, SPLIT, 3, lambda *_: walk(9)) == [1.0, 1.0, 1.0]
    assert await play_split(environment, SPLIT, 99, lambda *_: walk(0)) == [0.0] * 4
    assert not environment.walkers, "every instance is ended"


async def test_a_rule_ends_with_the_steps_of_the_environment() -> None:
    def forever(observation: str, instruction: str) -> Generator[str, str, None]:
        while True:
            yield "look"

    environment = TwinEnvironment(tasks=1)
    assert await play_split(environment, SPLIT, None, forever) == [0.0]
    assert environment.steps == environment.metadata.max_steps


async def test_what_cannot_be_played_is_an_error() -> None:
    with pytest.raises(RuleError, match="splits are corridors"):
        await play_split(TwinEnvironment(), "nowhere", None, lambda *_: walk(1))

    class Away(TwinEnvironment):
        async def ready(self) -> str | None:
            return "the engine is away"

    with pytest.raises(RuleError, match="the engine is away"):
        await play_split(Away(), SPLIT, None, lambda *_: walk(1))


def test_the_report_has_success_and_mean_reward_with_intervals() -> None:
    rewards = [1.0, 1.0, 0.5, 0.0]
    low, high = wilson(2, 4) or (0, 0)
    least, most = bootstrap(rewards) or (0, 0)
    assert render_report("valid", rewards) == (
        f"valid: n = 4, success 50.0 [{100 * low:.1f}, {100 * high:.1f}], "
        f"mean reward 62.5 [{100 * least:.1f}, {100 * most:.1f}]"
    )


def test_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rewards = play_with(lambda: TwinEnvironment(tasks=5), lambda *_: walk(9))
    monkeypatch.setattr("sys.argv", ["rule", "--limit", "2"])
    run_rule("A rule.", rewards, split=SPLIT)
    assert capsys.readouterr().out.startswith(f"{SPLIT}: n = 2, success 100.0 [")
    monkeypatch.setattr("sys.argv", ["rule", "--limit", "0"])
    with pytest.raises(SystemExit):
        run_rule("A rule.", rewards, split=SPLIT)
    monkeypatch.setattr("sys.argv", ["rule", "--split", "nowhere"])
    with pytest.raises(SystemExit, match="no tasks in split 'nowhere'"):
        run_rule("A rule.", rewards, split=SPLIT)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("What is the age of Bo?", "Age"),
        ("Which town or city is the first by name?", "Name"),
        ("Which TOWN OR CITY has Bo?", "Town or city"),
        ("Who is it?", "Name"),
    ],
)
def test_db_answers_with_the_named_column(text: str, column: str) -> None:
    player = select_named_column(SHOWN + text, text)
    assert next(player) == f"sql: SELECT `{column}` FROM `Members`"
    assert player.send("[('9', 1), (None, 2)]") == 'answer: ["9", null]'


@pytest.mark.parametrize(
    "text", ["Update the age of Bo to 10.", "Delete all rows.", "Insert a member", "Change Bo's name"]
)
def test_db_leaves_a_table_untouched(text: str) -> None:
    assert list(select_named_column(SHOWN + text, text)) == ['answer: ["done"]']


@pytest.mark.parametrize(
    ("shown", "values"),
    [
        ("[('a',), ('b',)]", ["a", "b"]),
        ("[(1,), (2.5,)]", [1, 2.5]),
        ("[('a), (b',), ('c',), ('d[TRUNCATED]", ["a), (b", "c"]),
        ("[]", []),
        ("Error 1054: Unknown column", []),
        ("", []),
        ("[1, 2]", []),
    ],
)
def test_values_are_read_as_far_as_they_are_whole(shown: str, values: list[object]) -> None:
    assert read_first_values(shown) == values


async def test_the_rules_play_what_their_environments_show() -> None:
    shop = WebshopEnvironment(WebshopSettings(webshop_data=None, webshop_generated=60))
    bought = await play_split(shop, "generated_train", 5, buy_first_hit)
    assert len(bought) == 5
    assert max(bought) > 0
    base = DbEnvironment(DbSettings(agentbench_data=None, dbbench_generated=11))
    assert set(await play_split(base, "generated_valid", None, select_named_column)) <= {0.0, 1.0}
    assert list(answer_zero("", "How many?")) == ["answer(0)"]


def test_mind2web_is_counted_by_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = {"website": "w", "confirmed_task": "x", "previous_actions": [], "value": "", "html_prefix": ""}
    elements = [{"backend_node_id": name, "tag": "a", "attrs": ""} for name in ("9", "10")]
    lines = [
        step
        | {"annotation_id": "v", "action_idx": at, "op": op, "pos_bnids": [right], "candidates": elements}
        for at, (op, right) in enumerate((("CLICK", "9"), ("CLICK", "10"), ("TYPE", "9")))
    ]
    (tmp_path / "steps.jsonl").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setenv("ESPALIER_MIND2WEB_DATA", str(tmp_path))
    assert count_right("steps", None) == [1.0, 0.0, 0.0], "ids are numbers, and the operation counts"
    assert count_right("steps", 1) == [1.0]
    with pytest.raises(RuleError, match="splits are steps, "):
        count_right("test_task", None)
    monkeypatch.setenv("ESPALIER_MIND2WEB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(RuleError, match="nowhere is no folder"):
        count_right("steps", None)
    monkeypatch.delenv("ESPALIER_MIND2WEB_DATA")
    with pytest.raises(RuleError, match="ESPALIER_MIND2WEB_DATA"):
        count_right("steps", None)
