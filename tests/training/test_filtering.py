"""A file is filtered, and its runs are taken again in a real environment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from espalier.client import AsyncSessions, EspalierError
from services.contracts.context import Turn
from tests.support import free_port
from tests.training.support import SOLVED, record, turn
from training.construct.cards import DataCard, card_file
from training.construct.filtering import Filtered, environments_of, filter_file
from training.construct.filters import standard
from training.construct.record import Provenance, Record, RecordError, append_records, read_records
from training.construct.rejections import read_rejections, rejected_file
from training.construct.replay import applies, normalised

IN_ORDER = ["success", "format", "length", "loops", "consistency", "duplicates", "replay"]


async def filtered(source: Path, out: Path, url: str = "", *, replay_alone: bool = False) -> Filtered:
    filters = [] if replay_alone else standard(0.99, 50, 60_000)
    if not url:
        return await filter_file(source, out, filters, {}, print)
    async with AsyncSessions(url, timeout=60) as sessions:
        return await filter_file(source, out, filters, {"alfworld": sessions}, print)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def turned(one: Record, number: int, **changes: str) -> Record:
    turns: list[Turn] = list(one.context.turns)
    turns[number] = turns[number].model_copy(update=changes)
    return one.model_copy(update={"context": one.context.model_copy(update={"turns": turns})})


def cut(one: Record, count: int) -> Record:
    context = one.context.model_copy(update={"turns": one.context.turns[:count]})
    return one.model_copy(update={"context": context, "valid": one.valid[:count]})


async def test_what_an_expert_did_is_the_same_again(played: Path, houses: str, tmp_path: Path) -> None:
    out = tmp_path / "good.jsonl"
    found = await filtered(played, out, houses)
    records = list(read_records(out))
    assert (found.read, found.kept, len(records)) == (64, 64, 64)
    assert [one.id for one in records] == [one.id for one in read_records(played)], "in the order of the file"
    runs = [one for one in records if one.kind == "trajectory"]
    assert [one.provenance.filters for one in runs] == [IN_ORDER] * 10
    [plan, *_] = [one for one in records if one.kind == "plan"]
    assert plan.provenance.filters == ["format", "length", "duplicates"]
    assert found.passed["replay"] == 10
    assert not rejected_file(out).exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: turned(one, 0, observation="You see nothing."), "action 1 shows something else"),
        (lambda one: cut(one, len(one.valid) - 1), "ends with reward 0, done False; recorded were 1, True"),
        (lambda one: one.model_copy(update={"done": False}), "done True; recorded were 1, False"),
        (lambda one: turned(one, -1, action="look"), "shows something else"),
        (lambda one: one.model_copy(update={"task_id": "generated_train/199999"}), "199999"),
        (lambda one: one.model_copy(update={"task_id": "generated_train/0"}), "the task begins otherwise"),
    ],
)
async def test_what_the_environment_does_not_answer_again_is_rejected(
    change: Callable[[Record], Record], says: str, trajectories: list[Record], houses: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "raw.jsonl", tmp_path / "good.jsonl"
    first = next(one for one in trajectories if one.task_id != "generated_train/0")
    others = [one for one in trajectories if one.task_id != first.task_id]
    changed = change(first)
    append_records(source, [changed, others[0]])
    found = await filtered(source, out, houses, replay_alone=True)
    assert [one.task_id for one in read_records(out)] == [others[0].task_id]
    [rejected] = read_rejections(out)
    assert (rejected.by, rejected.record and rejected.record.id) == ("replay", changed.id)
    assert says in rejected.detail
    assert (found.rejected["replay"], found.passed["replay"]) == (1, 1)


async def test_a_run_that_goes_on_after_the_end_is_rejected(
    trajectories: list[Record], houses: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "raw.jsonl", tmp_path / "good.jsonl"
    one = trajectories[0]
    turns = [*one.context.turns, turn("inventory", "You are not carrying anything.")]
    longer = one.model_copy(
        update={
            "context": one.context.model_copy(update={"turns": turns}),
            "valid": [*one.valid, True],
        }
    )
    append_records(source, [longer])
    await filtered(source, out, houses, replay_alone=True)
    [rejected] = read_rejections(out)
    assert rejected.detail == f"the task ends after {len(turns) - 1} of {len(turns)} actions"


async def test_reasons_are_kept_and_counted(tmp_path: Path) -> None:
    source, out = tmp_path / "raw.jsonl", tmp_path / "good.jsonl"
    good = record(*SOLVED)
    bad = [
        record(*SOLVED, task_id="a/1", reward=0.2),
        record(*SOLVED, task_id="a/2"),  # a duplicate
        record(*SOLVED[:1], SOLVED[1].model_copy(update={"thought": ""}), task_id="a/3"),
    ]
    append_records(source, [good, *bad])
    source.write_bytes(source.read_bytes() + b'{"environment": 1}\n\xff\n\n')
    found = await filtered(source, out)
    assert (found.read, found.kept) == (6, 1)
    assert found.rejected == {"success": 1, "duplicates": 1, "format": 1, "malformed": 2}
    outcome = list(read_rejections(out))
    assert [one.by for one in outcome] == ["success", "duplicates", "format", "malformed", "malformed"]
    assert [one.record.id if one.record else "" for one in outcome] == [*(one.id for one in bad), "", ""]
    assert outcome[3].detail.startswith("line 5: ")
    card = DataCard.model_validate_json(card_file(out).read_text())
    assert (card.records, sum(card.rejected.values())) == (1, 5)
    assert card.rejected["malformed: is no record"] == 2


async def test_a_file_is_written_anew(tmp_path: Path) -> None:
    source, out = tmp_path / "raw.jsonl", tmp_path / "good.jsonl"
    append_records(source, [record(*SOLVED), record(*SOLVED, reward=0)])
    await filtered(source, out)
    first = out.read_bytes(), rejected_file(out).read_bytes(), card_file(out).read_bytes()
    await filtered(source, out)
    assert (out.read_bytes(), rejected_file(out).read_bytes(), card_file(out).read_bytes()) == first
    source.write_text("")
    append_records(source, [record(*SOLVED[:3])])
    await filtered(source, out)
    assert [one.id for one in read_records(out)] == [record(*SOLVED[:3]).id]
    assert not rejected_file(out).exists()


async def test_filtering_what_was_filtered_changes_nothing(tmp_path: Path) -> None:
    source, out, again = (tmp_path / name for name in ("raw", "good", "better"))
    append_records(source, [record(*SOLVED), record(*SOLVED[:3])])
    await filtered(source, out)
    await filtered(out, again)
    assert again.read_bytes() == out.read_bytes()


async def test_a_file_is_not_filtered_into_itself(tmp_path: Path) -> None:
    source = tmp_path / "raw.jsonl"
    append_records(source, [record(*SOLVED)])
    before = source.read_bytes()
    with pytest.raises(RecordError, match="give another --out"):
        await filtered(source, tmp_path / "." / "raw.jsonl")
    assert source.read_bytes() == before


async def test_an_environment_that_is_away_loses_nothing(trajectories: list[Record], tmp_path: Path) -> None:
    source, out = tmp_path / "raw.jsonl", tmp_path / "good.jsonl"
    append_records(source, trajectories[:1])
    out.write_text("what was there\n")
    with pytest.raises(EspalierError):
        await filtered(source, out, f"http://127.0.0.1:{free_port()}")
    assert out.read_text() == "what was there\n"
    assert files(tmp_path) == ["good.jsonl", "raw.jsonl"]


def test_only_what_can_be_played_again_is(tmp_path: Path) -> None:
    source = tmp_path / "raw.jsonl"
    imagined = record(*SOLVED, provenance=Provenance(source="imagined"))
    append_records(
        source,
        [
            imagined,
            record(*SOLVED, kind="plan", environment="webshop"),
            record(*SOLVED, environment="dbbench"),
            record(*SOLVED, environment="planner"),
            record(*SOLVED, environment="of my own"),
        ],
    )
    assert not applies(imagined)
    assert environments_of(source) == ["dbbench"]
    assert environments_of(source, ["of my own"]) == ["dbbench", "of my own"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a  b\n\n c", "a b\nc"),
        ("drwx 2 root Jan 12 10:15 bin", "drwx 2 root Nov 25 23:41 bin"),
        ("at 2026-01-02 03:04:05.123", "at 2025-11-12 13:14:15.9"),
        ("pid 17", "pid 4242"),
    ],
)
def test_what_may_differ_does_not_count(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(("one", "other"), [("mug 1", "mug 2"), ("a\nb", "b\na"), ("17 rows", "18 rows")])
def test_what_must_not_differ_counts(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_a_shell_lists_in_any_order() -> None:
    assert normalised("b\na", shell=True) == normalised("a\nb", shell=True)
    assert normalised("a 17", shell=True) != normalised("a 18", shell=True)
    processes = "PID TTY TIME CMD\n17 ? 00:00:00 bash"
    assert normalised(processes, shell=True) == normalised(processes.replace("17", "4711"), shell=True)
