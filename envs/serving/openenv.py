"""OpenEnv's own surface, so that OpenEnv's clients can play what is served here.

`/ws` keeps one session a connection, as OpenEnv does, and ends it with the connection. Over HTTP,
where OpenEnv forgets the instance between calls, `/reset` names a session in its metadata and `/step`
and `/state` take that name.
"""

import json
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from envs.serving.environment import Environment
from envs.serving.sessions import SessionTable
from services.contracts.base import Int
from services.contracts.session import SessionCreate, SessionState, StepRequest
from services.kit.bodies import check_json
from services.kit.problems import Kind, ProblemError

TOO_BIG = 1009
"""The code that a WebSocket is closed with after a message over the limit (RFC 6455)."""


class Reset(BaseModel):
    """`POST /reset`, and the data of a `reset` message; unknown fields are OpenEnv's to add."""

    model_config = ConfigDict(extra="ignore")

    seed: Int | None = Field(default=None, ge=0, le=2**63 - 1)
    """Also picks the task where `task_id` does not."""
    task_id: str | None = Field(default=None, max_length=500)
    split: str | None = None
    """Where a task is picked; by default the first split."""


class Step(BaseModel):
    """`POST /step`."""

    model_config = ConfigDict(extra="ignore")

    action: dict[str, Any]
    """What `/schema` says of an action: `{"action": "..."}`."""
    session_id: str = Field(min_length=1)
    """From the metadata of `/reset`."""


def answer(state: SessionState) -> dict[str, Any]:
    """A session's state in the form that OpenEnv's client reads."""
    observation = state.model_dump(exclude={"reward", "done", "info"})
    return {
        "observation": observation,
        "reward": state.reward,
        "done": state.done,
        "metadata": {"session_id": state.session_id},
    }


def state_of(state: SessionState) -> dict[str, Any]:
    """A session's state as OpenEnv's `state` shows it."""
    return {"episode_id": state.session_id, "step_count": state.step_count, "task_id": state.task_id}


class OpenEnv:
    """OpenEnv's verbs over the session table."""

    def __init__(self, table: SessionTable, environment: Environment) -> None:
        self._table = table
        self._environment = environment

    async def reset(self, request: Reset) -> SessionState:
        """A new session on the named task, or on the one that the seed picks.

        Raises:
            ProblemError: 404 no such task, 422 no such split, 429, 503, 504.
        """
        task_id = request.task_id or await self._pick(request)
        return await self._table.create(SessionCreate(task_id=task_id, seed=request.seed or 0))

    async def step(self, session_id: str, action: dict[str, Any]) -> SessionState:
        """Take one action.

        Raises:
            ProblemError: As `SessionTable.step`, and 422 where it is no action.
        """
        if "action" not in action:
            raise ProblemError.field("action", "is missing")
        try:
            request = StepRequest(action=action["action"], step_key=action.get("step_key"))
        except ValidationError as error:
            raise ProblemError.field("action", str(error.errors()[0]["msg"])) from error
        return await self._table.step(session_id, request)

    def state(self, session_id: str) -> SessionState:
        """The session as it is now."""
        return self._table.get(session_id)

    async def close(self, session_id: str) -> None:
        """Close a session."""
        await self._table.close(session_id, None)

    async def _pick(self, request: Reset) -> str:
        splits = self._environment.metadata.splits
        split = request.split or next(iter(splits), "")
        if split not in splits:
            raise ProblemError.field("split", f"there is no split {split!r}", allowed=splits)
        number = (request.seed or 0) % max(1, self._environment.count(split))
        tasks = await self._environment.page(split, number, number + 1)
        if not tasks:
            raise ProblemError(Kind.NOT_FOUND, f"The split {split} has no tasks.")
        return tasks[0].id


class Connection:
    """One WebSocket: at most one session, which goes with it.

    Args:
        verbs: What messages ask for.
        longest: The largest message, bytes.
    """

    def __init__(self, verbs: OpenEnv, longest: int) -> None:
        self._verbs = verbs
        self._longest = longest
        self._session: str | None = None

    async def serve(self, socket: WebSocket) -> None:
        """Answer messages until the client closes or leaves."""
        await socket.accept()
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                sent: str | bytes = message.get("text") or message.get("bytes") or b""
                body = sent.encode("utf-8", "surrogatepass") if isinstance(sent, str) else sent
                if len(body) > self._longest:
                    await socket.close(TOO_BIG, f"messages are limited to {self._longest} bytes")
                    return
                reply = await self._reply_to(body)
                if reply is None:
                    await socket.close()
                    return
                await socket.send_text(json.dumps(reply))
        except WebSocketDisconnect:
            return
        finally:
            await self._end()

    async def _reply_to(self, body: bytes) -> dict[str, Any] | None:
        try:
            check_json(body)
            message = json.loads(body)
            kind = message["type"]
            data = message.get("data") or {}
        except ProblemError as error:
            return _error(error.detail, "INVALID_JSON")
        except (ValueError, TypeError, KeyError, AttributeError):
            return _error("send {type, data} as JSON", "INVALID_JSON")
        if not isinstance(data, dict):
            return _error("data is an object", "VALIDATION_ERROR")
        try:
            return await self._do(kind, data)
        except ProblemError as error:
            return _error(error.detail, _CODES.get(error.kind, "EXECUTION_ERROR"))
        except ValidationError as error:
            return _error(str(error.errors()[0]["msg"]), "VALIDATION_ERROR")

    async def _do(self, kind: str, data: dict[str, Any]) -> dict[str, Any] | None:
        match kind:
            case "reset":
                await self._end()
                state = await self._verbs.reset(Reset.model_validate(data))
                self._session = state.session_id
                return {"type": "observation", "data": answer(state)}
            case "step":
                return {
                    "type": "observation",
                    "data": answer(await self._verbs.step(self._there(), data)),
                }
            case "state":
                return {"type": "state", "data": state_of(self._verbs.state(self._there()))}
            case "close":
                return None
        return _error(f"no message type {kind!r}: reset, step, state or close", "UNKNOWN_TYPE")

    def _there(self) -> str:
        if self._session is None:
            raise ProblemError(Kind.CONFLICT, "Send a reset first.")
        return self._session

    async def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await self._verbs.close(session)


_CODES = {
    Kind.TOO_MANY: "CAPACITY_REACHED",
    Kind.DRAINING: "CAPACITY_REACHED",
    Kind.GONE: "SESSION_ERROR",
    Kind.CONFLICT: "SESSION_ERROR",
    Kind.UNPROCESSABLE: "VALIDATION_ERROR",
    Kind.NOT_FOUND: "VALIDATION_ERROR",
}


def _error(message: str, code: str) -> dict[str, Any]:
    return {"type": "error", "data": {"message": message, "code": code}}


def add_openenv(app: FastAPI, table: SessionTable, environment: Environment, longest: int) -> None:
    """Add `/health`, `/reset`, `/step`, `/state` and `/ws`.

    Args:
        app: The environment's app.
        table: Its sessions.
        environment: What is served.
        longest: The largest message of a WebSocket, bytes.
    """
    verbs = OpenEnv(table, environment)

    @app.get("/health", tags=["openenv"])
    async def health() -> dict[str, str]:
        """OpenEnv's health check."""
        return {"status": "healthy"}

    @app.post("/reset", tags=["openenv"])
    async def reset(request: Reset | None = None) -> dict[str, Any]:
        """A new session; its id is in the metadata."""
        return answer(await verbs.reset(request or Reset()))

    @app.post("/step", tags=["openenv"])
    async def step(request: Step) -> dict[str, Any]:
        """Take one action in a session that `/reset` made."""
        return answer(await verbs.step(request.session_id, request.action))

    @app.get("/state", tags=["openenv"])
    async def state(session_id: str) -> dict[str, Any]:
        """Where a session stands."""
        return state_of(verbs.state(session_id))

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await Connection(verbs, longest).serve(socket)
