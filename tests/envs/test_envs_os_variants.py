"""Variants of recorded OS tasks, and the references that experts play by."""

import pytest

from envs.os_interaction.expert import Expert, Reference
from envs.os_interaction.reference import condense, join_lines, strip_comments
from envs.os_interaction.tasks.reading import LEARNED, UNSEEN, VARIED, divide_training
from envs.os_interaction.tasks.table import Example, Match, Named, OsTask, Script
from envs.os_interaction.tasks.variants import vary

TASK = OsTask(
    'Count the lines of "orders.txt" in the directory `reports` that contain "Urgent".',
    init=(
        Script("mkdir reports; echo 'Urgent: pay' > reports/orders.txt; echo urgent >> reports/orders.txt"),
    ),
    check=(Example(), Named("check/integer-match.py")),
    example=Script("grep -c 'Urgent' reports/orders.txt"),
)


def test_a_variant_exchanges_a_name_everywhere_and_keeps_its_capitals() -> None:
    seen: set[str] = set()
    for number in range(30):
        varied = vary(TASK, number)
        assert varied is not None
        assert varied == vary(TASK, number)
        assert varied.example is not None
        seen.add(varied.instruction)
        for old in ("orders", "reports", "Urgent"):
            places = (varied.instruction, varied.init[0].code, varied.example.code)
            assert len({old in place for place in places}) == 1, "in all places or in none"
        assert ".txt" in varied.instruction, "an extension is no name"
        assert "lines" in varied.instruction
    assert len(seen) > 20


@pytest.mark.parametrize(
    "task",
    [
        OsTask("Count the users.", check=(Example(),), example=Script("getent passwd | wc -l")),
        OsTask("Say `hello`.", match=Match("hello"), example=Script("echo hello")),
        OsTask("Count `orders`.", check=(Script("true"),), example=Script("ls orders | wc -l")),
        OsTask("Count `orders`.", check=(Example(),)),
        OsTask(
            'Count the processors in "/proc/cpuinfo" with `nologin`.',
            check=(Example(),),
            example=Script("grep -c processor /proc/cpuinfo; grep nologin x"),
        ),
    ],
)
def test_a_task_without_names_or_with_a_fixed_answer_has_no_variant(task: OsTask) -> None:
    assert vary(task, 0) is None


def test_held_out_records_have_no_variants() -> None:
    tasks = {
        str(n): OsTask(
            f'Count "sheet{n}a.txt".',
            init=(Script(f"touch sheet{n}a.txt"),),
            check=TASK.check,
            example=Script(f"wc -l sheet{n}a.txt"),
        )
        for n in range(200)
    }
    found = divide_training(tasks, 2)
    assert found[LEARNED].keys() | found[UNSEEN].keys() == tasks.keys()
    assert 5 < len(found[UNSEEN]) < 45
    assert {name.partition("-")[0] for name in found[VARIED]} == found[LEARNED].keys()


@pytest.mark.parametrize(
    ("explanation", "thought"),
    [
        (
            "To solve this problem, you can use the `find` command to search. Then count.",
            "Use the `find` command to search.",
        ),
        ("You need to perform several steps: first go.", ""),
        ("Grep it.", ""),
        ("", ""),
        ("```bash\nls\n```", ""),
    ],
)
def test_an_explanation_becomes_a_thought(explanation: str, thought: str) -> None:
    assert condense(explanation) == thought


def test_plain_commands_are_joined_and_blocks_stay() -> None:
    assert join_lines("cd a\nn=$(ls | wc -l)\necho $n") == "cd a; n=$(ls | wc -l); echo $n"
    for script in (
        "for f in *; do\n  echo $f\ndone",
        "cat a |\nwc -l",
        "cat <<E\nx\nE",
        "awk '{\nprint\n}' a",
        "f() {\nls\n}",
        'cd a # go to "a"\nls | wc -l',
    ):
        assert join_lines(script) == script


def test_comments_are_stripped_and_what_looks_like_one_stays() -> None:
    script = "#!/bin/bash\n# Count them\n\ncd logs  # go there\ngrep -v '^#' a.log | wc -l\n"
    assert strip_comments(script) == "cd logs\ngrep -v '^#' a.log | wc -l"
    document = "cat <<E > a\n# kept\n\nE"
    assert strip_comments(document) == document


def test_what_another_ran_already_is_not_run_again() -> None:
    expert = Expert("", TASK.instruction, Reference("grep -c 'Urgent' reports/orders.txt", "I count."))
    expert.follow("bash: grep -c 'Urgent' reports/orders.txt", "The output of the OS:\n\n7")
    expert.follow("answer()", "The answer is empty, so the task goes on.")
    assert [move.action for move in expert.play()] == ["answer(7)"]
    failed = Expert("", TASK.instruction, Reference("grep -c 'Urgent' reports/orders.txt", "I count."))
    failed.follow("bash: grep Urgent x", "The output of the OS:\n\ngrep: x: No such file or directory")
    first = next(failed.play())
    assert first.action == "bash: grep -c 'Urgent' reports/orders.txt"
    assert "No such file" in first.thought
