"""What a file holds: its card, and what a person is shown."""

import hashlib
import io
import json
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from tests.training.support import SOLVED, record
from training.construct.cards import card_file, data_card, write_card
from training.construct.record import Provenance, RecordError, append_records, read_records
from training.construct.rejections import Rejection, append_rejection
from training.construct.viewer import card, conversation

MADE = Provenance(source="grounded", models={"action_maker": "m2"}, filters=["success", "loops"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three trajectories of two sources, and a plan."""
    out = tmp_path / "records.jsonl"
    other = MADE.model_copy(
        update={"models": {"action_maker": "m1", "question_generator": "m1"}, "filters": []}
    )
    append_records(
        out,
        [
            record(*SOLVED),
            record(*SOLVED[:2], provenance=MADE, reward=0.0),
            record(*SOLVED[:1], provenance=other, reward=1.0),
            record(kind="plan", question={"num_subtasks": 1}, answer="1. do it [now]", reward=1.0),
        ],
    )
    for reason in ("rambles", "rambles", "refuses"):
        append_rejection(out, Rejection(task_id="a/1", by="action_maker", reason=reason))
    return out


def shown(what: RenderableType) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(what)
    return text.getvalue()


def test_a_card_counts(path: Path) -> None:
    found = write_card(path)
    assert json.loads(card_file(path).read_text()) == found.model_dump(mode="json")
    assert card_file(path).name == "records.jsonl.card.json"
    assert (found.file, found.records) == ("records.jsonl", 4)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    groups = {(one.kind, one.source): (one.records, one.mean_reward, one.mean_turns) for one in found.groups}
    assert groups == {
        ("trajectory", "expert"): (1, 1.0, 4.0),
        ("trajectory", "grounded"): (2, 0.5, 1.5),
        ("plan", "expert"): (1, 1.0, 0.0),
    }
    assert found.models == {"action_maker": ["m1", "m2"], "question_generator": ["m1"]}
    assert found.filters == {"loops": 1, "success": 1}
    assert found.rejected == {"action_maker: rambles": 2, "action_maker: refuses": 1}


def test_licences_are_counted_and_do_not_change_ids(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    licensed = Provenance(source="expert", split="generated_train", licence="Apache-2.0")
    records = [record(*SOLVED), record(*SOLVED, provenance=licensed), record(*SOLVED, provenance=licensed)]
    append_records(out, records)
    assert data_card(out).licences == {"Apache-2.0": 2, "not stated": 1}
    assert len({one.id for one in records}) == 1
    assert [one.provenance.licence for one in read_records(out)] == ["", "Apache-2.0", "Apache-2.0"]
    assert "licence" not in out.read_text().splitlines()[0], "older files stay as they are"


def test_nothing_has_an_empty_card(tmp_path: Path) -> None:
    found = data_card(tmp_path / "nothing")
    assert (found.records, found.groups, found.rejected) == (0, [], {})


def test_a_file_of_something_else_has_no_card(tmp_path: Path) -> None:
    (tmp_path / "poem").write_text("A rose\n")
    with pytest.raises(RecordError, match="line 1"):
        write_card(tmp_path / "poem")
    assert not card_file(tmp_path / "poem").exists()


def test_counts_are_shown(path: Path) -> None:
    rows = [line.split() for line in shown(card(path)).splitlines()]
    assert rows[0] == ["environment", "kind", "source", "records", "mean", "reward", "mean", "steps"]
    assert rows[1:] == [
        ["alfworld", "plan", "expert", "1", "1.000", "0.0"],
        ["alfworld", "trajectory", "expert", "1", "1.000", "4.0"],
        ["alfworld", "trajectory", "grounded", "2", "0.500", "1.5"],
    ]


def test_a_record_is_shown_whole(path: Path) -> None:
    text = shown(conversation(path, 0))
    for turn in SOLVED:
        for part in (turn.thought, turn.action, turn.observation):
            assert part in text
    assert "put some mug in shelf." in text
    plan = shown(conversation(path, 3))
    assert "1. do it [now]" in plan
    assert "num_subtasks" in plan


@pytest.mark.parametrize("number", [4, 1000, -1])
def test_a_record_that_is_not_there_is_told(path: Path, number: int) -> None:
    with pytest.raises(RecordError, match=f"has no record {number}"):
        conversation(path, number)


def test_long_observations_are_cut(tmp_path: Path) -> None:
    append_records(tmp_path / "long", [record(observation="x" * 601 + "END")])
    text = shown(conversation(tmp_path / "long", 0))
    assert "END" not in text
    assert "…" in text


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    append_records(tmp_path / "odd", [record(*SOLVED, environment="[red]x[/nothing]")])
    assert "[red]x[/nothing]" in shown(card(tmp_path / "odd"))
