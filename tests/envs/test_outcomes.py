"""Outcomes: ends that amount to the same have the same one, whatever led to them, and it shows no reward."""

from collections.abc import Iterator
from typing import Any

import pytest
from uvicorn.importer import import_from_string

from envs.registry import load_environments
from espalier.client import AsyncSessions
from services.contracts.session import SessionCreate, SessionState
from tests.envs.test_envs_db import inline
from tests.envs.test_envs_db_support import Db, database
from tests.support import served
from training.construct.experts import player


@pytest.fixture(scope="module")
def db() -> Iterator[Db]:
    with database() as served:
        yield served


def end(db: Db, *actions: str, **data: Any) -> str:
    """Take actions in a new session and return the outcome of its end."""
    session = db.create(inline(**data))["session_id"]
    states = [db.step(session, action) for action in actions]
    assert all(state["outcome"] == "" for state in states[:-1])
    assert states[-1]["done"]
    return states[-1]["outcome"]


def test_the_same_answer_is_the_same_outcome(db: Db) -> None:
    look = "sql: SELECT Age FROM `Club Members` WHERE Name = 'Bo'"
    right, again, wrong = (
        end(db, look, 'answer: ["9"]', label=["9"]),
        end(db, 'answer: ["9"]', label=["36"]),
        end(db, look, 'answer: ["36"]', label=["36"]),
    )
    assert right == again != wrong


def test_tables_that_were_left_the_same_are_the_same_outcome(db: Db) -> None:
    change = {"type": "UPDATE", "sql": "UPDATE `Club Members` SET Age = '10' WHERE Name = 'Bo'"}
    one, other, third = (
        end(db, f"sql: UPDATE `Club Members` SET Age = {value}", 'answer: ["done"]', **change)
        for value in ("'10' WHERE Name = 'Bo'", "'10' WHERE Age = '9'", "'11' WHERE Name = 'Bo'")
    )
    assert one == other != third


@pytest.mark.parametrize("name", ["webshop", "mind2web", "alfworld"])
async def test_a_run_of_the_expert_has_the_same_outcome_again(name: str) -> None:
    entry = load_environments()[name]
    app = import_from_string(f"{entry.package}.server:create")()
    with served(app) as url:
        async with AsyncSessions(url) as sessions:
            first, second = [await _play(sessions, name) for _ in range(2)]
    assert first.done
    assert first.outcome == second.outcome
    assert bool(first.outcome) == (name != "alfworld"), "in ALFWorld an end is the goal alone"


async def _play(sessions: AsyncSessions, name: str) -> SessionState:
    task = (await sessions.tasks(split="generated_valid", limit=1)).tasks[0]
    state = await sessions.create(SessionCreate(task_id=task.id))
    moves = player(name)(state.observation, state.instruction, None)
    move = next(moves, None)
    while move is not None and not state.done:
        assert state.outcome == ""
        state = await sessions.step(state.session_id, move.action)
        try:
            move = moves.send(state.observation)
        except StopIteration:
            break
    return state
