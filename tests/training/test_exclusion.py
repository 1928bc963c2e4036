"""Evaluation tasks are kept out of training data: the same words, or nearly the same."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

from espalier.construct import filter_records
from tests.training.support import SOLVED, record
from training.construct.cards import card_file
from training.construct.exclusion import (
    NEAR,
    RUN,
    ExclusionError,
    Exclusions,
    make_filter,
    read_exclusions,
)
from training.construct.record import ROLES, append_records, read_records
from training.construct.rejections import read_rejections

TASK = "How many files in the home directory end with the extension txt, not counting links?"


def holding(*texts: str, near: float = NEAR) -> Exclusions:
    """Exclusions of texts, out of a file `dev.json`."""
    made = Exclusions(near)
    for place, text in enumerate(texts, 1):
        made.add(text, "dev.json", place)
    return made


def written(path: Path, records: Any, *, lines: bool = False) -> Path:
    path.write_text("\n".join(map(json.dumps, records)) + "\n" if lines else json.dumps(records))
    return path


@pytest.mark.parametrize(
    "text", [TASK, TASK.upper(), f"  {TASK.replace(' ', '  ')}\n", TASK.replace(",", " -").rstrip("?")]
)
def test_the_same_words_are_excluded(text: str) -> None:
    found = holding("another one", TASK).find(text)
    assert found is not None
    assert (found.file, found.place, found.similarity) == ("dev.json", 2, 1.0)
    assert str(found) == "the task is that of record 2 of dev.json"


def test_a_word_that_is_added_leaves_it_near() -> None:
    found = holding(TASK).find(f"{TASK} Please")
    # 13 runs of three words; the longer text has them and one more.
    assert found is not None
    assert found.similarity == pytest.approx(13 / 14)
    assert str(found) == "the task is near (0.93) that of record 1 of dev.json"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?!",
        "How many files?",
        "How many folders in the home directory end with a digit, not counting links?",
    ],
)
def test_others_pass(text: str) -> None:
    assert holding(TASK, "").find(text) is None


def test_the_bound_is_as_it_is_set() -> None:
    # Eight shared runs of twelve in all: 8 / 12.
    one, other = "a b c d e f g h i j k l", "x y c d e f g h i j k l"
    similarity = 8 / 12
    for near, expected in ((similarity, True), (similarity + 0.01, False), (1.0, False)):
        assert (holding(one, near=near).find(other) is not None) == expected
    for near in (0, -1, 1.1):
        with pytest.raises(ValueError, match="at most 1"):
            Exclusions(near)


WORDS = st.lists(st.sampled_from("abc"), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=300)
@given(st.lists(WORDS, max_size=8), WORDS, st.sampled_from([0.3, 0.5, 0.75, 0.8, 1.0]))
def test_the_index_finds_what_a_comparison_of_all_finds(texts: list[str], text: str, near: float) -> None:
    def runs(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[at : at + RUN]) for at in range(max(1, len(words) - RUN + 1))}

    mine = runs(text.split())
    likenesses = [len(mine & runs(one.split())) / len(mine | runs(one.split())) for one in texts]
    found = holding(*texts, near=near).find(text)
    most = max(likenesses, default=0.0)
    assert (found.similarity if found else None) == (most if most >= near else None)


@pytest.mark.parametrize(
    "one",
    [
        {"description": TASK, "evaluation": {"match": "3"}},
        {"instruction": TASK, "input": "", "output": "x"},
        {"question": TASK},
        {"query": TASK, "gold": "ls"},
        {"annotation_id": "a-1", "confirmed_task": TASK},
        {"task": TASK},
        {"task": {"instruction": TASK, "data": {}}},
        json.loads(record(*SOLVED, task=TASK).model_dump_json()),
    ],
)
@pytest.mark.parametrize("form", ["list", "lines", "object", "one"])
def test_texts_are_found_in_records_of_any_form(one: dict[str, Any], form: str, tmp_path: Path) -> None:
    whole = {
        "list": [{"x": 1}, one],
        "lines": [{"x": 1}, one],
        "object": {"0": {"x": 1}, "b": one},
        "one": one,
    }
    path = written(tmp_path / "dev", whole[form], lines=form == "lines")
    found = read_exclusions([path]).find(TASK)
    assert found is not None
    assert (found.file, found.place) == ("dev", 1 if form == "one" else 2)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no text of a task"),
        (b"[]", "has no text of a task"),
        (b'[{"answer": "3"}, 7, null]', "has no text of a task"),
        (b'{"description": "?!"}', "has no text of a task"),
        (b'{"description": "a task"}\n{"descr', "neither JSON nor JSON lines: line 2"),
        (b"[" * 100_000, "deep|neither JSON"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_without_tasks_is_an_error_that_names_it(content: bytes, says: str, tmp_path: Path) -> None:
    good, bad = written(tmp_path / "good", [{"task": TASK}]), tmp_path / "bad.json"
    bad.write_bytes(content)
    with pytest.raises(ExclusionError, match=says) as caught:
        read_exclusions([good, bad])
    assert str(bad) in str(caught.value)


def test_a_file_that_is_missing_or_too_large_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExclusionError, match=r"missing\.json cannot be read"):
        read_exclusions([tmp_path / "missing.json"])
    monkeypatch.setattr("training.construct.exclusion.MOST_BYTES", 3)
    with pytest.raises(ExclusionError, match="is larger than"):
        read_exclusions([written(tmp_path / "large", [{"task": TASK}])])


def test_the_filter_looks_at_every_kind() -> None:
    made = make_filter(holding(TASK))
    assert (made.name, set(made.kinds)) == ("excluded", set(ROLES))
    assert made.check(record(kind="plan", task=TASK)) == "the task is that of record 1 of dev.json"
    assert made.check(record(*SOLVED)) is None


def test_many_records_take_seconds() -> None:
    draw = random.Random(0)
    words = [f"w{number}" for number in range(400)]

    def sentence() -> str:
        return f"How many rows of the table have {' '.join(draw.choices(words, k=12))} in it?"

    made = holding(*(sentence() for _ in range(1000)))
    start = time.monotonic()
    assert not any(made.find(sentence()) for _ in range(50_000))
    assert time.monotonic() - start < 60, "a comparison of all would take minutes"


def test_the_command_refuses_what_is_excluded(construct: Callable[..., Result], tmp_path: Path) -> None:
    raw, out = tmp_path / "raw.jsonl", tmp_path / "good.jsonl"
    records = [record(*SOLVED, task=task) for task in (TASK, f"{TASK} Please", "put some mug in shelf.")]
    append_records(raw, records)
    files = [
        written(tmp_path / "dev.json", [{"description": TASK}]),
        written(tmp_path / "more.jsonl", [{"question": "Who has won?"}], lines=True),
    ]
    options = [word for path in files for word in ("--exclude", path)]
    found = construct("filter", raw, "--out", out, "--no-replay", *options)
    assert found.exit_code == 0, found.stderr
    rows = {line.split()[0]: line.split()[-2:] for line in found.stdout.splitlines()}
    assert rows["excluded"] == ["1", "2"]
    assert [one.context.task for one in read_records(out)] == ["put some mug in shelf."]
    assert [(one.by, one.detail) for one in read_rejections(out)] == [
        ("excluded", "the task is that of record 1 of dev.json"),
        ("excluded", "the task is near (0.93) that of record 1 of dev.json"),
    ]
    card = json.loads(card_file(out).read_text())
    assert card["rejected"] == {"excluded: none of 2 evaluation tasks, nor near one (0.8)": 2}
    assert construct("filter", raw, "--out", out, "--no-replay", *options, "--near", 0.95).exit_code == 0
    assert len(list(read_records(out))) == 2
    assert filter_records.__defaults__ is not None
    assert NEAR in filter_records.__defaults__, "the option's default is the module's"


def test_the_command_names_a_file_that_it_cannot_use(
    construct: Callable[..., Result], tmp_path: Path
) -> None:
    raw, out = tmp_path / "raw.jsonl", tmp_path / "good.jsonl"
    append_records(raw, [record(*SOLVED)])
    (tmp_path / "poem").write_text("A rose")
    for name in ("poem", "missing"):
        found = construct("filter", raw, "--out", out, "--no-replay", "--exclude", tmp_path / name)
        assert found.exit_code == 1
        assert str(tmp_path / name) in found.stderr
        assert not out.exists()


@pytest.mark.parametrize(
    "whole",
    [
        {"version": 1, "task": "os", "data": [{"description": "count the red files"}]},
        {"data": [{"instruction": "count the red files"}]},
        {"7": {"question": "count the red files"}},
        {"description": "count the red files", "labels": ["files"]},
    ],
)
def test_records_are_found_in_a_wrapper(whole: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "wrapped.json"
    file.write_text(json.dumps(whole))
    found = read_exclusions([file], 0.8)
    assert found.find("Count the red files!") is not None
    assert found.find("os") is None
