"""A server of role models that plays by a script, and records by hand."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from services.contracts.context import Brief, Context, Turn
from training.construct.record import Provenance, Record

Chat = list[dict[str, str]]
HEADS = {
    "question_generator": "You are the question generator",
    "action_maker": "You are the action maker",
    "environment_agent": "You are the environment agent",
    "in_context": "You are an agent that solves tasks",
}
"""How each role's prompt begins."""


@dataclass(frozen=True)
class Reply:
    """What the server answers besides text."""

    text: str | None = ""
    refusal: str | None = None
    finish: str = "stop"
    status: int = 200
    never: bool = False
    """It keeps silent until the client is gone."""
    raw: Response | None = None


Script = Callable[[str, Chat], str | Reply]


@dataclass
class RoleServer:
    """An OpenAI-compatible server; its script can be changed while it is up."""

    script: Script
    url: str = ""
    models: list[str] = field(default_factory=lambda: ["player"])
    asked: list[tuple[str, Chat]] = field(default_factory=list)
    """Roles and chats, in the order in which they came."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def app(self) -> FastAPI:
        """The server."""
        app = FastAPI()

        @app.get("/v1/models")
        async def _models(request: Request) -> dict[str, Any]:
            self.keys.append(request.headers.get("authorization"))
            return {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}

        @app.post("/v1/chat/completions")
        async def _chat(request: Request) -> Response:
            body = await request.json()
            self.keys.append(request.headers.get("authorization"))
            self.bodies.append(body)
            chat: Chat = body["messages"]
            role = role_of(chat)
            self.asked.append((role, chat))
            found = self.script(role, chat)
            reply = Reply(found) if isinstance(found, str) else found
            if reply.never:
                await _gone(request)
            if reply.raw:
                return reply.raw
            if reply.status != 200:
                return JSONResponse({"error": {"message": reply.text}}, reply.status)
            message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
            choice = {"index": 0, "message": message, "finish_reason": reply.finish}
            return JSONResponse({"object": "chat.completion", "choices": [choice]})

        return app

    def asked_of(self, role: str) -> list[Chat]:
        """What a role was asked."""
        return [chat for name, chat in self.asked if name == role]


async def _gone(request: Request) -> None:
    """Wait until the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def role_of(chat: Chat) -> str:
    """Whose prompt it is."""
    return next(name for name, head in HEADS.items() if chat[0]["content"].startswith(head))


def moves_made(chat: Chat) -> int:
    """How many answers of the model the chat holds."""
    return sum(message["role"] == "assistant" for message in chat)


def move(action: str, thought: str = "that is next") -> str:
    """What an action maker says."""
    return f"THOUGHT: {thought}\nACTION: {action}"


def plays_well(role: str, chat: Chat) -> str:
    """Plays an imagined room in two moves, walks a corridor, says a task in other words."""
    prompt = chat[0]["content"]
    if role == "question_generator":
        asked = re.search(r"The task is: (.*)", prompt)
        if asked:
            return f"TASK: Please: {asked[1]}"
        [thing, *_] = re.findall(r"(?:: |, )([a-z]+) \d+", prompt) or ["nothing"]
        return f"TASK: Put one {thing} on another place."
    if role == "environment_agent":
        seen, solved = [("On it you see a mug 1.", "no"), ("You move the mug 1.", "yes")][moves_made(chat)]
        return f"OBSERVATION: {seen}\nSOLVED: {solved}"
    if "corridor" in prompt:
        return move("north")
    return move(["go to shelf 1", "move mug 1 to shelf 1"][moves_made(chat)])


def turn(action: str, observation: str = "You see nothing.", thought: str = "on") -> Turn:
    """A turn."""
    return Turn(action=action, observation=observation, thought=thought)


def record(*turns: Turn, **changes: Any) -> Record:
    """A record of an ALFWorld task, solved unless told otherwise."""
    context = {
        "environment": Brief(name="alfworld"),
        "task": changes.pop("task", "put some mug in shelf."),
        "observation": changes.pop("observation", "You see a desk 1, a shelf 1, and a drawer 1."),
        "turns": list(turns),
    }
    given = {
        "environment": "alfworld",
        "task_id": "generated_train/1",
        "context": Context.model_validate(context),
        "reward": 1.0,
        "done": True,
        "valid": [True] * len(turns),
        "provenance": Provenance(source="expert", split="generated_train"),
    }
    return Record.model_validate(given | changes)


SOLVED = (
    turn("go to desk 1", "On the desk 1, you see a mug 1.", "The mug may be on the desk 1."),
    turn("take mug 1 from desk 1", "You pick up the mug 1 from the desk 1.", "There is the mug 1."),
    turn("go to shelf 1", "On the shelf 1, you see nothing.", "I take it to the shelf 1."),
    turn("move mug 1 to shelf 1", "You move the mug 1 to the shelf 1.", "The mug 1 goes on the shelf 1."),
)
"""Four turns that no filter has anything against."""
