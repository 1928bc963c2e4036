"""A model imitates whole trajectories; it is scripted, the HTTP and the environment are real."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.support import SOLVED, RoleServer, moves_made, record, turn
from tests.training.support import move as said
from training.construct.constructions import make_in_context
from training.construct.in_context import read_examples
from training.construct.making import Made
from training.construct.record import Record, RecordError, append_records, read_records
from training.construct.role_settings import ConstructSettings

SPLIT = "corridors"
CORRIDORS = 8
"""How many there are."""


def walk(length: int, **changes: Any) -> Record:
    """A corridor that was walked; its thoughts say which it was."""
    turns = [turn("north", f"Cell {cell + 1} of {length}", f"as in {length}") for cell in range(length)]
    given = {
        "environment": "twin",
        "task_id": f"{SPLIT}/{length - 1}",
        "task": f"Go {length} cells north.",
        "observation": f"Cell 0 of {length}",
    }
    return record(*turns, **(given | changes))


async def imitate(
    roles: RoleServer, url: str, examples: list[Path], out: Path, *, shots: int = 2, limit: int = 4
) -> Made:
    return await make_in_context(
        ConstructSettings().model_copy(update={"role_url": roles.url, "role_retry_for": 0.0}),
        url,
        SPLIT,
        examples,
        out,
        print,
        shots=shots,
        limit=limit,
        seed=1,
        turns=0,
        concurrency=4,
    )


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Corridors of 1 to 5 cells."""
    path = tmp_path / "examples.jsonl"
    append_records(path, [walk(length) for length in range(1, 6)])
    return path


async def test_tasks_are_played_as_the_examples_were(
    roles: RoleServer, corridor: str, examples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = await imitate(roles, corridor, [examples], out)
    assert (made.kept, made.rejected.total()) == (4, 0)
    for one in read_records(out):
        assert {step.action for step in one.context.turns} == {"north"}
        assert (one.provenance.source, one.provenance.models) == ("in_context", {"action_maker": "player"})
        assert one.provenance.seed == 1
        assert "as in" not in one.context.model_dump_json(), "examples are shown, not recorded"


async def test_the_prompt_shows_whole_examples(
    roles: RoleServer, corridor: str, examples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    await imitate(roles, corridor, [examples], out, shots=3, limit=CORRIDORS)
    for one in read_records(out):
        prompts = [
            chat[0]["content"]
            for chat in roles.asked_of("in_context")
            if f"Task: {one.context.task}\nCell 0" in chat[0]["content"].partition("### Your task")[2]
        ]
        assert prompts
        for prompt in prompts:
            shown = prompt.partition("### Your task")[0]
            assert shown.count("### Example ") == 3
            assert f"Task: {one.context.task}\n" not in shown, "a task is never its own example"
            assert shown.count("THOUGHT: as in") == shown.count("OBSERVATION: Cell")
            assert "ACTION: north\nOBSERVATION: Cell 1 of" in shown


async def test_examples_are_drawn_by_the_seed(
    roles: RoleServer, corridor: str, examples: Path, tmp_path: Path
) -> None:
    drawn: list[list[str]] = []
    for name in ("one", "two"):
        roles.asked.clear()
        await imitate(roles, corridor, [examples], tmp_path / name, shots=1)
        begun = [chat[0]["content"] for chat in roles.asked_of("in_context") if not moves_made(chat)]
        drawn.append(sorted(prompt.partition("### Your task")[0] for prompt in begun))
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 4
    assert len(set(drawn[0])) > 1


async def test_what_is_played_already_is_not_played_again(
    roles: RoleServer, corridor: str, examples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    await imitate(roles, corridor, [examples], out)
    asked = len(roles.asked)
    made = await imitate(roles, corridor, [examples], out)
    assert (made.kept, made.there, len(roles.asked)) == (0, 4, asked)


async def test_the_task_of_the_only_example_is_left_out(
    roles: RoleServer, corridor: str, tmp_path: Path
) -> None:
    alone, out = tmp_path / "alone.jsonl", tmp_path / "out"
    append_records(alone, [walk(3)])
    made = await imitate(roles, corridor, [alone], out, limit=CORRIDORS)
    assert (made.kept, made.there) == (CORRIDORS - 1, 0)
    assert f"{SPLIT}/2" not in {one.task_id for one in read_records(out)}


async def test_one_that_rambles_is_rejected(
    roles: RoleServer, corridor: str, examples: Path, tmp_path: Path
) -> None:
    roles.script = lambda role, chat: said("north") if moves_made(chat) == 0 else "What a long corridor!"
    made = await imitate(roles, corridor, [examples], tmp_path / "out", limit=CORRIDORS)
    assert made.kept == 1, "one corridor is one cell long"
    assert made.rejected == {"action_maker: rambles": CORRIDORS - 1}


def test_only_what_may_be_imitated_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    good = walk(2)
    append_records(
        path,
        [
            good,
            walk(3, reward=0.5),
            walk(3, done=False),
            walk(3, valid=[True, False, True]),
            walk(3, kind="step"),
            walk(3, task="Go. " * 4000),
            record(*SOLVED),
        ],
    )
    assert read_examples([path], "twin") == [good]
    assert read_examples([path, path], "twin") == [good, good]
    with pytest.raises(RecordError, match="no solved trajectory of dbbench to imitate"):
        read_examples([path], "dbbench")


def test_files_of_something_else_are_told(tmp_path: Path) -> None:
    path = tmp_path / "poem.txt"
    path.write_text("A rose is a rose\n")
    with pytest.raises(RecordError, match=r"poem\.txt, line 1"):
        read_examples([path], "twin")
