"""One environment server over HTTP: its sessions, tasks and load."""

import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any, NoReturn
from urllib.parse import quote

from services.contracts.session import Metadata, ServerLoad, SessionEntry, SessionPage, SessionState
from services.contracts.task import Task, TaskPage
from services.kit.failures import RefusedError
from services.kit.upstream import Upstream, shown_url
from services.orchestrator.environments import DivergedError, SessionAheadError, SessionLostError, Timed
from services.orchestrator.store.errors import FencedError

PAGE = 500
"""Sessions of one page when all are listed."""
LOAD_SECONDS = 2.0
"""A server that does not report its load for so long is away."""
UNKNOWN_LOAD = ServerLoad(sessions=1, limit=2)
"""What a server counts as that reports no load."""
KEYS = frozenset({"step_key", "fork_key", "session_key"})


class EnvironmentServer:
    """One server; sessions are named as the server names them.

    Args:
        upstream: The connection to it.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.name = hashlib.sha256(shown_url(upstream.url).encode()).hexdigest()[:8]
        """It follows from the address, so that it stays the same wherever the server stands in a list."""

    async def metadata(self, retry_for: float | None = None) -> Metadata:
        """Return what the environment is."""
        response = await self.upstream.request("GET", "/metadata", retry_for=retry_for)
        return self.upstream.read(response, Metadata)

    async def task(self, task_id: str, retry_for: float | None = None) -> Task | None:
        """Return a task, or None if there is none of this id."""
        path = f"/v1/tasks/{quote(task_id, safe='')}"
        try:
            response = await self.upstream.request("GET", path, retry_for=retry_for)
        except RefusedError as error:
            if error.problem.status == 404:
                return None
            raise
        return self.upstream.read(response, Task)

    async def tasks(
        self, split: str | None, cursor: str | None, limit: int, retry_for: float | None = None
    ) -> TaskPage:
        """Return a page of the tasks."""
        wanted = {"split": split, "cursor": cursor, "limit": limit}
        params = {name: value for name, value in wanted.items() if value is not None}
        response = await self.upstream.request("GET", "/v1/tasks", params=params, retry_for=retry_for)
        return self.upstream.read(response, TaskPage)

    async def load(self) -> ServerLoad:
        """Return how full the server is; a guess if it does not report it.

        Raises:
            OutageError: It is away.
        """
        try:
            response = await self.upstream.request("GET", "/v1/load", retry_for=0, timeout=LOAD_SECONDS)
            return self.upstream.read(response, ServerLoad)
        except RefusedError:
            return UNKNOWN_LOAD

    async def open(self, body: dict[str, Any], retry_for: float | None = None) -> Timed:
        """Open a session.

        Args:
            body: `SessionCreate` as JSON.
            retry_for: As in `Upstream.request`.
        """
        return await self._timed("/v1/sessions", body, retry_for)

    async def step(self, session: str, action: str, key: str, epoch: int) -> Timed:
        """Take a step; the same key gets the first answer."""
        body = {"action": action, "step_key": key, "epoch": epoch}
        return await self._timed(f"/v1/sessions/{quote(session, safe='')}/steps", body)

    async def fork(
        self, session: str, at_step: int, key: str, epoch: int | None, retry_for: float | None = None
    ) -> Timed:
        """Fork a session at a step; the same key gets the same session."""
        body = {"at_step": at_step, "fork_key": key} | ({} if epoch is None else {"epoch": epoch})
        return await self._timed(f"/v1/sessions/{quote(session, safe='')}/forks", body, retry_for)

    async def read(self, session: str) -> SessionState:
        """Return a session as it is now, with the language of its valid actions."""
        try:
            response = await self.upstream.request("GET", f"/v1/sessions/{quote(session, safe='')}")
        except RefusedError as error:
            _raise_meaning(error, known=True)
        return self.upstream.read(response, SessionState)

    async def close(self, session: str, epoch: int | None) -> None:
        """Close a session; one that is gone already is fine."""
        params = {} if epoch is None else {"epoch": epoch}
        try:
            await self.upstream.request("DELETE", f"/v1/sessions/{quote(session, safe='')}", params=params)
        except RefusedError as error:
            if error.problem.name == "fenced":
                raise FencedError from error
            if error.problem.status not in (404, 410):
                raise

    async def sessions(self) -> AsyncIterator[SessionEntry]:
        """Iterate over the live sessions."""
        cursor: str | None = None
        while True:
            params: dict[str, str | int] = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
            page = self.upstream.read(
                await self.upstream.request("GET", "/v1/sessions", params=params, retry_for=0), SessionPage
            )
            for entry in page.sessions:
                yield entry
            cursor = page.next
            if cursor is None:
                return

    async def _timed(self, path: str, body: dict[str, Any], retry_for: float | None = None) -> Timed:
        began = time.perf_counter()
        try:
            response = await self.upstream.request("POST", path, body, retry_for=retry_for)
        except RefusedError as error:
            _raise_meaning(error, known=path != "/v1/sessions")
        state = self.upstream.read(response, SessionState)
        return Timed(state, time.perf_counter() - began)


def _raise_meaning(error: RefusedError, *, known: bool) -> NoReturn:
    """Raise what a refusal means for a session.

    Args:
        error: The refusal.
        known: Whether the request named a session.
    """
    problem = error.problem
    if problem.name == "fenced":
        raise FencedError from error
    if problem.name == "diverged":
        raise DivergedError(problem.detail) from error
    if known and problem.status in (404, 410):
        raise SessionLostError(problem.detail) from error
    fields = {field.field for field in problem.errors} if problem.status == 422 else set[str]()
    if fields & KEYS:
        raise SessionAheadError(problem.detail) from error
    if "at_step" in fields:  # the session lacks steps that the caller's log has
        raise SessionLostError(problem.detail) from error
    raise error
