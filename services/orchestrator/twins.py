"""Scripted twins of the worker's ports, in this process: for tests and benchmarks.

They behave (a corridor that is walked north until its end, roles that answer), they are
deterministic, and accidents can be set.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from services.contracts.action import ActionRequest, Actions, Candidate
from services.contracts.context import Context
from services.contracts.episode import EpisodeCreate
from services.contracts.event import EventType
from services.contracts.plan import Plan, PlanRequest
from services.contracts.reflection import Reflection, ReflectionRequest
from services.contracts.session import SessionEntry, SessionState
from services.contracts.usage import Usage
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    ValueQuestion,
    Values,
    Verdict,
)
from services.kit.failures import BusyError, OutageError
from services.orchestrator.environments import SessionAheadError, SessionLostError, Timed
from services.orchestrator.ports import (
    ACT,
    JUDGE_PATH,
    JUDGE_SUBTASK,
    JUDGE_VALUE,
    PLAN,
    REFLECT,
    SELECT,
    AnswerT,
    Question,
    RequestT,
)
from services.orchestrator.store.errors import FencedError

USAGE = Usage(calls=1, prompt_tokens=100, cached_tokens=80, completion_tokens=10, seconds=0.0)


def north(_request: ActionRequest) -> list[Candidate]:
    """Always go north."""
    return [Candidate(action="north", thought="the end is there", well_formed=True)]


@dataclass
class ScriptedRoles:
    """Planner, judge and actor that answer by functions."""

    act_by: Callable[[ActionRequest], list[Candidate]] = north
    plan_by: Callable[[PlanRequest], list[str]] = lambda request: [
        f"part {number + 1}" for number in range(request.num_subtasks)
    ]
    done_by: Callable[[SubtaskQuestion], float] = lambda question: 0.0
    choose_by: Callable[[SelectionQuestion], int] = lambda question: 0
    good_by: Callable[[Context], float] = lambda context: 1.0
    best_by: Callable[[PathQuestion], int] = lambda question: 0
    value_by: Callable[[Context], float] = lambda context: 0.5
    reflect_by: Callable[[ReflectionRequest], str] = lambda request: "do otherwise"
    latency: float = 0.0
    away: set[str] = field(default_factory=set[str])
    """Roles that cannot be reached."""
    busy: set[str] = field(default_factory=set[str])
    """Roles that are at their limit."""
    calls: list[str] = field(default_factory=list[str])
    """Every call that was answered, by role."""

    async def query(self, question: Question[RequestT, AnswerT], request: RequestT) -> AnswerT:
        """Return a role's answer."""
        await self._called(question.role)
        answers: dict[EventType, Callable[[Any], Any]] = {
            PLAN.event: lambda it: Plan(subtasks=self.plan_by(it), usage=USAGE),
            ACT.event: lambda it: Actions(candidates=self.act_by(it), usage=USAGE),
            JUDGE_SUBTASK.event: lambda it: Verdict(p_yes=self.done_by(it), usage=USAGE),
            SELECT.event: self._select,
            JUDGE_PATH.event: self._judge_path,
            JUDGE_VALUE.event: self._judge_value,
            REFLECT.event: lambda it: Reflection(text=self.reflect_by(it), usage=USAGE),
        }
        return answers[question.event](request)

    def _select(self, question: SelectionQuestion) -> Choice:
        chosen = self.choose_by(question)
        scores = [float(index == chosen) for index in range(len(question.options))]
        return Choice(index=chosen, scores=scores, usage=USAGE)

    def _judge_path(self, question: PathQuestion) -> PathVerdict:
        if len(question.paths) == 1:
            return PathVerdict(scores=[self.good_by(question.paths[0])], best=0, usage=USAGE)
        best = self.best_by(question)
        scores = [float(index == best) for index in range(len(question.paths))]
        return PathVerdict(scores=scores, best=best, usage=USAGE)

    def _judge_value(self, question: ValueQuestion) -> Values:
        usage = sum((USAGE for _ in question.states), Usage())
        return Values(scores=[self.value_by(state) for state in question.states], usage=usage)

    async def _called(self, role: str) -> None:
        if role in self.away:
            raise OutageError(role, "scripted to be away")
        if role in self.busy:
            raise BusyError(role, "scripted to be full", 1.0)
        if self.latency:
            await asyncio.sleep(self.latency)
        self.calls.append(role)


@dataclass
class _Corridor:
    length: int
    cell: int = 0
    steps: int = 0
    epoch: int = 0
    actions: list[str] = field(default_factory=list[str])
    answers: dict[str, tuple[str, SessionState]] = field(default_factory=dict[str, tuple[str, SessionState]])
    """Step keys: the action and the first answer."""
    key: str = ""
    """The key that it was opened or forked under."""
    parent: str | None = None
    born: float = field(default_factory=time.time)
    touched: float = field(default_factory=time.time)

    def walk(self, action: str) -> None:
        """Take an action."""
        self.actions.append(action)
        self.steps += 1
        self.cell = max(0, self.cell + {"north": 1, "south": -1}.get(action, 0))
        self.touched = time.time()


@dataclass
class ScriptedEnvironment:
    """Corridors: `north` goes one cell on, `south` one back; the end is success."""

    length: int = 3
    latency: float = 0.0
    steps: int = 0
    """Steps that were really taken."""
    opened: int = 0
    drift: bool = False
    """Sessions opened from now on answer otherwise."""
    numbered: bool = False
    """Whether observations name their session, as they would a process id, and have an essence without it."""
    outcomes: bool = False
    """Whether an end amounts to the number of steps that led to it; otherwise it has no outcome."""
    corridors: dict[str, _Corridor] = field(default_factory=dict[str, _Corridor])
    """Live sessions."""
    keys: dict[str, str] = field(default_factory=dict[str, str])
    forked: dict[str, int] = field(default_factory=dict[str, int])
    """The step that each fork was made at."""
    away: bool = False
    busy: bool = False
    """Whether it is at its limit."""
    grammar: str = ""
    """The language of its actions."""
    reads: int = 0
    """How often a session was read."""
    lose: int = 0
    """So many steps from now on lose their session."""

    def __post_init__(self) -> None:
        """Number the sessions."""
        self._numbers = itertools.count(1)

    def lose_sessions(self) -> None:
        """Forget every session, as a restarted server does."""
        self.corridors.clear()
        self.keys.clear()

    async def open(self, request: EpisodeCreate, key: str, epoch: int) -> Timed:
        """Open a session; the same key gets the same session."""
        await self._reached()
        session = self.keys.get(key)
        if session is None or session not in self.corridors:
            session = self._enter(_Corridor(self.length, epoch=epoch, key=key))
            self.keys[key] = session
        return Timed(self._state(session), self.latency)

    async def step(self, session: str, action: str, key: str, epoch: int) -> Timed:
        """Take a step; the same key gets the first answer, and is refused with another action."""
        await self._reached()
        if self.lose:
            self.lose -= 1
            self.lose_sessions()
        corridor = self._admitted(session, epoch)
        if key not in corridor.answers:
            self.steps += 1
            corridor.walk(action)
            known = action in ("north", "south", "look")
            corridor.answers[key] = action, self._state(session).model_copy(update={"valid": known})
        first, state = corridor.answers[key]
        if first != action:
            raise SessionAheadError(f"{key} was used with another action")
        return Timed(state, self.latency)

    async def fork(self, session: str, at_step: int, key: str, epoch: int | None) -> Timed:
        """Open a session in the state after `at_step` steps, by replay; the same key gets the same."""
        await self._reached()
        parent = self._admitted(session, epoch)
        if at_step > len(parent.actions):
            raise SessionLostError(f"the session has taken {len(parent.actions)} steps only")
        name = f"{session}\0{key}"
        child = self.keys.get(name)
        if child is None or child not in self.corridors:
            corridor = _Corridor(parent.length, key=key, parent=session)
            for action in parent.actions[:at_step]:
                corridor.walk(action)
            child = self.keys[name] = self._enter(corridor)
            self.forked[child] = at_step
        if self.forked[child] != at_step:
            raise SessionAheadError(f"{key} was used with another step")
        return Timed(self._state(child), self.latency)

    async def read(self, session: str) -> SessionState:
        """Return a session as it is now."""
        await self._reached()
        self.reads += 1
        self._admitted(session, None)
        return self._state(session).model_copy(update={"grammar": self.grammar})

    async def close(self, session: str, epoch: int | None) -> None:
        """Close a session; one that is gone already is fine."""
        await self._reached()
        corridor = self.corridors.get(session)
        if corridor is not None and epoch is not None and epoch < corridor.epoch:
            raise FencedError
        self.corridors.pop(session, None)

    async def sessions(self) -> AsyncIterator[SessionEntry]:
        """Iterate over the live sessions."""
        if self.away:
            return
        for session, corridor in list(self.corridors.items()):
            forked = corridor.parent is not None
            yield SessionEntry(
                session_id=session,
                session_key=None if forked else corridor.key,
                fork_key=corridor.key if forked else None,
                parent=corridor.parent,
                created_at=corridor.born,
                touched_at=corridor.touched,
                epoch=corridor.epoch,
            )

    def _enter(self, corridor: _Corridor) -> str:
        session = f"c{next(self._numbers)}"
        self.corridors[session] = corridor
        self.opened += 1
        return session

    def _admitted(self, session: str, epoch: int | None) -> _Corridor:
        corridor = self.corridors.get(session)
        if corridor is None:
            raise SessionLostError(f"there is no session {session}")
        if epoch is not None and epoch < corridor.epoch:
            raise FencedError
        corridor.epoch = corridor.epoch if epoch is None else epoch
        return corridor

    async def _reached(self) -> None:
        if self.away:
            raise OutageError("environment", "scripted to be away")
        if self.busy:
            raise BusyError("environment", "scripted to be full", 1.0)
        if self.latency:
            await asyncio.sleep(self.latency)

    def _state(self, session: str) -> SessionState:
        corridor = self.corridors[session]
        done = corridor.cell >= corridor.length
        place = "another place" if self.drift else f"cell {corridor.cell}"
        said = f"You are in {place}."
        return SessionState(
            session_id=session,
            observation=f"{session}: {said}" if self.numbered else said,
            essence=said if self.numbered else "",
            outcome=f"{corridor.steps} steps" if done and self.outcomes else "",
            reward=float(done),
            done=done,
            step_count=corridor.steps,
        )
