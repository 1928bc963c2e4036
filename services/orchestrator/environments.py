"""The worker's port to environments: sessions over HTTP, and its scripted stand-in's shape."""

import time
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from services.contracts.episode import EpisodeCreate
from services.contracts.session import Metadata, SessionState
from services.contracts.task import Task, TaskPage
from services.kit.failures import RefusedError
from services.kit.upstream import Upstream
from services.orchestrator.store.errors import FencedError


class SessionLostError(Exception):
    """The session has expired or its server has lost it."""


class DivergedError(Exception):
    """A rebuilt session answered differently from the recorded one."""


@dataclass(frozen=True)
class Timed:
    """A session's answer and how long it took."""

    state: SessionState
    seconds: float


class Environment(Protocol):
    """What the worker asks of an environment."""

    async def open(self, request: EpisodeCreate, key: str, epoch: int) -> Timed:
        """Open a session; the same key gets the same session."""
        ...

    async def step(self, session: str, action: str, key: str, epoch: int) -> Timed:
        """Take a step; the same key gets the first answer."""
        ...

    async def close(self, session: str, epoch: int | None) -> None:
        """Close a session; one that is gone already is fine."""
        ...


class HttpEnvironment:
    """An environment server."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def metadata(self) -> Metadata:
        """What the environment says of itself."""
        response = await self._upstream.request("GET", "/metadata")
        return self._upstream.read(response, Metadata)

    async def task(self, task_id: str) -> Task | None:
        """One task; None where there is no such."""
        try:
            response = await self._upstream.request("GET", f"/v1/tasks/{quote(task_id, safe='')}")
        except RefusedError as error:
            if error.problem.status == 404:
                return None
            raise
        return self._upstream.read(response, Task)

    async def tasks(self, split: str | None, cursor: str | None, limit: int) -> TaskPage:
        """A page of the tasks."""
        wanted = {"split": split, "cursor": cursor, "limit": limit}
        params = {name: value for name, value in wanted.items() if value is not None}
        response = await self._upstream.request("GET", "/v1/tasks", params=params)
        return self._upstream.read(response, TaskPage)

    async def open(self, request: EpisodeCreate, key: str, epoch: int) -> Timed:
        """Open a session; the same key gets the same session."""
        body: dict[str, Any] = {"seed": request.seed, "session_key": key, "epoch": epoch}
        if request.task is not None:
            body["task"] = request.task.model_dump()
        else:
            body["task_id"] = request.task_id
        return await self._timed("/v1/sessions", body)

    async def step(self, session: str, action: str, key: str, epoch: int) -> Timed:
        """Take a step; the same key gets the first answer."""
        body = {"action": action, "step_key": key, "epoch": epoch}
        return await self._timed(f"/v1/sessions/{quote(session, safe='')}/steps", body)

    async def close(self, session: str, epoch: int | None) -> None:
        """Close a session; one that is gone already is fine."""
        params = {} if epoch is None else {"epoch": epoch}
        try:
            await self._upstream.request("DELETE", f"/v1/sessions/{quote(session, safe='')}", params=params)
        except RefusedError as error:
            if error.problem.name == "fenced":
                raise FencedError from error
            if error.problem.status not in (404, 410):
                raise

    async def _timed(self, path: str, body: dict[str, Any]) -> Timed:
        began = time.perf_counter()
        try:
            response = await self._upstream.request("POST", path, body)
        except RefusedError as error:
            if error.problem.name == "fenced":
                raise FencedError from error
            if error.problem.status in (404, 410) and path.endswith("/steps"):
                raise SessionLostError from error
            raise
        state = self._upstream.read(response, SessionState)
        return Timed(state, time.perf_counter() - began)
