"""Role play (the paper, section 3.2): a question generator, an action maker, an environment agent.

`imagined`, as in the paper: a room is drawn, and a model answers for it. `grounded`: the real environment
answers, so its feedback cannot contradict itself; the question generator, where there is one, puts the
environment's own task in other words, since only its own tasks can be graded.
"""

import re
from dataclasses import dataclass

from envs.alfworld.actions import DESCRIPTION, LANGUAGE
from espalier.client import AsyncSessions
from services.contracts.context import Brief, Context, Turn
from services.contracts.session import Metadata
from training.construct.acting import act, next_move
from training.construct.record import Provenance, Record
from training.construct.roles import Chat, RoleError, RoleModel
from training.construct.rooms import Room, draw_room
from training.construct.templates import Prompts

NOTHING = "Nothing happens."
LONGEST_TASK = 300
"""Characters of a task that a question generator writes."""
_TASK = re.compile(r"^[ \t]*task[ \t]*:[ \t]*(\S.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_FEEDBACK = re.compile(
    r"^[ \t]*observation[ \t]*:\s*(?P<seen>\S.*?)\s*^[ \t]*solved[ \t]*:[ \t]*(?P<solved>yes|no)\b",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_WORD = re.compile(r"[a-z0-9]+")
_SMALL = re.compile(
    r"an?|the|some|any|it|its|them|this|that|and|or|in|on|to|of|with|under|at|for|from|is|are|be|then|my|your"
    r"|you|i|we|please|put|place|look|examine|find|get|go"
)
"""Words that may go when a task is put in other words."""


@dataclass(frozen=True)
class Cast:
    """Who plays which role."""

    action_maker: RoleModel
    prompts: Prompts
    question_generator: RoleModel | None = None
    environment_agent: RoleModel | None = None

    @property
    def models(self) -> dict[str, str]:
        """The models by their role."""
        everyone = (self.question_generator, self.action_maker, self.environment_agent)
        return {model.role: model.name for model in everyone if model}

    async def close(self) -> None:
        """Close the connections to the models."""
        for model in (self.question_generator, self.action_maker, self.environment_agent):
            if model:
                await model.close()


def imagined_id(seed: int, number: int) -> str:
    """The name of a task that is played in a room drawn by seed and number."""
    return f"imagined/{seed}/{number}"


async def imagined(cast: Cast, task_id: str, *, limit: int) -> Record:
    """Play in a drawn room until the environment agent finds the task solved, or to the limit.

    Args:
        cast: All three roles.
        task_id: As `imagined_id` gives it.
        limit: The most turns.

    Raises:
        RoleError: A model spoilt the conversation.
    """
    assert cast.question_generator
    assert cast.environment_agent
    seed, number = map(int, task_id.split("/")[1:])
    room, kind = draw_room(seed, number)
    task = await _question(cast, cast.question_generator, room, kind)
    first = room.seen(task)
    brief = Brief(name="alfworld", description=DESCRIPTION, actions=LANGUAGE)
    prompt = _opening(cast, Context(environment=brief, task=task, observation=first))
    answers = cast.prompts.render("environment_agent", room=room.describe(), task=task, actions=LANGUAGE)
    turns: list[Turn] = []
    solved = False
    while not solved and len(turns) < limit:
        move = await next_move(cast.action_maker, prompt, turns)
        seen, solved = await _feedback(cast.environment_agent, answers, turns, move.action)
        turns.append(Turn(action=move.action, thought=move.thought, observation=seen))
    return Record(
        environment="alfworld",
        task_id=task_id,
        context=Context(environment=brief, task=task, observation=first, turns=turns),
        reward=float(solved),
        done=solved,
        valid=[turn.observation.strip() != NOTHING for turn in turns],
        provenance=Provenance(source="imagined", models=cast.models, split="imagined", seed=seed),
    )


async def grounded(
    cast: Cast, sessions: AsyncSessions, metadata: Metadata, task_id: str, *, seed: int, limit: int
) -> Record:
    """Play a task of a real environment.

    Args:
        cast: The action maker, and the question generator where tasks are to be put in other words.
        sessions: The environment.
        metadata: The environment's.
        task_id: The task.
        seed: The session's seed.
        limit: The most turns.

    Raises:
        RoleError: A model spoilt the conversation.
        EspalierError: The environment refused, or is away.
    """

    async def opening(context: Context) -> tuple[Context, str]:
        if cast.question_generator:
            context = await _reworded(cast, cast.question_generator, context)
        return context, _opening(cast, context)

    if cast.question_generator:
        await cast.question_generator.meet()
    await cast.action_maker.meet()
    provenance = Provenance(source="grounded", models=cast.models, split=task_id.partition("/")[0], seed=seed)
    return await act(
        sessions, metadata, task_id, cast.action_maker, opening, provenance=provenance, limit=limit
    )


def _opening(cast: Cast, context: Context) -> str:
    brief = context.environment
    return cast.prompts.render(
        "action_maker",
        description=brief.description,
        actions=brief.actions,
        task=context.task,
        observation=context.observation,
    )


async def _question(cast: Cast, model: RoleModel, room: Room, kind: str) -> str:
    """A household task that fits the room: it names something that is in it."""
    prompt = cast.prompts.render(
        "question_generator", room=room.describe(), kind=kind, actions=LANGUAGE, task="", description=""
    )
    task = await model.complete([{"role": "user", "content": prompt}], _task)
    plain = task.lower().replace(" ", "")
    if not any(thing in plain for thing in room.objects):
        raise RoleError(model.role, "needs what the room lacks", task)
    return task


async def _reworded(cast: Cast, model: RoleModel, context: Context) -> Context:
    """Return the same task in other words; every word that matters is still there."""
    prompt = cast.prompts.render(
        "question_generator",
        room="",
        kind="",
        actions=context.environment.actions,
        task=context.task,
        description=context.environment.description,
    )
    task = await model.complete([{"role": "user", "content": prompt}], _task)
    lacking = _meant(context.task) - _meant(task)
    if lacking:
        raise RoleError(model.role, "is another task", f"{task} (lacks {', '.join(sorted(lacking))})")
    seen = context.observation.replace(context.task, task)
    return context.model_copy(update={"task": task, "observation": seen})


def _task(text: str) -> str | None:
    found = _TASK.search(text)
    return found[1].strip('"') if found and len(found[1]) <= LONGEST_TASK else None


def _meant(task: str) -> set[str]:
    return {word for word in _WORD.findall(task.lower()) if not _SMALL.fullmatch(word)}


async def _feedback(model: RoleModel, prompt: str, turns: list[Turn], action: str) -> tuple[str, bool]:
    """Return the environment agent's answer to an action, and whether it finds the task solved."""
    chat: Chat = []
    for number, turn in enumerate(turns):
        head = f"{prompt}\n\n" if not number else ""
        chat.append({"role": "user", "content": f"{head}ACTION: {turn.action}"})
        chat.append({"role": "assistant", "content": f"OBSERVATION: {turn.observation}\nSOLVED: no"})
    head = f"{prompt}\n\n" if not turns else ""
    chat.append({"role": "user", "content": f"{head}ACTION: {action}"})
    return await model.complete(chat, _read_feedback)


def _read_feedback(text: str) -> tuple[str, bool] | None:
    found = _FEEDBACK.search(text)
    return (found["seen"], found["solved"].lower() == "yes") if found else None
