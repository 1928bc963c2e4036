"""A person's review: keys are scripted; decisions are kept as they are made."""

import io
import itertools
import os
import pty
import termios
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from tests.support import eventually
from tests.training.support import SOLVED, record, turn
from training.construct.cards import card_file
from training.construct.keys import keys
from training.construct.record import RecordError, append_records, read_records
from training.construct.review import Review, review, write_accepted

RECORDS = [record(*SOLVED[: number + 1], task_id=f"a/{number}") for number in range(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Four records."""
    file = tmp_path / "records.jsonl"
    append_records(file, RECORDS)
    return file


def pressed(path: Path, given: str) -> tuple[Review, str]:
    """Presses keys; the review, and what was shown."""
    shown = io.StringIO()
    return review(path, iter(given), Console(file=shown, width=100)), shown.getvalue()


def decided(state: Review) -> str:
    """A letter a record: accepted, rejected, or a dot."""
    accepted = {one.id for one in state.accepted()}
    return "".join(
        "a" if one.id in accepted else "r" if state.is_decided(one) else "." for one in state.records
    )


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ("aara", "aara"),
        ("yyny", "aara"),
        ("a", "a..."),
        ("", "...."),
        ("q", "...."),
        ("aqrr", "a..."),
        ("sas", ".a.."),
        ("xz!a", "a..."),
        ("u", "...."),
        ("auq", "...."),
        ("auraaa", "raaa"),
        ("aruuaq", "a..."),
        ("asuq", "...."),
    ],
)
def test_keys_decide(path: Path, given: str, outcome: str) -> None:
    state, _ = pressed(path, given)
    assert decided(state) == outcome
    assert decided(Review(path)) == outcome, "it is kept"
    now = state.reviewed()
    counts = (now.records, now.accepted, now.rejected, now.left)
    assert counts == (4, outcome.count("a"), outcome.count("r"), outcome.count("."))


def test_each_record_is_shown_whole(path: Path) -> None:
    _, shown = pressed(path, "a")
    assert "4 of 4 left, 0 accepted, 0 rejected" in shown
    assert "3 of 4 left, 1 accepted, 0 rejected" in shown
    for text in ("put some mug in shelf.", "THOUGHT: The mug may be on the desk 1.", "a/0", "a/1"):
        assert text in shown
    assert "a/2" not in shown


def test_a_review_goes_on_where_it_was(path: Path) -> None:
    pressed(path, "arq")
    state, shown = pressed(path, "a")
    assert decided(state) == "ara."
    assert ("a/0" in shown, "a/1" in shown, "a/2" in shown) == (False, False, True)
    state, shown = pressed(path, "a")
    assert decided(pressed(path, "")[0]) == "araa"


def test_an_undo_reaches_into_the_last_sitting(path: Path) -> None:
    pressed(path, "aarq")
    state, shown = pressed(path, "ua")
    assert decided(state) == "aaa."
    assert "a/2" in shown


def test_decisions_stand_when_the_file_is_filtered_again(path: Path) -> None:
    pressed(path, "arq")
    marked = [
        one.model_copy(update={"provenance": one.provenance.model_copy(update={"filters": ["loops"]})})
        for one in reversed(RECORDS)
    ]
    path.unlink()
    append_records(path, marked)
    assert decided(Review(path)) == "..ra"


def test_a_decision_that_was_cut_off_is_dropped(path: Path) -> None:
    pressed(path, "ar")
    decisions = path.with_name("records.jsonl.review.jsonl")
    decisions.write_bytes(decisions.read_bytes()[:-12])
    assert decided(Review(path)) == "a..."
    assert decided(pressed(path, "a")[0]) == "aa.."


def test_decisions_that_are_none_are_told(path: Path) -> None:
    path.with_name("records.jsonl.review.jsonl").write_text('{"id": "x", "verdict": "perhaps"}\n')
    with pytest.raises(RecordError, match="line 1: it is no decision"):
        Review(path)


def test_records_of_equal_content_are_one(path: Path) -> None:
    append_records(path, RECORDS[:2])
    assert Review(path).reviewed().records == 4


# What is accepted is written


def test_what_is_accepted_is_written_and_marked(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "accepted.jsonl"
    state, _ = pressed(path, "ara")
    assert write_accepted(state, out) == 2
    written = list(read_records(out))
    assert [one.id for one in written] == [RECORDS[0].id, RECORDS[2].id]
    assert [one.provenance.filters for one in written] == [["review"], ["review"]]
    assert card_file(out).is_file()
    before = out.read_bytes()
    assert write_accepted(Review(path), out) == 2
    assert out.read_bytes() == before, "it is written anew, not added to"


def test_nothing_accepted_is_an_empty_file(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "accepted.jsonl"
    assert write_accepted(pressed(path, "rr")[0], out) == 0
    assert out.read_bytes() == b""


def test_a_review_does_not_overwrite_its_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(RecordError, match="give another --out"):
        write_accepted(pressed(path, "a")[0], path.parent / "." / path.name)
    assert path.read_bytes() == before


# Keys


def test_without_a_terminal_keys_are_lines() -> None:
    assert list(keys(io.StringIO("a\n\nReject\n  s \nq"))) == ["a", "r", "s", "q"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(("typed", "read"), [(b"aR", ["a", "r"]), (b"s\x04", ["s"])])
def test_on_a_terminal_a_key_is_enough(terminal: tuple[int, int], typed: bytes, read: list[str]) -> None:
    """One key at a time, without Enter; the terminal is as it was afterwards."""
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)

    def type_once_keys_are_read() -> None:
        eventually(lambda: not termios.tcgetattr(theirs)[3] & termios.ICANON)
        os.write(ours, typed)

    typist = threading.Thread(target=type_once_keys_are_read, daemon=True)
    typist.start()
    with open(theirs, encoding="utf-8", closefd=False) as source, closing(keys(source)) as pressed:
        assert list(itertools.islice(pressed, len(read))) == read
        if typed.endswith(b"\x04"):
            assert next(pressed, "the end") == "the end"
    typist.join(30)
    assert termios.tcgetattr(theirs) == before


def test_what_a_terminal_would_obey_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_records(
        path, [record(turn("look", "\x1b[2Jgone", "\x1b]0;title\x07x"), task="[bold]do[/nothing]")]
    )
    _, shown = pressed(path, "q")
    assert "\x1b" not in shown
    assert "[bold]do[/nothing]" in shown
