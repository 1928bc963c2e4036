"""The action maker's half of a conversation, and the real environment's: what both constructions share."""

from collections.abc import Awaitable, Callable

from espalier.client import AsyncSessions
from services.contracts.action import Form
from services.contracts.context import Context, Turn
from services.contracts.session import Metadata, SessionCreate, SessionState
from services.prompting import ParsedAction, fenced, parse_action
from training.construct.play import brief
from training.construct.record import Provenance, Record
from training.construct.roles import Chat, RoleModel

Opening = Callable[[Context], Awaitable[tuple[Context, str]]]
"""Makes the action maker's prompt of a context, which it may change before anything is done."""


def render_move(turn: Turn | ParsedAction) -> str:
    """Return a thought and an action in the action maker's form; an action of several lines is fenced."""
    action = fenced(turn.action)
    return f"THOUGHT: {turn.thought}\nACTION:{' ' if action == turn.action else ''}{action}"


def read_move(text: str) -> ParsedAction | None:
    """One thought and action; None where the text has another form, or plays the environment too."""
    lines = text.split("\n")
    answers = [number for number, line in enumerate(lines) if line.strip().upper().startswith("OBSERVATION:")]
    move = parse_action("\n".join(lines[: answers[0]] if answers else lines), Form.REACT)
    return move if move.well_formed else None


async def next_move(model: RoleModel, prompt: str, turns: list[Turn]) -> ParsedAction:
    """Return the action maker's next thought and action.

    Args:
        model: Plays the action maker.
        prompt: Its task, and what it sees first.
        turns: What it did, and the feedback.

    Raises:
        RoleError: It did not answer in the form.
    """
    chat: Chat = [{"role": "user", "content": prompt}]
    for turn in turns:
        chat.append({"role": "assistant", "content": render_move(turn)})
        chat.append({"role": "user", "content": f"OBSERVATION: {turn.observation}"})
    return await model.complete(chat, read_move)


async def act(
    sessions: AsyncSessions,
    metadata: Metadata,
    task_id: str,
    model: RoleModel,
    opening: Opening,
    *,
    provenance: Provenance,
    limit: int,
) -> Record:
    """Play one task of a real environment to its end or to the limit of turns.

    Args:
        sessions: The environment.
        metadata: The environment's.
        task_id: The task.
        model: Plays the action maker.
        opening: Makes its prompt.
        provenance: Where the record comes from; its seed is the session's.
        limit: The most turns.

    Raises:
        RoleError: A model spoilt the conversation.
        EspalierError: The environment refused, or is away.
    """
    state = await sessions.create(SessionCreate(task_id=task_id, seed=provenance.seed))
    try:
        context = Context(environment=brief(metadata), task=state.instruction, observation=state.observation)
        context, prompt = await opening(context)
        turns, valid, state = await _converse(sessions, state, model, prompt, limit)
    finally:
        await sessions.close_session(state.session_id)
    return Record(
        environment=metadata.name,
        task_id=task_id,
        context=context.model_copy(update={"turns": turns}),
        reward=state.reward,
        done=state.done,
        valid=valid,
        provenance=provenance,
    )


async def _converse(
    sessions: AsyncSessions, state: SessionState, model: RoleModel, prompt: str, limit: int
) -> tuple[list[Turn], list[bool], SessionState]:
    turns: list[Turn] = []
    valid: list[bool] = []
    while not state.done and len(turns) < limit:
        move = await next_move(model, prompt, turns)
        state = await sessions.step(state.session_id, move.action)
        turns.append(Turn(action=move.action, thought=move.thought, observation=state.observation))
        valid.append(state.valid)
    return turns, valid, state
