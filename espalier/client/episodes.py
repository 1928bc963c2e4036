"""Clients of episodes: the orchestrator's API."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse
from pydantic import ValidationError

from espalier.client import calls
from espalier.client.errors import refused, unreachable
from espalier.client.http import AsyncClient, SyncClient
from services.contracts.adapter import PinnedAdapters
from services.contracts.episode import Episode, EpisodeCreate, EpisodePage, Replay
from services.contracts.event import EVENTS, Event
from services.contracts.method import MethodInfo
from services.contracts.session import Metadata
from services.contracts.task import TaskPage
from services.contracts.tree import Tree

ORCHESTRATOR = "http://127.0.0.1:8000"
STREAM_SILENCE = 60.0
"""A stream that is silent for longer is broken, seconds: the server sends a comment every 15."""
RECONNECTS = 20
"""How often a broken event stream is resumed."""


def _event(sent: ServerSentEvent) -> Event | None:
    """Return a sent event; None for a comment, and for a type of a newer release."""
    try:
        return EVENTS.validate_json(sent.data, extra="ignore") if sent.data else None
    except ValidationError:
        return None


class Espalier(SyncClient):
    """Episodes, over the orchestrator's API.

    Args:
        url: The orchestrator's address.
        api_key: Bearer token; by default ESPALIER_API_KEY, or the first of ESPALIER_API_KEYS.
        timeout: Of one request, seconds.
        patience: How long a call waits at a limit (429) in all, seconds.

    Every method raises EspalierError where the orchestrator refuses or does not answer.
    """

    def __init__(self, url: str = ORCHESTRATOR, **options: Any) -> None:
        super().__init__(url, **options)

    def create(self, body: EpisodeCreate, *, idempotency_key: str | None = None) -> Episode:
        """Queue an episode."""
        return self._send(calls.create_episode(body, idempotency_key))

    def get(self, episode: str) -> Episode:
        """An episode as it is now."""
        return self._send(calls.get_episode(episode))

    def list(
        self,
        *,
        state: str | None = None,
        environment: str | None = None,
        method: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> EpisodePage:
        """A page of episodes, the newest first."""
        return self._send(calls.list_episodes(state, environment, method, cursor, limit))

    def cancel(self, episode: str) -> Episode:
        """End an episode."""
        return self._send(calls.cancel_episode(episode))

    def tree(self, episode: str) -> Tree:
        """An episode's branches and steps."""
        return self._send(calls.get_tree(episode))

    def replay(self, episode: str) -> Replay:
        """Run the method again on the recorded answers, and compare."""
        return self._send(calls.replay(episode))

    def pinned_adapters(self) -> PinnedAdapters:
        """Return how many live episodes use each adapter."""
        return self._send(calls.pinned_adapters())

    def methods(self) -> "list[MethodInfo]":
        """The methods and their parameters."""
        return self._send(calls.methods())

    def environments(self) -> "list[str]":
        """The environments that are configured."""
        return self._send(calls.environments())

    def environment(self, name: str) -> Metadata:
        """Return an environment's metadata."""
        return self._send(calls.environment(name))

    def tasks(
        self, environment: str, *, split: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> TaskPage:
        """A page of an environment's tasks."""
        return self._send(calls.environment_tasks(environment, split, cursor, limit))

    def events(self, episode: str, *, after: str = "") -> Iterator[Event]:
        """The events to the end; a stream that breaks is resumed where it broke."""
        last, left = after, RECONNECTS
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            path = f"/v1/episodes/{episode}/events"
            try:
                with connect_sse(self._http, "GET", path, headers=headers, timeout=STREAM_SILENCE) as source:
                    if source.response.status_code >= 400:
                        source.response.read()
                        raise refused(source.response)
                    for sent in source.iter_sse():
                        if (event := _event(sent)) is None:
                            continue
                        last, left = event.id, RECONNECTS
                        yield event
                        if event.type.terminal:
                            return
            except httpx.HTTPError as error:
                if left == 0:
                    raise unreachable(self.url, error) from error
            left -= 1
            if left < 0:
                return
            time.sleep(0.5)

    def wait(self, episode: str) -> Episode:
        """Follow an episode to its end."""
        for _ in self.events(episode):
            pass
        return self.get(episode)


class AsyncEspalier(AsyncClient):
    """`Espalier`, for asyncio; the same methods."""

    def __init__(self, url: str = ORCHESTRATOR, **options: Any) -> None:
        super().__init__(url, **options)

    async def create(self, body: EpisodeCreate, *, idempotency_key: str | None = None) -> Episode:
        """Queue an episode."""
        return await self._send(calls.create_episode(body, idempotency_key))

    async def get(self, episode: str) -> Episode:
        """An episode as it is now."""
        return await self._send(calls.get_episode(episode))

    async def list(
        self,
        *,
        state: str | None = None,
        environment: str | None = None,
        method: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> EpisodePage:
        """A page of episodes, the newest first."""
        return await self._send(calls.list_episodes(state, environment, method, cursor, limit))

    async def cancel(self, episode: str) -> Episode:
        """End an episode."""
        return await self._send(calls.cancel_episode(episode))

    async def tree(self, episode: str) -> Tree:
        """An episode's branches and steps."""
        return await self._send(calls.get_tree(episode))

    async def replay(self, episode: str) -> Replay:
        """Run the method again on the recorded answers, and compare."""
        return await self._send(calls.replay(episode))

    async def pinned_adapters(self) -> PinnedAdapters:
        """Return how many live episodes use each adapter."""
        return await self._send(calls.pinned_adapters())

    async def environment(self, name: str) -> Metadata:
        """Return an environment's metadata."""
        return await self._send(calls.environment(name))

    async def tasks(
        self, environment: str, *, split: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> TaskPage:
        """A page of an environment's tasks."""
        return await self._send(calls.environment_tasks(environment, split, cursor, limit))

    async def events(self, episode: str, *, after: str = "") -> AsyncIterator[Event]:
        """The events after an id, to the end of the stream or of the episode."""
        headers = {"Last-Event-ID": after} if after else {}
        path = f"/v1/episodes/{episode}/events"
        try:
            async with aconnect_sse(
                self._http, "GET", path, headers=headers, timeout=STREAM_SILENCE
            ) as source:
                if source.response.status_code >= 400:
                    await source.response.aread()
                    raise refused(source.response)
                async for sent in source.aiter_sse():
                    if (event := _event(sent)) is not None:
                        yield event
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error

    async def wait(self, episode: str) -> Episode:
        """Follow an episode to its end."""
        current = await self.get(episode)
        while not current.state.over:
            async for _ in self.events(episode):
                pass
            current = await self.get(episode)
        return current
