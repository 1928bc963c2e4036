"""Records are made one task at a time: nothing twice, nothing lost, and a bad one never ends the run."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from espalier.client import EspalierError
from services.contracts.context import Turn
from services.contracts.problem import Problem
from tests.support import free_port
from tests.training.support import SOLVED, Chat, Reply, RoleServer, plays_well, record
from training.construct.cards import DataCard, card_file
from training.construct.constructions import make_grounded, make_imagined
from training.construct.making import PATIENCE, Made, make_records
from training.construct.record import Record, RecordError, read_records
from training.construct.rejections import read_rejections, rejected_file
from training.construct.role_settings import ConstructSettings
from training.construct.roles import RoleAwayError, RoleError

TASKS = [f"a/{number}" for number in range(12)]


class Maker:
    """Makes records, or raises what it is told for a task."""

    def __init__(self, **raises: Exception) -> None:
        self.made: Counter[str] = Counter()
        self.raises = {name.replace("_", "/"): error for name, error in raises.items()}
        self.hold: asyncio.Event | None = None
        self.held = asyncio.Event()

    async def __call__(self, task_id: str) -> Record:
        self.made[task_id] += 1
        if task_id in self.raises:
            raise self.raises[task_id]
        if self.hold and self.made.total() > 5:
            self.held.set()
            await self.hold.wait()
        return record(*SOLVED, task_id=task_id)


async def run(maker: Maker, out: Path, tasks: list[str] | None = None, concurrency: int = 3) -> Made:
    names = TASKS if tasks is None else tasks
    return await make_records(names, maker, out, print, environment="alfworld", concurrency=concurrency)


def tasks_of(out: Path) -> list[str]:
    return sorted(one.task_id for one in read_records(out))


def answers(status: int) -> EspalierError:
    return EspalierError(Problem.model_construct(title="x", status=status, detail=f"says {status}"))


def misfit() -> ValidationError:
    with pytest.raises(ValidationError) as found:
        Turn.model_validate({"action": 1})
    return found.value


async def test_every_task_is_made_once(tmp_path: Path) -> None:
    maker, out = Maker(), tmp_path / "out"
    made = await run(maker, out)
    assert (made.kept, made.there, made.failed) == (12, 0, 0)
    assert tasks_of(out) == sorted(TASKS)
    again = await run(maker, out)
    assert (again.kept, again.there) == (0, 12)
    more = await run(maker, out, [*TASKS, "a/12"])
    assert (more.kept, more.there) == (1, 12)
    assert set(maker.made.values()) == {1}


async def test_rejections_are_kept_and_not_tried_again(tmp_path: Path) -> None:
    raises: dict[str, Any] = {
        "a_1": RoleError("action_maker", "rambles", "blah"),
        "a_3": answers(422),
        "a_5": misfit(),
    }
    maker, out = Maker(**raises), tmp_path / "out"
    made = await run(maker, out)
    assert (made.kept, made.failed) == (9, 0)
    assert made.rejected == {
        "action_maker: rambles": 1,
        "environment: answers 422": 1,
        "record: does not fit": 1,
    }
    found = {one.task_id: (one.by, one.reason, one.detail) for one in read_rejections(out)}
    assert found["a/1"] == ("action_maker", "rambles", "blah")
    assert found["a/3"] == ("environment", "answers 422", "says 422")
    assert found["a/5"][2].startswith("action: ")
    assert (await run(maker, out)).there == 12
    assert set(maker.made.values()) == {1}


async def test_a_part_that_is_away_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    maker, out = (
        Maker(a_2=answers(0), a_4=answers(503), a_6=RoleAwayError("away"), a_8=answers(429)),
        tmp_path / "out",
    )
    made = await run(maker, out, concurrency=1)
    assert (made.kept, made.failed, made.stopped) == (8, 4, "")
    assert not rejected_file(out).exists()
    maker.raises.clear()
    made = await run(maker, out)
    assert (made.kept, made.there, made.failed) == (4, 8, 0)
    assert tasks_of(out) == sorted(TASKS)


async def test_a_part_that_stays_away_ends_the_run(tmp_path: Path) -> None:
    maker = Maker(**{f"a_{number}": RoleAwayError("it is away") for number in range(2, 12)})
    made = await run(maker, tmp_path / "out", concurrency=1)
    assert (made.kept, made.failed, made.stopped) == (2, PATIENCE, "it is away")
    assert maker.made.total() == 2 + PATIENCE


async def test_a_run_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    maker, out = Maker(), tmp_path / "out"
    maker.hold = asyncio.Event()
    running = asyncio.create_task(run(maker, out))
    await asyncio.wait_for(maker.held.wait(), 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    kept = tasks_of(out)
    assert kept == sorted(TASKS[:5])
    assert DataCard.model_validate_json(card_file(out).read_text()).records == 5
    maker.hold = None
    with out.open("ab") as file:  # the next line was being written
        file.write(record(*SOLVED, task_id="a/11").model_dump_json(exclude_defaults=True).encode()[:99])
    made = await run(maker, out)
    assert (made.there, made.kept) == (5, 7)
    assert tasks_of(out) == sorted(TASKS)
    assert all(maker.made[name] == 1 for name in kept)


async def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    maker, out = Maker(), tmp_path / "notes.txt"
    out.write_text("my notes\n")
    with pytest.raises(RecordError, match="line 1"):
        await run(maker, out)
    assert (out.read_text(), maker.made.total()) == ("my notes\n", 0)
    assert not card_file(out).exists()


async def test_no_tasks_make_nothing(tmp_path: Path) -> None:
    made = await run(Maker(), tmp_path / "out", [])
    assert (made.kept, made.there, made.rejected.total()) == (0, 0, 0)


async def test_another_environment_has_tasks_of_the_same_name(tmp_path: Path) -> None:
    maker, out = Maker(), tmp_path / "out"
    await run(maker, out, ["a/1"])

    async def other(task_id: str) -> Record:
        return record(*SOLVED, task_id=task_id, environment="dbbench")

    made = await make_records(["a/1"], other, out, print, environment="dbbench", concurrency=1)
    assert (made.kept, made.there) == (1, 0)


# The whole constructions


def settings(roles: RoleServer, **changes: Any) -> ConstructSettings:
    given = {"role_url": roles.url, "role_retry_for": 0.0, "role_timeout": 30.0}
    return ConstructSettings().model_copy(update=given | changes)


async def imagine(settings: ConstructSettings, out: Path, limit: int = 8) -> Made:
    return await make_imagined(settings, out, print, limit=limit, seed=0, turns=4, concurrency=2)


async def test_role_play_goes_on_when_the_model_is_back(roles: RoleServer, tmp_path: Path) -> None:
    """The model dies in the middle; the same command later makes what is left, and nothing twice."""
    out = tmp_path / "out"
    full = Reply("out of memory", status=503)

    def dies(role: str, chat: Chat) -> str | Reply:
        return full if len(roles.asked) > 15 else plays_well(role, chat)

    roles.script = dies
    first = await imagine(settings(roles), out, 20)
    assert first.kept >= 2
    assert first.stopped.endswith("answers 503")
    before = out.read_bytes()
    roles.script = plays_well
    second = await imagine(settings(roles), out, 20)
    assert (second.there, second.kept, second.failed) == (first.kept, 20 - first.kept, 0)
    assert out.read_bytes().startswith(before)
    assert len({one.task_id for one in read_records(out)}) == 20


async def test_an_environment_that_is_away_is_told(roles: RoleServer, tmp_path: Path) -> None:
    with pytest.raises(EspalierError):
        await make_grounded(
            settings(roles),
            f"http://127.0.0.1:{free_port()}",
            "corridors",
            tmp_path / "out",
            print,
            reword=False,
            limit=1,
            seed=0,
            turns=0,
            concurrency=1,
        )
    assert not (tmp_path / "out").exists()
