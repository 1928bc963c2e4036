"""Plays a task in a real environment, over HTTP, with an expert; what came of it is a record."""

from typing import Any

from espalier.client import AsyncSessions
from services.contracts.context import Brief, Context, Turn
from services.contracts.session import Metadata, SessionCreate
from training.construct.experts import Player
from training.construct.record import Provenance, Record


def brief(metadata: Metadata) -> Brief:
    """Return what a model reads of an environment, as the orchestrator has it."""
    return Brief(
        name=metadata.name,
        description=metadata.description,
        actions=metadata.actions,
        terminal_action=metadata.terminal_example,
    )


async def play(
    sessions: AsyncSessions,
    metadata: Metadata,
    task_id: str,
    player: Player,
    *,
    reference: Any = None,
    licence: str = "",
    seed: int = 0,
) -> Record | None:
    """Play one task to its end, or until the player has nothing left to try.

    Args:
        sessions: The environment.
        metadata: The environment's.
        task_id: The task.
        player: Who plays.
        reference: The solution that comes with the task, if any.
        licence: Of the task's data.
        seed: The session's.

    Returns:
        None where the player lacks this kind of task.

    Raises:
        ApiError: The environment refused.
    """
    state = await sessions.create(SessionCreate(task_id=task_id, seed=seed))
    first, instruction = state.observation, state.instruction
    turns: list[Turn] = []
    valid: list[bool] = []
    taught: list[bool] = []
    try:
        moves = player(first, instruction, reference)
        move = next(moves, None)
        while move is not None and not state.done and len(turns) < metadata.max_steps:
            state = await sessions.step(state.session_id, move.action)
            turns.append(Turn(action=move.action, observation=state.observation, thought=move.thought))
            valid.append(state.valid)
            taught.append(move.taught)
            try:
                move = moves.send(state.observation)
            except StopIteration:
                break
    except ValueError:
        return None
    finally:
        await sessions.close_session(state.session_id)
    if not turns:
        return None
    return Record(
        environment=metadata.name,
        task_id=task_id,
        context=Context(environment=brief(metadata), task=instruction, observation=first, turns=turns),
        reward=state.reward,
        done=state.done,
        valid=valid,
        taught=[] if all(taught) else taught,
        provenance=Provenance(source="expert", split=task_id.partition("/")[0], seed=seed, licence=licence),
    )
