"""The clients: what each call is stands in `calls`; here it is sent."""

import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self, TypeVar

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse
from pydantic import ValidationError

from espalier.client import calls
from espalier.client.calls import Call
from espalier.client.errors import refused, unreachable
from espalier.client.proxies import honours_proxy
from services.contracts.action import ActionRequest, Actions
from services.contracts.adapter import AdapterLoad, Adapters, PinnedAdapters
from services.contracts.episode import Episode, EpisodeCreate, EpisodePage, Replay
from services.contracts.event import EVENTS, Event
from services.contracts.plan import Plan, PlanRequest
from services.contracts.session import ForkRequest, Metadata, SessionCreate, SessionState, StepRequest
from services.contracts.task import TaskPage
from services.contracts.tree import Tree
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    Verdict,
)

Reply = TypeVar("Reply")
ORCHESTRATOR = "http://127.0.0.1:8000"
STREAM_SILENCE = 60.0
"""A stream that is silent for longer is broken, seconds: the server sends a comment every 15."""
RECONNECTS = 20
"""How often a broken event stream is resumed."""


def _headers(api_key: str | None) -> dict[str, str]:
    keys = os.environ.get("ESPALIER_API_KEY") or os.environ.get("ESPALIER_API_KEYS", "").split(",")[0]
    key = api_key if api_key is not None else keys
    return {"Authorization": f"Bearer {key.strip()}"} if key else {}


def _event(sent: ServerSentEvent) -> Event | None:
    """Return a sent event; None for a comment, and for a type of a newer release."""
    try:
        return EVENTS.validate_json(sent.data, extra="ignore") if sent.data else None
    except ValidationError:
        return None


class _Sync:
    """Sends calls and waits."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers=self._headers(api_key),
            timeout=timeout,
            trust_env=honours_proxy(self.url),
        )

    def _headers(self, api_key: str | None) -> dict[str, str]:
        return _headers(api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, call: Call[Reply]) -> Reply:
        try:
            response = self._http.request(
                call.method, call.path, json=call.json(), params=call.params, headers=call.headers
            )
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        if response.status_code >= 400:
            raise refused(response)
        return call.read(response.content)


class _Async:
    """Sends calls and awaits."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=_headers(api_key),
            timeout=timeout,
            trust_env=honours_proxy(self.url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, call: Call[Reply]) -> Reply:
        try:
            response = await self._http.request(
                call.method, call.path, json=call.json(), params=call.params, headers=call.headers
            )
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        if response.status_code >= 400:
            raise refused(response)
        return call.read(response.content)


class Espalier(_Sync):
    """Episodes, over the orchestrator's API.

    Args:
        url: The orchestrator's address.
        api_key: Bearer token; by default ESPALIER_API_KEY, or the first of ESPALIER_API_KEYS.
        timeout: Of one request, seconds.

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


class AsyncEspalier(_Async):
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


class Sessions(_Sync):
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


class AsyncSessions(_Async):
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


class Role(_Sync):
    """One planner, judge or actor service: its adapters.

    Changing them takes a key of ESPALIER_ADMIN_KEYS, where the service has keys: the first of them is sent by
    default.
    """

    def _headers(self, api_key: str | None) -> dict[str, str]:
        admin = os.environ.get("ESPALIER_ADMIN_KEYS", "").split(",")[0].strip()
        return _headers(admin or None if api_key is None else api_key)

    def adapters(self) -> Adapters:
        """What its engine serves."""
        return self._send(calls.adapters())

    def load(self, body: AdapterLoad) -> Adapters:
        """Load an adapter into its engine, or name another engine; again, it changes nothing."""
        return self._send(calls.load_adapter(body))

    def unload(self, name: str) -> Adapters:
        """Let go of an adapter, or of an engine that drains."""
        return self._send(calls.unload_adapter(name))


class Actor(Role):
    """One actor service."""

    def act(self, body: ActionRequest) -> Actions:
        """Return candidates for the next action."""
        return self._send(calls.act(body))


class AsyncActor(_Async):
    """`Actor`, for asyncio; the call that is made often."""

    async def act(self, body: ActionRequest) -> Actions:
        """Return candidates for the next action."""
        return await self._send(calls.act(body))


class AsyncJudge(_Async):
    """One judge service."""

    async def subtask(self, body: SubtaskQuestion) -> Verdict:
        """P(yes) that a subtask is done."""
        return await self._send(calls.judge_subtask(body))

    async def selection(self, body: SelectionQuestion) -> Choice:
        """The best of the candidates."""
        return await self._send(calls.judge_selection(body))

    async def path(self, body: PathQuestion) -> PathVerdict:
        """Whether a path is good enough, or which of several is best."""
        return await self._send(calls.judge_path(body))


class AsyncPlanner(_Async):
    """One planner service."""

    async def plan(self, body: PlanRequest) -> Plan:
        """A task's subtasks."""
        return await self._send(calls.plan(body))


def _step(action: str, step_key: str | None) -> StepRequest:
    return StepRequest(action=action) if step_key is None else StepRequest(action=action, step_key=step_key)
