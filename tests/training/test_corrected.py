"""An actor plays, the expert goes on where it errs: what is taught, and what is not."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from uvicorn.importer import import_from_string

from envs.alfworld.expert import Expert, Prior
from envs.alfworld.scoring import NOTHING
from envs.dbbench.server import create as create_db
from envs.registry import load_environments
from services.contracts.action import ActionRequest, Actions, Candidate
from tests.support import free_port, served
from tests.training.conftest import Construct
from training.construct.corrected import make_corrected
from training.construct.experts import UnknownEnvironmentError, guide
from training.construct.making import Made
from training.construct.record import read_records
from training.construct.rejections import read_rejections

SPLIT = "generated_train"


async def made(
    out: Path, url: str, actor: str = "", limit: int = 8, environment: str = "alfworld", seed: int = 3
) -> Made:
    bounds = {"limit": limit, "seed": seed, "corrections": 3, "concurrency": 4}
    return await make_corrected(environment, url, actor, SPLIT, out, print, temperature=0.0, **bounds)


def serving(action: str = "", status: int = 200) -> FastAPI:
    """An actor that always says the same, or plays as the expert does."""
    app = FastAPI()
    steady = guide("alfworld")

    @app.post("/v1/actions", status_code=status)
    async def act(request: ActionRequest) -> Actions:
        said = action
        if not said:
            expert = steady(request.context.observation, request.context.task, None)
            for turn in request.context.turns:
                expert.follow(turn.action, turn.observation)
            said = next(expert.play(), "look")
        return Actions(candidates=[Candidate(action=said, thought="So.", well_formed=True)])

    return app


async def test_stumbles_are_mended_and_only_the_expert_is_taught(houses: str, tmp_path: Path) -> None:
    out = tmp_path / "mended.jsonl"
    found = await made(out, houses, limit=12)
    records = list(read_records(out))
    assert found.kept == len(records) > 0
    assert found.kept + found.rejected.total() == 12
    assert {one.provenance.source for one in records} == {"corrected"}
    for one in records:
        assert one.reward == 1.0
        assert len(one.taught) == len(one.valid) == len(one.context.turns)
        assert any(one.taught)
    untaught = [
        turn.observation
        for one in records
        for turn, taught in zip(one.context.turns, one.taught, strict=True)
        if not taught
    ]
    assert NOTHING in [shown.strip() for shown in untaught], "mistakes stay in what is shown"
    assert (await made(out, houses, limit=12)).there == 12


async def test_an_actor_that_is_stuck_is_corrected_from_the_start(houses: str, tmp_path: Path) -> None:
    out = tmp_path / "stuck.jsonl"
    with served(serving("take moon 1 from sky 1")) as actor:
        found = await made(out, houses, actor, limit=6)
    assert found.kept == 6
    for one in read_records(out):
        bad = [turn.action == "take moon 1 from sky 1" for turn in one.context.turns]
        assert [not wrong for wrong in bad] == one.taught
        assert sum(bad) <= 3


async def test_an_actor_without_mistakes_teaches_nothing(houses: str, tmp_path: Path) -> None:
    out = tmp_path / "steady.jsonl"
    with served(serving()) as actor:
        # Four houses in which the expert never comes back to where nothing has changed.
        found = await made(out, houses, actor, limit=4, seed=0)
    assert found.kept == 0
    assert {one.reason for one in read_rejections(out)} <= {"no mistakes", "reward below 0.99"}


async def test_an_actor_that_is_away_ends_no_run_badly(houses: str, tmp_path: Path) -> None:
    out = tmp_path / "away.jsonl"
    with served(serving(status=503)) as actor:
        found = await made(out, houses, actor, limit=2)
    assert (found.kept, found.failed) == (0, 2)
    with pytest.raises(UnknownEnvironmentError, match="stumbles on purpose"):
        await made(out, houses, environment="dbbench")


def test_the_command(houses: str, tmp_path: Path, construct: Construct) -> None:
    out = tmp_path / "told.jsonl"
    given = ("--env", "alfworld", "--split", SPLIT, "--out", str(out), "--limit", "3")
    done = construct("corrected", *given, "--url", houses)
    assert done.exit_code == 0, done.output
    assert "kept" in done.output
    away = construct("corrected", *given, "--url", f"http://127.0.0.1:{free_port()}")
    assert away.exit_code == 1
    other = construct("corrected", "--env", "dbbench", *given[2:], "--url", houses)
    assert other.exit_code == 1
    assert "no expert of 'dbbench' stumbles" in other.output


async def test_stumbles_depend_on_the_seed_alone(houses: str, tmp_path: Path) -> None:
    await made(tmp_path / "one.jsonl", houses, limit=4)
    await made(tmp_path / "two.jsonl", houses, limit=4)
    one, two = (sorted(record.id for record in read_records(tmp_path / f"{n}.jsonl")) for n in ("one", "two"))
    assert one == two


FIRST = "You are in the middle of a room. Looking quickly around you, you see a desk 1, and a drawer 1."


def follower(task: str) -> Expert:
    return Expert(FIRST, task, Prior())


def test_the_expert_goes_on_from_where_another_stands() -> None:
    expert = follower("put a pen in drawer")
    expert.follow("go to desk 1", "You arrive at desk 1. On the desk 1, you see a pen 1.")
    expert.follow("take pen 2 from desk 1", NOTHING)
    expert.follow("take pen 1 from desk 1", "You pick up the pen 1 from the desk 1.")
    moves = expert.play()
    assert next(moves) == "go to drawer 1"
    assert moves.send("You arrive at drawer 1. The drawer 1 is closed.") == "open drawer 1"
    assert moves.send("You open the drawer 1. The drawer 1 is open. In it, you see nothing.") == (
        "move pen 1 to drawer 1"
    )


def test_the_expert_puts_down_what_another_took_in_error() -> None:
    expert = follower("put a pen in drawer")
    expert.follow("go to desk 1", "You arrive at desk 1. On the desk 1, you see a cup 1, and a pen 1.")
    expert.follow("take cup 1 from desk 1", "You pick up the cup 1 from the desk 1.")
    moves = expert.play()
    assert next(moves) == "move cup 1 to desk 1"
    assert moves.send("You move the cup 1 to the desk 1.") == "take pen 1 from desk 1"


def test_the_expert_opens_what_another_left_closed() -> None:
    expert = follower("put a pen in desk")
    expert.follow("go to desk 1", "You arrive at desk 1. On the desk 1, you see nothing.")
    expert.follow("go to drawer 1", "You arrive at drawer 1. The drawer 1 is closed.")
    assert next(expert.play()) == "open drawer 1"


async def test_an_answer_that_is_wrong_is_played_from_the_start_by_the_expert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database task has no way back from a wrong answer, and nothing found is a mistake."""
    monkeypatch.setenv("ESPALIER_DBBENCH_GENERATED", "40")
    app = create_db()
    with served(app) as url, served(serving('answer: ["no idea"]')) as actor:
        found = await made(tmp_path / "ended.jsonl", url, actor, limit=6, environment="dbbench")
    records = list(read_records(tmp_path / "ended.jsonl"))
    assert found.kept == len(records) > 3
    for one in records:
        assert one.reward == 1.0
        assert one.context.turns[0].action != 'answer: ["no idea"]'
    app = create_db()
    lost = "sql: SELECT * FROM nothing_of_the_kind"
    with served(app) as url, served(serving(lost)) as actor:
        await made(tmp_path / "refused.jsonl", url, actor, limit=6, environment="dbbench")
    for one in read_records(tmp_path / "refused.jsonl"):
        first = next(
            (turn for turn, taught in zip(one.context.turns, one.taught, strict=True) if taught), None
        )
        bad = [turn.action == lost for turn in one.context.turns]
        assert not any(wrong and taught for wrong, taught in zip(bad, one.taught, strict=True))
        assert first is not None
        if one.context.turns[0].action == lost:
            assert "doesn't exist" in first.thought, "the expert names the error"


LOST = {
    "webshop": "click[a thing that is not there]",
    "mind2web": "Z CLICK",
    "os_interaction": "bash: cat /no/such/file",
    "dbbench": "sql: SELECT nothing FROM nowhere",
}


@pytest.mark.parametrize("environment", LOST)
async def test_every_expert_goes_on_after_an_actor_that_is_lost(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DBBENCH", "OS", "MIND2WEB", "WEBSHOP"):
        monkeypatch.setenv(f"ESPALIER_{name}_GENERATED", "60")
    create = import_from_string(load_environments()[environment].factory)
    out = tmp_path / "lost.jsonl"
    with served(create()) as url, served(serving(LOST[environment])) as actor:
        found = await made(out, url, actor, limit=5, environment=environment)
    assert found.kept >= 3, found
    for one in read_records(out):
        bad = [turn.action == LOST[environment] for turn in one.context.turns]
        assert not any(wrong and taught for wrong, taught in zip(bad, one.taught, strict=True))
        assert any(one.taught)
        assert one.reward >= 0.99
