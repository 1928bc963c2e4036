"""Role play: rooms that are imagined, environments that answer; the models are scripted, the HTTP is real."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envs.alfworld.houses import Houses
from espalier.client import AsyncSessions
from tests.training.support import Chat, Reply, RoleServer, move, moves_made, plays_well
from training.construct.constructions import make_grounded, make_imagined
from training.construct.filtering import filter_file
from training.construct.filters import standard
from training.construct.making import Made
from training.construct.record import Record, append_records, read_records
from training.construct.rejections import Rejection, read_rejections
from training.construct.role_settings import Address, ConstructSettings, RoleSetupError
from training.construct.roleplay import Cast, grounded
from training.construct.roles import RoleModel
from training.construct.rooms import KINDS, MOST_PLACES, draw_room
from training.construct.templates import PromptError, Prompts

SPLIT = "corridors"


def settings(roles: RoleServer, **changes: Any) -> ConstructSettings:
    given = {"role_url": roles.url, "role_retry_for": 0.0, "role_timeout": 30.0}
    return ConstructSettings().model_copy(update=given | changes)


async def imagine(roles: RoleServer, out: Path, limit: int = 4, turns: int = 6, **changes: Any) -> Made:
    return await make_imagined(
        settings(roles, **changes), out, print, limit=limit, seed=3, turns=turns, concurrency=8
    )


async def ground(
    roles: RoleServer, url: str, out: Path, limit: int = 4, *, reword: bool = False, turns: int = 0
) -> Made:
    return await make_grounded(
        settings(roles),
        url,
        SPLIT,
        out,
        print,
        reword=reword,
        limit=limit,
        seed=3,
        turns=turns,
        concurrency=4,
    )


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def rejections(out: Path) -> list[Rejection]:
    return list(read_rejections(out))


# Rooms


def test_a_room_is_the_same_again() -> None:
    houses = Houses.load()
    assert draw_room(1, 2, houses) == draw_room(1, 2, houses)
    assert draw_room(1, 2, houses) != draw_room(1, 3, houses)
    assert draw_room(1, 2, houses) != draw_room(2, 2, houses)


def test_rooms_are_whole() -> None:
    houses = Houses.load()
    drawn = [draw_room(0, number, houses) for number in range(200)]
    assert {kind for _, kind in drawn} == set(KINDS)
    assert {room.kind for room, _ in drawn} == set(houses.rooms)
    for room, _ in drawn:
        assert 1 <= len(room.places) <= MOST_PLACES
        assert room.closed <= set(room.places)
        things = [thing for held in room.places.values() for thing in held]
        assert len(things) == len(set(things)), "each thing is there once"
        assert room.objects, "there is something to ask for"


def test_only_those_who_may_know_are_told_what_lies_where() -> None:
    room, _ = draw_room(0, 1)
    seen, outcome = room.seen("put a mug on the desk"), room.describe()
    for place, things in room.places.items():
        assert f"a {place}" in seen
        assert place in outcome
        for thing in things:
            assert thing in outcome
            assert not re.search(rf"\b{thing}\b", seen)
    assert seen.endswith("Your task is to: put a mug on the desk")


# Imagined


async def test_an_imagined_room_is_played_by_three_models(roles: RoleServer, tmp_path: Path) -> None:
    out = tmp_path / "imagined.jsonl"
    made = await imagine(roles, out)
    assert (made.kept, made.there, made.failed, made.stopped) == (4, 0, 0, "")
    records = sorted(read_records(out), key=lambda one: one.task_id)
    assert [one.task_id for one in records] == [f"imagined/3/{number}" for number in range(4)]
    one = records[0]
    assert [turn.action for turn in one.context.turns] == ["go to shelf 1", "move mug 1 to shelf 1"]
    assert [turn.observation for turn in one.context.turns] == [
        "On it you see a mug 1.",
        "You move the mug 1.",
    ]
    assert (one.reward, one.done, one.valid) == (1.0, True, [True, True])
    assert one.context.task in one.context.observation
    assert one.provenance.model_dump() == {
        "source": "imagined",
        "models": dict.fromkeys(("question_generator", "action_maker", "environment_agent"), "player"),
        "split": "imagined",
        "seed": 3,
        "filters": [],
        "licence": "",
    }


async def test_each_role_sees_what_it_may(roles: RoleServer, tmp_path: Path) -> None:
    await imagine(roles, tmp_path / "out", limit=1)
    room, kind = draw_room(3, 0)
    [asked] = roles.asked_of("question_generator")
    assert room.describe() in asked[0]["content"]
    assert kind in asked[0]["content"]
    first, second = roles.asked_of("action_maker")
    assert room.describe() not in first[0]["content"]
    assert [message["content"] for message in second[1:]] == [
        move("go to shelf 1"),
        "OBSERVATION: On it you see a mug 1.",
    ]
    first, second = roles.asked_of("environment_agent")
    assert room.describe() in first[0]["content"]
    assert second[2]["content"] == "ACTION: move mug 1 to shelf 1"


async def test_the_limit_of_turns_ends_a_conversation(roles: RoleServer, tmp_path: Path) -> None:
    def never_solved(role: str, chat: Chat) -> str:
        if role == "environment_agent":
            return "OBSERVATION: Nothing happens.\nSOLVED: no"
        return move("look") if role == "action_maker" else plays_well(role, chat)

    roles.script = never_solved
    out = tmp_path / "out"
    await imagine(roles, out, limit=1, turns=3)
    [one] = read_records(out)
    assert (one.reward, one.done, one.valid) == (0.0, False, [False, False, False])


def only(role: str, reply: str | Reply) -> Callable[[str, Chat], str | Reply]:
    """One role says always the same; the others play well."""
    return lambda asked, chat: reply if asked == role else plays_well(asked, chat)


@pytest.mark.parametrize(
    ("role", "reply", "reason"),
    [
        ("question_generator", "Here is a nice task for you!", "rambles"),
        ("question_generator", "TASK: " + "put it there " * 40, "rambles"),
        ("question_generator", "TASK: Fly to the moon.", "needs what the room lacks"),
        ("question_generator", "I cannot write tasks.", "refuses"),
        ("action_maker", "I would go to the shelf, I think.", "rambles"),
        ("action_maker", "I'm sorry, I can't do that.", "refuses"),
        ("environment_agent", "You see a mug.", "rambles"),
        ("environment_agent", "OBSERVATION: You see a mug.\nSOLVED: perhaps", "rambles"),
        ("environment_agent", Reply("boom", status=500), "answers 500"),
    ],
)
async def test_a_role_that_spoils_its_conversations_ends_no_run(
    roles: RoleServer, tmp_path: Path, role: str, reply: str | Reply, reason: str
) -> None:
    roles.script = only(role, reply)
    out = tmp_path / "out"
    made = await imagine(roles, out)
    assert (made.kept, made.failed, made.stopped) == (0, 0, "")
    assert made.rejected == {f"{role}: {reason}": 4}
    assert not out.exists()
    outcome = rejections(out)
    assert {(one.by, one.reason, one.environment) for one in outcome} == {(role, reason, "alfworld")}
    assert {one.task_id for one in outcome} == {f"imagined/3/{number}" for number in range(4)}


async def test_a_role_that_is_silent_ends_no_run(roles: RoleServer, tmp_path: Path) -> None:
    def script(role: str, chat: Chat) -> str | Reply:
        slow = role == "action_maker" and "shelf" not in chat[0]["content"]
        return Reply(never=True) if slow else plays_well(role, chat)

    roles.script = script
    shelves = ["shelf" in draw_room(3, number)[0].describe() for number in range(8)]
    assert {True, False} == set(shelves), "the seed was chosen so that both are drawn"
    out = tmp_path / "out"
    made = await imagine(roles, out, limit=8, role_timeout=4.0)
    assert made.rejected == {"action_maker: times out": shelves.count(False)}
    assert made.kept == shelves.count(True)


async def test_an_answer_that_is_too_long_ends_no_run(roles: RoleServer, tmp_path: Path) -> None:
    roles.script = only("environment_agent", f"OBSERVATION: {'x' * 100_001}\nSOLVED: no")
    made = await imagine(roles, tmp_path / "out", limit=2)
    assert made.rejected == {"record: does not fit": 2}


async def test_prompts_of_ones_own_are_used(roles: RoleServer, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "action_maker.txt").write_text("You are the action maker of ours: {{ task }}")
    await imagine(roles, tmp_path / "out", limit=1, role_prompts=folder)
    assert roles.asked_of("action_maker")[0][0]["content"].startswith("You are the action maker of ours: Put")
    (folder / "environment_agent.txt").write_text("You are the environment agent. {{ weather }}")
    with pytest.raises(PromptError, match="environment_agent"):
        await imagine(roles, tmp_path / "other", limit=1, role_prompts=folder)


async def test_a_wrong_key_ends_the_run_at_once(roles: RoleServer, tmp_path: Path) -> None:
    roles.script = only("environment_agent", Reply("no such key", status=401))
    with pytest.raises(RoleSetupError, match="environment_agent"):
        await imagine(roles, tmp_path / "out")
    assert files(tmp_path) == [], "nothing was made"


# Grounded


async def test_the_real_environment_answers(roles: RoleServer, corridor: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = await ground(roles, corridor, out)
    assert (made.kept, made.rejected.total()) == (4, 0)
    for one in read_records(out):
        length = int(one.task_id.partition("/")[2]) + 1
        assert [turn.action for turn in one.context.turns] == ["north"] * length
        assert one.context.turns[-1].observation.startswith(f"Cell {length} of {length}, seed 3")
        assert (one.reward, one.done) == (1.0, True)
        assert (one.provenance.source, one.provenance.split, one.provenance.seed) == ("grounded", SPLIT, 3)
        assert one.provenance.models == {"action_maker": "player"}
    assert {role for role, _ in roles.asked} == {"action_maker"}


async def test_tasks_are_drawn_by_the_seed(roles: RoleServer, corridor: str, tmp_path: Path) -> None:
    await ground(roles, corridor, tmp_path / "one", turns=1)
    await ground(roles, corridor, tmp_path / "two", turns=1)
    drawn = [{one.task_id for one in read_records(tmp_path / name)} for name in ("one", "two")]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 4


async def test_turns_can_be_limited(roles: RoleServer, corridor: str, tmp_path: Path) -> None:
    await ground(roles, corridor, tmp_path / "out", turns=2)
    assert {len(one.context.turns) for one in read_records(tmp_path / "out")} <= {1, 2}


async def test_invalid_actions_are_marked(roles: RoleServer, corridor: str, tmp_path: Path) -> None:
    roles.script = lambda role, chat: move("dance" if moves_made(chat) == 0 else "north")
    await ground(roles, corridor, tmp_path / "out", limit=1)
    [one] = read_records(tmp_path / "out")
    assert one.valid == [False, *[True] * (len(one.valid) - 1)]
    assert len(one.valid) >= 2


async def test_a_task_is_said_in_other_words(roles: RoleServer, corridor: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await ground(roles, corridor, out, limit=2, reword=True)
    for one in read_records(out):
        number = int(one.task_id.partition("/")[2]) + 1
        assert one.context.task == f"Please: Go {number} cells north."
        assert set(one.provenance.models) == {"question_generator", "action_maker"}
    assert all("Please: Go" in chat[0]["content"] for chat in roles.asked_of("action_maker"))


async def test_other_words_must_ask_for_the_same(roles: RoleServer, corridor: str, tmp_path: Path) -> None:
    roles.script = only("question_generator", "TASK: Walk some cells to the north.")
    out = tmp_path / "out"
    made = await ground(roles, corridor, out, limit=3, reword=True)
    assert made.rejected == {"question_generator: is another task": 3}
    assert all(re.search(r"lacks \d+\)", one.detail) for one in rejections(out))


async def test_a_reworded_run_of_a_house_passes_every_filter(
    roles: RoleServer, houses: str, trajectories: list[Record], tmp_path: Path
) -> None:
    """The action maker plays what the expert played; the task is in other words."""
    known = {f"Please: {one.context.task}": one for one in trajectories}

    def script(role: str, chat: Chat) -> str:
        if role == "question_generator":
            return plays_well(role, chat)
        [one] = [one for task, one in known.items() if f"{task}\n" in chat[0]["content"]]
        turn = one.context.turns[moves_made(chat)]
        return move(turn.action, turn.thought)

    roles.script = script
    one = trajectories[0]
    out, good = tmp_path / "out", tmp_path / "good"
    generator, maker = (
        RoleModel(role, Address(roles.url), settings(roles), 1)
        for role in ("question_generator", "action_maker")
    )
    cast = Cast(maker, Prompts(), generator)
    async with AsyncSessions(houses, timeout=60) as sessions:
        outcome = await grounded(cast, sessions, await sessions.metadata(), one.task_id, seed=0, limit=50)
        await cast.close()
        assert outcome.context.task == f"Please: {one.context.task}"
        assert outcome.context.task in outcome.context.observation
        append_records(out, [outcome])
        found = await filter_file(out, good, standard(0.99, 50, 60_000), {"alfworld": sessions}, print)
    assert (found.kept, found.passed["replay"]) == (1, 1), rejections(good)
