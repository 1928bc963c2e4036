"""Clients of sessions: an environment's server."""

from espalier.client import calls
from espalier.client.http import AsyncClient, SyncClient
from services.contracts.session import ForkRequest, Metadata, SessionCreate, SessionState, StepRequest
from services.contracts.task import TaskPage


class Sessions(SyncClient):
    """Sessions of one environment server."""

    def metadata(self) -> Metadata:
        """Return the environment's metadata."""
        return self._send(calls.metadata())

    def tasks(self, *, split: str | None = None, cursor: str | None = None, limit: int = 100) -> TaskPage:
        """A page of its tasks."""
        return self._send(calls.tasks(split, cursor, limit))

    def create(self, body: SessionCreate) -> SessionState:
        """Open a session."""
        return self._send(calls.create_session(body))

    def step(self, session: str, action: str, *, step_key: str | None = None) -> SessionState:
        """Take a step."""
        return self._send(calls.step_session(session, _step(action, step_key)))

    def fork(self, session: str, body: ForkRequest | None = None) -> SessionState:
        """Fork a session."""
        return self._send(calls.fork_session(session, body or ForkRequest()))

    def get(self, session: str) -> SessionState:
        """A session as it is."""
        return self._send(calls.get_session(session))

    def close_session(self, session: str) -> None:
        """Close a session."""
        self._send(calls.close_session(session))


class AsyncSessions(AsyncClient):
    """`Sessions`, for asyncio; the same methods."""

    async def metadata(self) -> Metadata:
        """Return the environment's metadata."""
        return await self._send(calls.metadata())

    async def tasks(
        self, *, split: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> TaskPage:
        """A page of its tasks."""
        return await self._send(calls.tasks(split, cursor, limit))

    async def create(self, body: SessionCreate) -> SessionState:
        """Open a session."""
        return await self._send(calls.create_session(body))

    async def step(self, session: str, action: str, *, step_key: str | None = None) -> SessionState:
        """Take a step."""
        return await self._send(calls.step_session(session, _step(action, step_key)))

    async def fork(self, session: str, body: ForkRequest | None = None) -> SessionState:
        """Fork a session."""
        return await self._send(calls.fork_session(session, body or ForkRequest()))

    async def get(self, session: str) -> SessionState:
        """A session as it is."""
        return await self._send(calls.get_session(session))

    async def close_session(self, session: str) -> None:
        """Close a session."""
        await self._send(calls.close_session(session))


def _step(action: str, step_key: str | None) -> StepRequest:
    return StepRequest(action=action) if step_key is None else StepRequest(action=action, step_key=step_key)
