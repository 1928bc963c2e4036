"""The verdict: AgentBench's rules, and each mended fault with the records for which it makes a difference."""

import ast
import time
from collections.abc import Sequence

import pytest

from envs.dbbench.scoring import answers, correct, digest, official
from tests.envs.test_envs_db_support import questions, records

NO_VALUE = {8, 9, 17}
"""The dev records whose label is `none`."""


def their_value(value: object) -> str:
    """A value as AgentBench compares it: whatever says that there is none is 0, and so is infinity."""
    text = str(value).strip().strip("'\"").strip()
    text = text[:-1].strip() if text.endswith("%") else text.replace(",", "")
    nothing = ("none", "null", "undefined", "nan", "", "inf", "infinity", "-inf", "-infinity")
    return "0" if text.lower() in nothing else text


def their_verdict(answer: str, label: Sequence[str | None]) -> bool:
    """AgentBench's rule for SELECT kinds, written down again (without its `eval`)."""
    given: list[object] = [answer]
    if answer.startswith("["):
        rows = ast.literal_eval(answer)
        tuples = all(isinstance(row, tuple) for row in rows)
        # A list of rows keeps those of one column and drops the others, without a word.
        given = [row[0] for row in rows if len(row) == 1] if tuples else rows
    ours, theirs = [their_value(value) for value in given], [their_value(value) for value in label]

    def number(text: str) -> bool:
        return text.lstrip("-").replace(".", "", 1).isdigit()

    if all(map(number, ours + theirs)):
        left = sorted(map(float, ours)), sorted(map(float, theirs))
        return len(ours) == len(theirs) and all(abs(a - b) <= 0.01 for a, b in zip(*left, strict=True))
    return set(ours) == set(theirs)


@pytest.mark.parametrize(
    ("answer", "label", "right"),
    [
        ('["26"]', ["26"], True),
        ("26", ["26"], True),
        ("26.0", ["26"], True),
        ('["26.004"]', ["26"], True),
        ('["26.02"]', ["26"], False),
        ("[('26',)]", ["26"], True),
        ('["32,502"]', ["32502.0"], True),
        ('["45%"]', ["45"], True),
        ('["a", "b"]', ["b", "a"], True),
        ("['a']", ["b", "a"], False),
        ('["1", "2"]', ["2.0", "1.0"], True),
        ('["1", "1"]', ["1", "2"], False),
        ('["1", "1"]', ["1"], False),
        ('["a", "7"]', ["a", "7.0"], True),
        ('["March 19, 1998"]', ["March 19, 1998"], True),
        ('["march 19, 1998"]', ["March 19, 1998"], False),
        ("none", ["none"], True),
        ("[]", ["none"], True),
        ("[(None,)]", ["none"], True),
        ('["null"]', ["none"], True),
        ('["0"]', ["none"], False),
        ("none", ["0"], False),
        ("[]", ["0"], False),
        ('["0"]', ["0.0"], True),
        ('["inf"]', ["0"], False),
        ("[('a', 'b')]", ["a"], False),
        ("[('a', 'b')]", ["a", "b"], True),
        ('["O\'Neil, \\"Jimmy\\""]', ['O\'Neil, "Jimmy"'], True),
        ('["1–0", "2–0"]', ["1–0", "2–0"], True),  # noqa: RUF001
    ],
)
def test_answers_are_compared_as_the_benchmark_does_or_better(
    answer: str, label: list[str], right: bool
) -> None:
    assert correct(answer, label) is right


def test_every_label_answers_itself() -> None:
    for number, record in enumerate(records()):
        question = questions()[number]
        if not question.changes:
            assert correct(str(record["label"]), record["label"]), number
            assert their_verdict(str(record["label"]), record["label"]), number


def test_null_is_not_zero_and_these_records_change() -> None:
    selects = {n: list(q.label or ()) for n, q in enumerate(questions()) if not q.changes}
    changed: dict[str, set[int]] = {}
    for answer in (
        '["0"]',
        '["0.0"]',
        '["inf"]',
        '["none"]',
        '["null"]',
        '[""]',
        "[]",
        "[(None,)]",
        '["17"]',
    ):
        for number, label in selects.items():
            if their_verdict(answer, label) != correct(answer, label):
                changed.setdefault(answer, set()).add(number)
    assert changed == {'["0"]': NO_VALUE, '["0.0"]': NO_VALUE, '["inf"]': NO_VALUE, "[]": NO_VALUE}


def test_rows_of_several_columns_are_not_dropped() -> None:
    for number in (3, 4, 14):
        label = list(questions()[number].label or ())
        rows = str([("x", "y"), (label[0],)])
        assert their_verdict(rows, label), number
        assert not correct(rows, label), number


def test_nothing_is_evaluated() -> None:
    assert answers("[__import__('os').getpid()]") == ["__import__('os').getpid()"]
    assert not correct("[20 + 6]", ["26"])
    began = time.monotonic()
    assert answers("[" * 9000 + "]" * 9000)
    assert answers("[9**9**9**9]") == ["9**9**9**9"]
    assert not correct("[" + "1," * 9999 + "1]", ["1"])
    assert time.monotonic() - began < 5


def test_lists_are_read_with_and_without_quotes() -> None:
    assert answers('["a, b", "c"]') == ["a, b", "c"]
    assert answers("['a', \"it's\", 7, None]") == ["a", "it's", "7", None]
    assert answers("[a, b c]") == ["a", "b c"]
    assert answers("('a', 'b')") == ["a", "b"]
    assert answers("'a'") == ["a"]


def test_the_checksum_is_of_rows_in_any_order() -> None:
    rows = [("a", "1"), ("b", None), ("c", "")]
    assert digest(rows) == digest(rows[::-1])
    assert digest(rows) != digest([*rows, rows[0]])
    assert digest(rows) != digest([("a", "2"), *rows[1:]])
    many = [(str(number),) for number in range(400)]
    assert digest(many, 1024) != digest(many)
    assert official("[('1ad7a2ca4b2a4c4f8d1f4d4d2f0b6c1e',)]") == ("1ad7a2ca4b2a4c4f8d1f4d4d2f0b6c1e",)
    assert official(None) == official("") == ()
