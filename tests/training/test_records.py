"""Records as lines of a file."""

import json
from pathlib import Path

import pytest

from tests.training.support import SOLVED, record, turn
from training.construct.making import RECORD, known, mend
from training.construct.record import Provenance, Record, RecordError, append_records, read_records
from training.construct.rejections import Rejection, append_rejection, read_rejections, rejected_file

GOOD = record(*SOLVED)


def without(name: str) -> str:
    fields = json.loads(GOOD.model_dump_json())
    del fields[name]
    return json.dumps(fields)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    out = tmp_path / "new" / "records.jsonl"
    found = turn("say “ä\u2028b”", "line\r\nline\ttab", "naïve")
    several = [GOOD, record(found, kind="step", question={"subtask": "say it"}, reward=0.5)]
    assert append_records(out, several[:1]) + append_records(out, several[1:]) == 2
    out.write_bytes(out.read_bytes() + b"\n   \n")
    assert list(read_records(out)) == several


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "Invalid JSON"),
        (b"[]", "the line"),
        (b'{"environment": "alfworld"}', "task_id"),
        (without("provenance").encode(), "provenance"),
        (without("context").encode(), "context"),
        (GOOD.model_dump_json().replace('"trajectory"', '"poem"').encode(), "kind"),
        (b'{"environment": "\xff\xfe"}', "Invalid JSON"),
        (b"\x00\x01", "Invalid JSON"),
    ],
)
def test_a_malformed_line_is_told_with_its_place(tmp_path: Path, line: bytes, says: str) -> None:
    out = tmp_path / "records.jsonl"
    append_records(out, [GOOD])
    out.write_bytes(out.read_bytes() + line + b"\n")
    with pytest.raises(RecordError, match=r"records\.jsonl, line 2: ") as found:
        list(read_records(out))
    assert says in str(found.value)


def test_an_id_is_of_what_is_said_alone() -> None:
    elsewhere = Provenance(source="grounded", models={"action_maker": "m"}, filters=["success"], seed=3)
    assert GOOD.model_copy(update={"provenance": elsewhere}).id == GOOD.id
    assert len({GOOD.id, record(*SOLVED[:3]).id, record(*SOLVED, reward=0.5).id}) == 3
    assert len(GOOD.id) == 12


def test_an_id_outlives_the_file(tmp_path: Path) -> None:
    append_records(tmp_path / "records.jsonl", [GOOD])
    assert [one.id for one in read_records(tmp_path / "records.jsonl")] == [GOOD.id]


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        ("trajectory", "actor"),
        ("step", "actor"),
        ("plan", "planner"),
        ("subtask", "judge"),
        ("selection", "judge"),
        ("path", "judge"),
    ],
)
def test_each_kind_has_who_learns_from_it(kind: str, role: str) -> None:
    assert record(*SOLVED, kind=kind).role == role


def test_provenance_is_kept(tmp_path: Path) -> None:
    found = Provenance(source="imagined", models={"action_maker": "m"}, split="s", seed=4, filters=["loops"])
    append_records(tmp_path / "out", [record(*SOLVED, provenance=found)])
    assert next(read_records(tmp_path / "out")).provenance == found


# A run that was killed


@pytest.mark.parametrize("cut", [1, 5, 14, 15, 40, 200, -1])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    out = tmp_path / "records.jsonl"
    append_records(out, [GOOD])
    whole = out.read_bytes()
    out.write_bytes(whole + record(*SOLVED[:1]).model_dump_json(exclude_defaults=True).encode()[:cut])
    mend(out, RECORD)
    assert out.read_bytes() == whole


def test_a_whole_last_line_gets_its_end(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    append_records(out, [GOOD, record(*SOLVED[:2])])
    whole = out.read_bytes()
    out.write_bytes(whole.rstrip(b"\n"))
    mend(out, RECORD)
    assert out.read_bytes() == whole


@pytest.mark.parametrize("content", [b'{"name": "mine"}', b"# Notes\nwithout an end", b'{"a": 1}\n{"b": '])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, content: bytes) -> None:
    out = tmp_path / "package.json"
    out.write_bytes(content)
    with pytest.raises(RecordError):
        known(out, "alfworld")
    assert out.read_bytes() == content


def test_a_long_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    append_records(out, [GOOD])
    whole = out.read_bytes()
    long = record(turn("look", "x" * 90_000), turn("look", "y" * 90_000)).model_dump_json(
        exclude_defaults=True
    )
    out.write_bytes(whole + long[:-2].encode())
    mend(out, RECORD)
    assert out.read_bytes() == whole


def test_tasks_are_known_by_their_environment(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    assert known(out, "alfworld") == set()
    append_records(out, [GOOD, record(*SOLVED, environment="dbbench", task_id="generated_train/2")])
    append_rejection(
        out, Rejection(task_id="generated_train/3", environment="alfworld", by="expert", reason="x")
    )
    assert known(out, "alfworld") == {"generated_train/1", "generated_train/3"}
    assert known(out, "dbbench") == {"generated_train/2"}


def test_a_rejection_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    one = Rejection(task_id="a/1", environment="alfworld", by="action_maker", reason="rambles", detail="…")
    append_rejection(out, one)
    with rejected_file(out).open("a") as lines:
        lines.write('{"task_id":"a/2","by":"act')
    assert known(out, "alfworld") == {"a/1"}
    assert list(read_rejections(out)) == [one]


def test_rejections_that_are_none_are_told(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    rejected_file(out).write_text('{"task_id": "a/1"}\n')
    with pytest.raises(RecordError, match="line 1: it is no rejection"):
        list(read_rejections(out))


def test_records_are_of_one_type() -> None:
    assert Record.model_validate_json(GOOD.model_dump_json(exclude_defaults=True)) == GOOD
