"""Each filter passes what is good, and says why it rejects."""

from typing import Any

import pytest

from services.contracts.context import Brief, Context
from tests.training.support import SOLVED, record, turn
from training.construct.filters import Duplicates, Filter, standard
from training.construct.record import Record

FILTERS = {one.name: one for one in standard(0.99, 5, 2000)}
SHOP = "[Search]"
RESULTS = "[Back to Search]\n[B012345678]\nA red mug\n[B0ABCDEFGH]\nA blue mug"


def why(name: str, one: Record) -> str | None:
    return FILTERS[name].check(one)


def shopping(*turns: tuple[str, str, str]) -> Record:
    made = [turn(action, seen, thought) for thought, action, seen in turns]
    return record(*made, environment="webshop", task="buy a mug", observation=SHOP)


def plan(answer: str, k: int = 3) -> Record:
    return record(kind="plan", question={"num_subtasks": k}, answer=answer)


def test_a_good_record_passes_them_all() -> None:
    assert [why(name, record(*SOLVED)) for name in FILTERS] == [None] * 6


def test_filters_name_what_they_look_at() -> None:
    assert list(FILTERS) == ["success", "format", "length", "loops", "consistency", "duplicates"]
    assert "plan" not in FILTERS["success"].kinds
    assert "plan" in FILTERS["format"].kinds
    assert all(one.about for one in FILTERS.values())


@pytest.mark.parametrize(("reward", "passes"), [(1.0, True), (0.99, True), (0.98, False), (0.0, False)])
def test_success(reward: float, passes: bool) -> None:
    found = why("success", record(*SOLVED, reward=reward))
    assert found == (None if passes else f"reward {reward:g}, below 0.99")


@pytest.mark.parametrize(
    "one",
    [
        record(turn("look", thought="x", observation="anything at all\nACTION: go")),
        plan("1. find a mug\n2. take it\n3. put it in shelf"),
        plan("1. do it", 1),
        record(kind="subtask", answer="Yes"),
        record(kind="path", answer="No"),
        record(kind="selection", question={"options": ["look", "go north"]}, answer="B"),
        record(*SOLVED, valid=[]),
        # Of a step only the last turn is learned.
        record(turn("look", thought=""), turn("look"), kind="step"),
    ],
)
def test_format_passes(one: Record) -> None:
    assert why("format", one) is None


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (record(), "nothing was done"),
        (record(turn("look", thought="")), "no thought"),
        (record(turn("")), "no thought"),
        (record(turn("<action>", thought="<why this action>")), "echoes the template"),
        (record(turn("look\nOBSERVATION: dark")), "read as another action"),
        (record(turn("look ", thought="x")), "read as another action"),
        (record(turn("look", thought="x\nACTION: go north")), "read as another action"),
        (record(turn("look"), turn("look", thought=""), kind="step"), "no thought"),
        (record(turn("look"), valid=[True, True]), "1 actions and 2 marks"),
        (plan("1. find a mug\n2. take it"), "no plan of 3 subtasks"),
        (plan("find a mug, take it, put it"), "no plan of 3 subtasks"),
        (record(kind="subtask", answer="Perhaps"), "neither Yes nor No"),
        (record(kind="path", answer="yes"), "neither Yes nor No"),
        (
            record(kind="selection", question={"options": ["look", "go"]}, answer="C"),
            "no letter of an option",
        ),
        (
            record(kind="selection", question={"options": ["look", "go"]}, answer="AB"),
            "no letter of an option",
        ),
        (record(kind="selection", answer=""), "no letter of an option"),
    ],
)
def test_format_rejects(one: Record, says: str) -> None:
    assert says in (why("format", one) or "")


def test_length_counts_turns_and_characters() -> None:
    five = [turn("look")] * 5
    assert why("length", record(*five)) is None
    assert why("length", record(*five, turn("look"))) == "6 turns, more than 5"
    found = why("length", record(turn("look", "x" * 2000)))
    assert found is not None
    assert found.endswith("characters, more than 2000")
    assert why("length", record(kind="plan", answer="x" * 2000)) is not None
    assert why("length", record(kind="plan", answer="x" * 1900)) is None


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ([turn("look", "a"), turn("look", "a")], "'look' is repeated and brings the same"),
        ([turn("look", "a"), turn(" LOOK", "a ")], "'look' is repeated"),
        (
            [turn("a", "1"), turn("b", "2"), turn("a", "1"), turn("b", "2")],
            "'a' and 'b' are repeated in turns",
        ),
    ],
)
def test_loops_are_rejected(turns: list[Any], says: str) -> None:
    assert says in (why("loops", record(*turns)) or "")


@pytest.mark.parametrize(
    "turns",
    [
        [turn("look", "a"), turn("look", "b")],
        [turn("a", "1"), turn("b", "2"), turn("a", "1"), turn("c", "2")],
        [turn("a", "1"), turn("b", "2"), turn("a", "3"), turn("b", "2")],
        [],
    ],
)
def test_what_brings_something_new_is_no_loop(turns: list[Any]) -> None:
    assert why("loops", record(*turns)) is None


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ([turn("take mug 2 from desk 1")], "about mug 2, which was not seen"),
        ([turn("go to desk 1", "On it: a mug 1."), turn("open desk 2")], "about desk 2, which was not seen"),
        ([turn("go to desk 1", thought="First to the shelf 1.")], "the thought is about shelf 1"),
    ],
)
def test_consistency_in_the_household(turns: list[Any], says: str) -> None:
    assert says in (why("consistency", record(*turns)) or "")


@pytest.mark.parametrize(
    "turns",
    [
        [turn("go to desk 1", thought="First to the desk 1, then to the shelf 1.")],
        [turn("go to desk 1", thought="The mug may be on a desk; not on shelf 1.")],
        [turn("go to desk 1", thought="Let me look there.")],
        [turn("look", thought="What is on the shelf 1?")],
        [turn("go to desk 1", "On it: a mug 1."), turn("take mug 1 from desk 1")],
    ],
)
def test_consistency_passes_in_the_household(turns: list[Any]) -> None:
    assert why("consistency", record(*turns)) is None


def test_consistency_in_the_shop() -> None:
    search = ("Search.", "search[red mug]", RESULTS)
    open_it = ("B012345678 is red.", "click[B012345678]", "[Buy Now]")
    assert why("consistency", shopping(search, open_it, ("Buy.", "click[buy now]", "Thank you"))) is None
    unseen = shopping(search, ("It is red.", "click[B099999999]", "?"))
    assert why("consistency", unseen) == "'click[B099999999]' is no button of the page"
    beside = shopping(search, ("B0ABCDEFGH is what I want.", "click[B012345678]", "?"))
    assert "the thought is about b0abcdefgh" in (why("consistency", beside) or "")


def test_consistency_says_nothing_of_others() -> None:
    assert why("consistency", record(turn("take mug 2 from desk 9"), environment="os_interaction")) is None


def test_duplicates_are_rejected_once_each_kind() -> None:
    check = Duplicates()
    one = record(*SOLVED)
    assert check(one) is None
    assert check(one.model_copy(update={"reward": 0.5, "task_id": "other/1"})) is not None
    assert check(record(*SOLVED[:3])) is None
    assert check(record(*SOLVED, task="put some mug in drawer.")) is None
    assert check(record(*SOLVED, kind="step")) is None
    assert check(record(*SOLVED, kind="subtask", question={"subtask": "find it"}, answer="Yes")) is None
    assert check(record(*SOLVED, kind="subtask", question={"subtask": "find it"}, answer="No")) is None
    assert check(record(*SOLVED, kind="subtask", question={"subtask": "find it"}, answer="No")) is not None


def test_duplicates_are_of_one_file() -> None:
    def of(filters: list[Filter]) -> Filter:
        return next(one for one in filters if one.name == "duplicates")

    first, second = of(standard(1, 1, 1)), of(standard(1, 1, 1))
    assert (first.check(record(*SOLVED)), second.check(record(*SOLVED))) == (None, None)


def test_a_context_without_numbers_is_consistent() -> None:
    empty = Context(environment=Brief(name="alfworld"), task="")
    assert why("consistency", record(context=empty)) is None
