"""An environment that is served by one or several servers: sessions are placed by load and remembered.

With several servers, the session id that a worker records is `<id>@<server>`, so that the session is found
again whichever worker goes on with it. With one server, ids are the server's own. A server's name follows
from its address: the list can be reordered. Ids without a name belong to the first server.
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import structlog

from services.contracts.episode import EpisodeCreate
from services.contracts.session import Metadata, ServerLoad, SessionEntry, SessionState
from services.contracts.task import Task, TaskPage
from services.kit.failures import BusyError, OutageError, RefusedError
from services.kit.problems import Kind
from services.kit.upstream import Upstream
from services.orchestrator.environment_server import EnvironmentServer
from services.orchestrator.environments import SessionLostError, Timed

FRESH = 1.0
"""A load that was read less than so many seconds ago is not read again."""
BLIP = 1.0
"""How long a server that fails is tried again before another one is tried, seconds."""
NAMED = re.compile(r"(.+)@([0-9a-f]{8})", re.DOTALL)
"""A session's id with its server's name."""
T = TypeVar("T")
log = structlog.get_logger()


@dataclass
class _Place:
    """A server and what was last read of its load."""

    server: EnvironmentServer
    load: ServerLoad | None = None
    """None: it is away."""
    read_at: float = float("-inf")
    reason: str = ""
    """Why it is away."""
    placed: int = 0
    """Sessions that were placed on it since its load was read."""

    @property
    def open(self) -> bool:
        """Whether it takes new sessions, a full one included."""
        return self.load is not None and not self.load.draining

    @property
    def share(self) -> float:
        """How full it is: 1 is full."""
        return 0.0 if self.load is None else (self.load.sessions + self.placed) / self.load.limit

    def describe(self) -> str:
        """Return why it takes no sessions."""
        shown = self.server.upstream.shown
        return f"{shown} is draining" if self.load is not None else f"{shown}: {self.reason}"


class HttpEnvironment:
    """An environment behind HTTP: all its servers.

    Args:
        first: The connection to its first server.
        others: The connections to its other servers.
    """

    def __init__(self, first: Upstream, *others: Upstream) -> None:
        self._name = first.part
        self._places = [_Place(EnvironmentServer(upstream)) for upstream in (first, *others)]
        self._by_name = {place.server.name: place for place in self._places}
        self._reading: asyncio.Task[None] | None = None

    @property
    def _only(self) -> EnvironmentServer | None:
        """The server, if there is one only."""
        return self._places[0].server if len(self._places) == 1 else None

    async def ready(self) -> str | None:
        """Return None if any server can be used, else why not."""
        reasons = await asyncio.gather(*(place.server.upstream.alive() for place in self._places))
        return None if None in reasons else "; ".join(reason or "" for reason in reasons)

    async def metadata(self) -> Metadata:
        """Return what the environment is."""
        return await self._anywhere(lambda server, lasting: server.metadata(lasting))

    async def task(self, task_id: str) -> Task | None:
        """Return a task, or None if there is none of this id."""
        return await self._anywhere(lambda server, lasting: server.task(task_id, lasting))

    async def tasks(self, split: str | None, cursor: str | None, limit: int) -> TaskPage:
        """Return a page of the tasks."""
        return await self._anywhere(lambda server, lasting: server.tasks(split, cursor, limit, lasting))

    async def open(self, request: EpisodeCreate, key: str, epoch: int) -> Timed:
        """Open a session on the server with the most room; the same key gets the same session of a server.

        Raises:
            BusyError: A server is full and no other takes the session.
            OutageError: All servers are away or draining.
        """
        body: dict[str, Any] = {"seed": request.seed, "session_key": key, "epoch": epoch}
        if request.task is not None:
            body["task"] = request.task.model_dump()
        else:
            body["task_id"] = request.task_id
        if self._only is not None:
            return await self._only.open(body)
        await self._read_loads()
        passed: list[OutageError | BusyError] = []
        for place in self._by_room():
            place.placed += 1
            try:
                return self._named(place, await place.server.open(body, retry_for=BLIP))
            except (OutageError, BusyError) as error:
                self._pass_over(place, error)
                passed.append(error)
        raise self._describe_passed(passed)

    async def step(self, session: str, action: str, key: str, epoch: int) -> Timed:
        """Take a step; the same key gets the first answer.

        Raises:
            SessionLostError: The session is gone, or its server is away while another one takes sessions.
            SessionAheadError: The key was used with another action.
        """
        place, known = self._find(session)
        try:
            return self._named(place, await place.server.step(known, action, key, epoch))
        except OutageError as error:
            await self._raise_lost(place, error)

    async def fork(self, session: str, at_step: int, key: str, epoch: int | None) -> Timed:
        """Open a session on the same server, in the state after `at_step` steps.

        Raises:
            SessionLostError: The session is gone, or its server takes no new ones while another one does.
            SessionAheadError: The key was used with another step.
            DivergedError: The replay of the steps showed something else than before.
        """
        place, known = self._find(session)
        lasting = None if self._only else BLIP
        try:
            return self._named(place, await place.server.fork(known, at_step, key, epoch, lasting))
        except OutageError as error:
            await self._raise_lost(place, error)
        except BusyError as error:
            if self._only or not await self._room_elsewhere(place):
                raise
            raise SessionLostError(f"{error}; there is room on another server") from error

    async def read(self, session: str) -> SessionState:
        """Return a session as it is now.

        Raises:
            SessionLostError: The session is gone, or its server is away while another one takes sessions.
        """
        place, known = self._find(session)
        try:
            return await place.server.read(known)
        except OutageError as error:
            await self._raise_lost(place, error)

    async def close(self, session: str, epoch: int | None) -> None:
        """Close a session; one that is gone already is fine."""
        try:
            place, known = self._find(session)
        except SessionLostError:
            return
        await place.server.close(known, epoch)

    async def sessions(self) -> AsyncIterator[SessionEntry]:
        """Iterate over the live sessions of all servers, named as they are recorded.

        Servers that are away, or that do not list their sessions, are passed over.
        """
        for place in self._places:
            try:
                async for entry in place.server.sessions():
                    named = {"session_id": self._name_of(place, entry.session_id)}
                    if entry.parent is not None:
                        named["parent"] = self._name_of(place, entry.parent)
                    yield entry.model_copy(update=named)
            except (OutageError, BusyError, RefusedError) as error:
                log.debug("sessions are not listed", error=str(error))

    def _find(self, session: str) -> tuple[_Place, str]:
        """Return the server of a recorded session, and the session's id there.

        Raises:
            SessionLostError: The server is not in the list any more.
        """
        named = NAMED.fullmatch(session)
        if named is None:
            return self._places[0], session
        known, name = named.groups()
        if name not in self._by_name:
            raise SessionLostError(f"the server {name} of session {known} is no longer configured")
        return self._by_name[name], known

    def _name_of(self, place: _Place, session: str) -> str:
        return session if self._only else f"{session}@{place.server.name}"

    def _named(self, place: _Place, timed: Timed) -> Timed:
        session = self._name_of(place, timed.state.session_id)
        return Timed(timed.state.model_copy(update={"session_id": session}), timed.seconds)

    async def _read_loads(self) -> None:
        """Read the loads that are not fresh; concurrent calls share one reading."""
        if self._reading is None or self._reading.done():
            now = time.monotonic()
            stale = [place for place in self._places if now - place.read_at >= FRESH]
            if not stale:
                return
            self._reading = asyncio.create_task(_read_all(stale))
        await asyncio.shield(self._reading)

    def _by_room(self) -> list[_Place]:
        """Return the servers that take sessions, those with the most room first."""
        found = [place for place in self._places if place.open]
        random.shuffle(found)
        return sorted(found, key=lambda place: place.share)

    def _pass_over(self, place: _Place, error: OutageError | BusyError) -> None:
        """Note that a server did not take a session, until its load is read again."""
        if isinstance(error, OutageError) and place.load is not None:
            draining = error.problem is not None and error.problem.name == Kind.DRAINING.slug
            place.load = place.load.model_copy(update={"draining": True}) if draining else None
            place.reason = error.reason

    def _describe_passed(self, passed: Iterable[OutageError | BusyError]) -> OutageError | BusyError:
        """Return the error of an environment none of whose servers took a session."""
        busy = [error for error in passed if isinstance(error, BusyError)]
        if busy:
            soonest = min(error.retry_after for error in busy)
            return BusyError(self._name, "all servers that take sessions are full", soonest)
        reasons = "; ".join(place.describe() for place in self._places if not place.open)
        return OutageError(self._name, f"no server takes sessions: {reasons}")

    async def _raise_lost(self, place: _Place, error: OutageError) -> NoReturn:
        """Raise that a session is lost if it can go on elsewhere, else the outage of its server."""
        self._pass_over(place, error)
        if self._only or not await self._room_elsewhere(place):
            raise error
        raise SessionLostError(f"{error}; another server takes sessions") from error

    async def _room_elsewhere(self, place: _Place) -> bool:
        await self._read_loads()
        return any(other is not place and other.open and other.share < 1 for other in self._places)

    async def _anywhere(self, call: Callable[[EnvironmentServer, float | None], Awaitable[T]]) -> T:
        """Return the answer of the first server that has one; the last is given time to come back."""
        if self._only is not None:
            return await call(self._only, None)
        await self._read_loads()
        *others, last = sorted(self._places, key=lambda place: place.load is None)
        for place in others:
            try:
                return await call(place.server, 0)
            except (OutageError, BusyError) as error:
                log.debug("a server is passed over", error=str(error))
        return await call(last.server, None)


async def _read_all(places: Iterable[_Place]) -> None:
    async def read(place: _Place) -> None:
        try:
            place.load = await place.server.load()
        except (OutageError, BusyError) as error:
            place.load, place.reason = None, error.reason
        place.placed = 0
        place.read_at = time.monotonic()

    await asyncio.gather(*(read(place) for place in places))
