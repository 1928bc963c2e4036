"""The table of live sessions: create, step, fork, close, expire, rebuild.

Nothing happens twice in one session: steps are serialised by its lock, repeated keys get the first
answer, and a step that failed or ran out of time is undone, because the instance that it may have
touched is thrown away and rebuilt from the history before the next one.
"""

import asyncio
import itertools
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence

import structlog

from envs.serving.environment import Environment, Frame, InstanceLostError, UnknownTaskError
from envs.serving.grammar import read_grammar
from envs.serving.metrics import SessionMetrics
from envs.serving.once import Once
from envs.serving.runner import RebuildError, Runner, lost
from envs.serving.session import OnceKey, Origin, Past, Session
from envs.serving.settings import EnvironmentSettings
from services.contracts.session import (
    Fork,
    ForkRequest,
    ServerLoad,
    SessionCreate,
    SessionPage,
    SessionState,
    StepRequest,
)
from services.contracts.task import InlineTask, Task
from services.kit.problems import Kind, ProblemError

DRAINING = "The server takes no new sessions (it is draining); open the session on another one."
log = structlog.get_logger()


class SessionTable:
    """Every session of one environment process."""

    def __init__(
        self,
        environment: Environment,
        settings: EnvironmentSettings,
        metrics: SessionMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._environment = environment
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self.draining = False
        """Whether no new sessions are taken; those that are live go on."""
        self._live: dict[str, Session] = {}
        self._numbers = itertools.count(1)
        self._opening = 0
        self._gone: OrderedDict[str, str] = OrderedDict()
        self._once: Once[SessionState] = Once(4 * settings.max_sessions)
        self._runner = Runner(environment, settings)

    def __len__(self) -> int:
        return len(self._live)

    async def create(self, request: SessionCreate) -> SessionState:
        """Start a session, or answer again what its key was answered first.

        A key whose session has gone makes a new one.

        Raises:
            ProblemError: 404 no such task, 422, 409 fenced, 429 full, 503 draining or away, 504.
        """
        if request.session_key is None:
            return await self._create(request, None)
        key = OnceKey("session_key", request.session_key)
        task = request.task_id or (request.task.model_dump_json() if request.task else "")

        async def make() -> SessionState:
            return await self._create(request, key)

        return await self._repeatable(key, (task, request.seed), request.epoch, make)

    async def step(self, session_id: str, request: StepRequest) -> SessionState:
        """Take one action, or answer again what its key was answered first.

        Raises:
            ProblemError: 404, 410 gone, 409 fenced or the session is done, 422, 429, 503, 504.
        """
        session = self._find(session_id)
        session.admit(request.epoch)
        async with session.lock:
            self._check_live(session)
            session.admit(request.epoch)
            first = session.answered(request.step_key, request.action)
            if first is not None:
                return first
            if session.present.done:
                raise ProblemError(
                    Kind.CONFLICT, "The session is done and takes no more steps; create or fork another."
                )
            if len(session.history) >= self._settings.max_session_steps:
                raise ProblemError(
                    Kind.CONFLICT,
                    f"The session has taken {len(session.history)} steps (ESPALIER_MAX_SESSION_STEPS).",
                )
            frame = await self._advance(session, request.action)
            session.history.append(Past(request.action, frame))
            answer = self._touch(session)
            if request.step_key is not None:
                session.answers[request.step_key] = (request.action, answer)
            return answer

    async def fork(self, session_id: str, request: ForkRequest) -> SessionState:
        """A new session in the state that this one has now, or had after `at_step` steps.

        Raises:
            ProblemError: 404, 410, 409 fenced or the replay diverged, 422, 429, 503, 504.
        """
        parent = self._find(session_id)
        parent.admit(request.epoch)
        if request.fork_key is None:
            return await self._fork(parent, request, None)
        key = OnceKey("fork_key", request.fork_key, session_id)

        async def make() -> SessionState:
            return await self._fork(parent, request, key)

        return await self._repeatable(key, request.at_step, None, make)

    def get(self, session_id: str) -> SessionState:
        """The session as it is now, with the language of its valid actions; does not prolong it.

        Raises:
            ProblemError: 404, 410.
        """
        session = self._find(session_id)
        language = "" if session.present.done else read_grammar(self._environment, session.handle)
        return self._state(session).model_copy(update={"grammar": language})

    def page(self, cursor: int, limit: int) -> SessionPage:
        """Return live sessions in the order in which they were made, after the number `cursor`."""
        self.reap()
        later = (session for session in self._live.values() if session.number > cursor)
        found = list(itertools.islice(later, limit + 1))
        following = str(found[limit - 1].number) if len(found) > limit else None
        return SessionPage(sessions=[session.entry() for session in found[:limit]], next=following)

    def load(self) -> ServerLoad:
        """Return how full the table is."""
        return ServerLoad(
            sessions=len(self._live) + self._opening,
            limit=self._settings.max_sessions,
            draining=self.draining,
        )

    async def close(self, session_id: str, epoch: int | None) -> None:
        """Close a session; closing one that is gone already is no error.

        Raises:
            ProblemError: 404 never heard of, 409 fenced.
        """
        if session_id in self._gone:
            return
        session = self._find(session_id)
        session.admit(epoch)
        async with session.lock:
            session.admit(epoch)
            self._drop(session, "was closed")

    def reap(self) -> int:
        """Expire what is due; returns how many. A session in the middle of a step is left alone."""
        due = [s for s in self._live.values() if self._due(s) and not s.lock.locked()]
        for session in due:
            self._expire(session)
        return len(due)

    async def run_reaper(self) -> None:
        """Expire sessions for ever."""
        interval = min(5.0, self._settings.session_idle_ttl / 4)
        while True:
            await asyncio.sleep(interval)
            self.reap()

    async def shut(self) -> None:
        """Close every session and wait until their instances have ended."""
        for session in list(self._live.values()):
            self._drop(session, "was closed when the server stopped")
        await self._runner.drained(5.0)

    async def _repeatable(
        self,
        key: OnceKey,
        fingerprint: Hashable,
        epoch: int | None,
        make: Callable[[], Awaitable[SessionState]],
    ) -> SessionState:
        answer = await self._once.run(key, fingerprint, make, key.field)
        session = self._current(answer.session_id)
        if session is None:
            self._once.forget(key)
            answer = await self._once.run(key, fingerprint, make, key.field)
            session = self._current(answer.session_id)
        if session is not None:
            session.admit(epoch)
        return answer

    async def _create(self, request: SessionCreate, key: OnceKey | None) -> SessionState:
        task: Task | InlineTask
        if request.task is not None:
            if not self._environment.metadata.takes_tasks:
                raise ProblemError.field("task", "this environment takes no inline task; give a task_id")
            task = request.task
        else:
            task = await self.task(request.task_id or "")
        async with self._Place(self):
            opening = await self._runner.start(task, request.seed)
            origin = Origin(task, request.seed, opening.instruction, opening.frame)
            return self._enter(origin, opening.handle, [], key, epoch=request.epoch or 0)

    async def _fork(self, parent: Session, request: ForkRequest, key: OnceKey | None) -> SessionState:
        async with self._Place(self):
            async with parent.lock:
                self._check_live(parent)
                parent.admit(request.epoch)
                now = len(parent.history)
                at_step = now if request.at_step is None else request.at_step
                if at_step > now:
                    raise ProblemError.field("at_step", f"the session has taken {now} steps only")
                history = parent.history[:at_step]
                self._touch(parent)
                handle = None
                if at_step == now and self._environment.metadata.fork is Fork.NATIVE:
                    handle = await self._copy(parent)
            if handle is None:
                handle = await self._replayed(parent.origin, history)
            self._metrics.forks.inc()
            return self._enter(parent.origin, handle, history, key, parent=parent.id)

    async def _copy(self, parent: Session) -> str | None:
        if parent.handle is None:
            return None
        try:
            return await self._runner.copy(parent.handle)
        except InstanceLostError:
            parent.handle = None
            return None

    async def _replayed(self, origin: Origin, history: Sequence[Past]) -> str:
        try:
            return await self._runner.replay(origin, history)
        except RebuildError as error:
            raise ProblemError(Kind.DIVERGED, str(error)) from error
        except InstanceLostError as error:
            raise lost() from error

    async def task(self, task_id: str) -> Task:
        """One task.

        Raises:
            ProblemError: 404.
        """
        try:
            return await self._environment.task(task_id)
        except UnknownTaskError as error:
            raise ProblemError(
                Kind.NOT_FOUND, f"There is no task {task_id!r}; GET /v1/tasks lists them."
            ) from error

    async def _advance(self, session: Session, action: str) -> Frame:
        began = time.perf_counter()
        try:
            frame = await self._attempt(session, action)
        except BaseException:
            # The instance may have taken the step or not: only the history is sure.
            self._discard(session)
            self._metrics.step("failed")
            raise
        self._metrics.seconds.observe(time.perf_counter() - began)
        self._metrics.step("valid" if frame.valid else "invalid")
        return frame

    async def _attempt(self, session: Session, action: str) -> Frame:
        for attempt in (1, 2):
            handle = session.handle or await self._rebuild(session)
            try:
                return await self._runner.step(handle, action)
            except InstanceLostError as error:
                session.handle = None
                if attempt == 2:
                    raise lost() from error
        raise AssertionError("unreachable")

    async def _rebuild(self, session: Session) -> str:
        try:
            session.handle = await self._runner.replay(session.origin, session.history)
        except RebuildError as error:
            self._drop(session, f"was lost, and could not be rebuilt: {error}")
            raise self._absent(session.id) from error
        except InstanceLostError as error:
            raise lost() from error
        self._metrics.rebuilt.inc()
        log.info("session rebuilt", session=session.id, steps=len(session.history))
        return session.handle

    def _enter(
        self,
        origin: Origin,
        handle: str,
        history: list[Past],
        key: OnceKey | None,
        *,
        epoch: int = 0,
        parent: str | None = None,
    ) -> SessionState:
        now = self._clock()
        session = Session(
            id=secrets.token_hex(12),
            origin=origin,
            handle=handle,
            born=now,
            touched=now,
            history=list(history),
            epoch=epoch,
            number=next(self._numbers),
            parent=parent,
            once_key=key,
        )
        self._live[session.id] = session
        self._metrics.opened.inc()
        return self._state(session)

    def _current(self, session_id: str) -> Session | None:
        session = self._live.get(session_id)
        if session is not None and self._due(session) and not session.lock.locked():
            self._expire(session)
            return None
        return session

    def _find(self, session_id: str) -> Session:
        session = self._current(session_id)
        if session is None:
            raise self._absent(session_id)
        return session

    def _check_live(self, session: Session) -> None:
        if session.id not in self._live:
            raise self._absent(session.id)

    def _absent(self, session_id: str) -> ProblemError:
        reason = self._gone.get(session_id)
        if reason is None:
            return ProblemError(Kind.NOT_FOUND, f"There is no session {session_id}.")
        return ProblemError(Kind.GONE, f"Session {session_id} {reason}; create it again.")

    def _due(self, session: Session) -> bool:
        return self._clock() >= self._expiry(session)

    def _expiry(self, session: Session) -> float:
        return session.expires_at(self._settings.session_idle_ttl, self._settings.session_ttl)

    def _state(self, session: Session) -> SessionState:
        return session.state(self._expiry(session), self._environment.normalise)

    def _touch(self, session: Session) -> SessionState:
        session.touched = self._clock()
        return self._state(session)

    def _expire(self, session: Session) -> None:
        self._metrics.expired.inc()
        self._drop(session, "has expired")

    def _drop(self, session: Session, reason: str) -> None:
        if self._live.pop(session.id, None) is None:
            return
        self._gone[session.id] = reason
        while len(self._gone) > self._settings.remembered_sessions:
            self._gone.popitem(last=False)
        if session.once_key is not None:
            self._once.forget(session.once_key)
        self._discard(session)

    def _discard(self, session: Session) -> None:
        handle, session.handle = session.handle, None
        if handle is not None:
            self._runner.end(handle)

    class _Place:
        """A place under the cap, held while an instance is being made."""

        def __init__(self, table: "SessionTable") -> None:
            self._table = table

        async def __aenter__(self) -> None:
            table, limit = self._table, self._table._settings.max_sessions
            if table.draining:
                raise ProblemError(Kind.DRAINING, DRAINING, retry_after=2)
            if len(table._live) + table._opening >= limit:
                table.reap()
            if len(table._live) + table._opening >= limit:
                raise ProblemError(
                    Kind.TOO_MANY,
                    f"{limit} sessions are live (ESPALIER_MAX_SESSIONS); close some or wait.",
                    retry_after=5,
                )
            table._opening += 1

        async def __aexit__(self, *_: object) -> None:
            self._table._opening -= 1
