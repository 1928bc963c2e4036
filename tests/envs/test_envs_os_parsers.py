"""Every parser of text that a model, a program or a client writes takes time that grows with its length only.

Each case has 20,000 characters and takes some milliseconds; the limit is a hundred times as much, and a
parser that goes back over what it has read needs minutes.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from envs.os_interaction import actions, arithmetic, grading, scoring, text
from envs.os_interaction.actions import Bash
from envs.os_interaction.sandbox.inside.restoring import Task, is_kept
from envs.os_interaction.sandbox.inside.shell import OWN
from envs.os_interaction.tasks import official
from envs.os_interaction.tasks.table import Script

LENGTH = 20_000
SECONDS = 3.0
PIECES = [
    " ", "\n", "\t", "`", "```", "```\n", "```bash", "```bash\n", "``` ", "\n```", "```\n \n", "a", "\\",
    "'", "\"", "#", "(", ")", "()", "((", "))", "( ", " )", "[", "[[", "]", "{", "}", "f() {",
    "f () { g; }\n", "$(", "${", "$1", "\"$1\" ", "$((", "x=$1\n", "x=$x\n", "read x\n",
    "for x in $1; do ", " -eq ", "[[ $1 -eq ", "let x\n", "a[", "declare -i x\n", "function f {\n", "&&",
    "||", ";", "\n;", ";\n", "answer(", "answer()", "answer:", "answer ", "answer\n", "finish",
    "finish(", "finish (", "finish ", ".", " .", "bash", "bash:", "bash ", "bash\n", "Act:", "Act:\n",
    "Act: bash\n", "Act: answer(\n", "act : ", "action", "Think:", "Think:\n", "Act: finish (\n",
    "\u001b", "\u001b[", "\u001b]", "\u001bP", "\u001b[0", "\u009b", "\u009b0", "\r", "\r\n",
    "bash: line 1: ", "bash: 1 Killed ", "0", "1:", "12:", "2024-", "2024-01-01 ", "Jan 1 ", "Mon ",
    "Mon, 1 Jan ", "real 1m", "PID", "PID ", " PID\n", "[1]+", "/a", "//", "/", "~/a", "$HOME/", "a.b",
    "a.", ".a", "/etc/", "/etc/a ", " su - a;", "\n su - ", "&& su ", "0.", "1k", "-", "+", "--",
    "\u2028", "\u0085", "\u000b", "\u001c", "\uff1a", "declare -r UID=", "declare -rrr",
]  # fmt: skip
ENDS = [
    ("", ""),
    ("", "x"),
    ("```\n", "x"),
    ("```", "```"),
    ("answer(", "x"),
    ("Think: a\nAct: bash\n", "\nx"),
    ("bash: ```", "x"),
    ("\x1b[", "x"),
    ("[[ $1 -eq 1", " ]]"),
    ("x=", "\n"),
    ("`", "x"),
]


def read_record(code: str) -> object:
    """A client's task with a text at every place."""
    record = {
        "description": code,
        "create": {"init": code},
        "start": code,
        "evaluation": {"match": code, "check": {"code": code}, "example": code},
    }
    return official.task(record, None)


def match_scores(answer: str) -> object:
    """All verdicts that are found in the server."""
    found = [check(answer, other) for check in scoring.CHECKS.values() for other in (answer, "5", "4K")]
    return [*found, scoring.matches(answer, answer, None, True)]


def find_paths(code: str) -> object:
    """What an example names."""
    return [pattern.findall(code) for pattern in (grading.PATHS, grading.HOME_PATHS, grading.FILES)]


PARSERS: dict[str, Callable[[str], object]] = {
    "actions": actions.parse,
    "cleaning": text.clean,
    "showing": lambda printed: text.shown(printed, []),
    "normalising": text.normalised,
    "records": read_record,
    "scores": match_scores,
    "arithmetic": lambda code: arithmetic.find_unsafe_word(Script(code), ["1"]),
    "paths": find_paths,
    "names": lambda code: is_kept("etc/a", "etc", "a", {}, Task(code, code, code)),
    "the shell's variables": OWN.match,
}


@pytest.mark.parametrize("parser", list(PARSERS))
def test_time_grows_with_the_length_only(parser: str) -> None:
    parse = PARSERS[parser]
    slow: list[tuple[str, str, float]] = []
    for piece in PIECES:
        for before, after in ENDS:
            whole = before + (piece * (LENGTH // len(piece) + 1))[:LENGTH] + after
            began = time.process_time()
            parse(whole)
            seconds = time.process_time() - began
            if seconds > SECONDS:
                slow.append((before, piece, seconds))
        assert not slow


def test_mixed_pieces_take_no_longer() -> None:
    """Two pieces in turn, and one long run of each."""
    for parse in PARSERS.values():
        for number, one in enumerate(PIECES):
            other = PIECES[(number * 7 + 3) % len(PIECES)]
            pair = one + other
            for whole in (
                (pair * (LENGTH // len(pair))),
                one * (9000 // len(one)) + other * (9000 // len(other)),
            ):
                began = time.process_time()
                parse(whole)
                assert time.process_time() - began < SECONDS, (one, other)


def test_a_fence_many_blanks_and_a_letter() -> None:
    """The action that hung the server."""
    assert isinstance(actions.parse("```" + " " * LENGTH + "a"), actions.Invalid)
    assert actions.parse("x ```" + " " * LENGTH + "a") == Bash("x ```" + " " * LENGTH + "a")


def test_records_are_split_at_line_feeds_only(tmp_path: Path) -> None:
    """Other characters that Python takes for ends of lines stand in texts."""
    odd = "a\u2028b\u2029c\x85d"
    records = [
        {"description": odd, "evaluation": {"match": odd}},
        {"description": "b", "evaluation": {"match": "1"}},
    ]
    file = tmp_path / "train.jsonl"
    file.write_text(
        "\r\n".join(json.dumps(one, ensure_ascii=False) for one in records) + "\n", encoding="utf-8"
    )
    found = official.read_official(tmp_path).splits["train"]
    assert [task.instruction for task in found.values()] == [odd, "b"]
    assert text.normalised("a\u2028b\nc") != text.normalised("b\na\nc")
