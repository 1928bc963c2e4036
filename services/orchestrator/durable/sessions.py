"""The sessions of one branch: opened, forked, stepped, rebuilt from the log where they are lost.

A session's name is `<branch>/<handle>` of the branch that opened or forked it. Its history is its ancestors'
steps up to the forks and its own, all of which the log has, so that it can be rebuilt anywhere.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import structlog
from pydantic import ValidationError

from services.contracts.event import Event, SessionForked, SessionOpened, StepTaken
from services.contracts.event_data import Forking, SessionRef, Showing, Stepping
from services.contracts.language import LANGUAGE
from services.contracts.session import SessionState
from services.kit.failures import RefusedError
from services.orchestrator.durable.ground import Ground
from services.orchestrator.environments import DivergedError, SessionLostError, Timed
from services.orchestrator.identity import digest, name_session

REBUILDS = 3
"""How often one session is rebuilt before the branch fails."""
LONGEST_NAME = 100
"""Characters of a branch that its sessions' keys have room for."""
log = structlog.get_logger()


@dataclass
class Known:
    """A session as far as its branch has followed it."""

    name: str
    id: str
    """The environment's id."""
    steps: int
    observation: str
    done: bool
    rebuilt: int = 0


@dataclass
class Past:
    """What a session showed, from the task's start."""

    first: Showing
    steps: list[Stepping] = field(default_factory=list[Stepping])
    id: str = ""
    """The environment's id of it, as last recorded."""


def fold_past(events: Iterable[Event], name: str) -> Past:
    """Return a session's history.

    Raises:
        DivergedError: The log does not have it.
    """
    pasts: dict[str, Past] = {}
    for event in events:
        match event:
            case SessionOpened(data=data):
                pasts[name_session(event.branch, data.session)] = Past(data, id=data.session_id)
            case SessionForked(data=data):
                of = pasts[data.of]
                past = Past(of.first, of.steps[: data.at_step], data.session_id)
                pasts[name_session(event.branch, data.session)] = past
            case StepTaken(data=data):
                past = pasts[name_session(event.branch, data.session)]
                past.steps.append(data)
                past.id = data.session_id
            case _:
                pass
    try:
        return pasts[name]
    except KeyError:
        raise DivergedError(f"the log has no session {name}") from None


class Sessions:
    """The sessions that one branch may step."""

    def __init__(self, ground: Ground, branch: str) -> None:
        self._ground = ground
        self._branch = branch
        self._known: dict[str, Known] = {}

    def inherit(self, given: SessionRef) -> None:
        """Take over a session that the parent handed down."""
        self._known[given.session] = Known(
            given.session, given.session_id, given.steps, given.observation, given.done
        )

    def get(self, handle: str) -> Known:
        """Return a session that the branch has.

        Raises:
            ValueError: It has none of this name.
        """
        if handle not in self._known:
            raise ValueError(f"branch {self._branch} has no session {handle!r}")
        return self._known[handle]

    def hand_over(self, handle: str) -> SessionRef:
        """Describe a session for the branch that gets it."""
        known = self.get(handle)
        return SessionRef(
            session=known.name,
            session_id=known.id,
            observation=known.observation,
            done=known.done,
            steps=known.steps,
        )

    def forget(self, handle: str) -> None:
        """Drop a session that was closed or handed over."""
        self._known.pop(handle, None)

    def follow(self, handle: str, shown: Showing) -> Known:
        """Take in what a session showed, live or recorded."""
        known = self._known.get(handle)
        if known is None:
            steps = shown.at_step if isinstance(shown, Forking) else 0
            known = Known(name_session(self._branch, handle), shown.session_id, steps, "", done=False)
            self._known[handle] = known
        if isinstance(shown, Stepping):
            known.steps = shown.n
        known.id, known.observation, known.done = shown.session_id, shown.observation, shown.done
        return known

    async def open(self, handle: str) -> Showing:
        """Open a session at the task's start."""
        ground = self._ground
        await ground.writer.flush()
        key = self._name_key(handle)
        timed = await ground.environment.open(ground.record.request, key, ground.job.epoch)
        return Showing(session=handle, **_shown(timed))

    async def fork(self, handle: str, source: str, at_step: int | None) -> Forking:
        """Open a session in the state of another one, of this branch or of one that has closed."""
        ground = self._ground
        await ground.writer.flush()
        known = self._known.get(source)
        epoch: int | None = ground.job.epoch
        past: Past | None = None
        if known is None:
            past = fold_past(await ground.history(), source)
            known, epoch = Known(source, past.id, len(past.steps), "", done=False), None
        at = known.steps if at_step is None else at_step
        if not 0 <= at <= known.steps:
            raise ValueError(f"session {known.name} has {known.steps} steps: it has no state after {at}")
        key = self._name_key(handle)
        try:
            timed = await ground.environment.fork(known.id, at, key, epoch)
        except SessionLostError:
            past = past or fold_past(await ground.history(), known.name)
            timed = await self._build(Past(past.first, past.steps[:at]))
        return Forking(session=handle, of=known.name, at_step=at, **_shown(timed))

    async def step(self, handle: str, action: str) -> Stepping:
        """Take a step; a session that is lost, or ahead of its log, is rebuilt first."""
        ground, known = self._ground, self.get(handle)
        await ground.writer.flush()
        key = f"{self._branch}/{known.steps + 1}"
        while True:
            try:
                timed = await ground.environment.step(known.id, action, key, ground.job.epoch)
                return Stepping(session=handle, n=known.steps + 1, action=action, **_shown(timed))
            except SessionLostError:
                known.rebuilt += 1
                if known.rebuilt > REBUILDS:
                    raise DivergedError(f"session lost after {REBUILDS} rebuilds") from None
                past = fold_past(await ground.history(), known.name)
                known.id = (await self._build(past)).state.session_id

    async def read_language(self, handle: str) -> str:
        """Return the language of a session's valid actions; empty where there is none that can be used."""
        try:
            state = await self._ground.environment.read(self.get(handle).id)
            return LANGUAGE.validate_python(state.grammar)
        except (SessionLostError, RefusedError):
            return ""  # its next step builds it again
        except ValidationError as error:
            log.warning("The language of a session cannot be used", reason=error.errors()[0]["msg"])
            return ""

    def _name_key(self, handle: str) -> str:
        """Return the key that a session is opened under; deep branches have long names."""
        branch = self._branch if len(self._branch) <= LONGEST_NAME else digest("branch", self._branch)
        return f"{self._ground.job.episode}/{branch}/{handle}"

    async def close(self, handle: str) -> None:
        """Close a session, after all that it showed is written."""
        await self._ground.writer.flush()
        await self._ground.environment.close(self.get(handle).id, self._ground.job.epoch)

    async def _build(self, past: Past) -> Timed:
        """Build a session of its history; one that is lost meanwhile is built again."""
        for _ in range(REBUILDS):
            await self._ground.store.check(self._ground.job)  # a run that is fenced opens no session
            with contextlib.suppress(SessionLostError):
                return await self._replay(past)
        raise DivergedError(f"session lost in {REBUILDS} rebuilds")

    async def _replay(self, past: Past) -> Timed:
        """Build a session of its history and compare what it shows.

        Its key is new each time: under an earlier one there may be a session that is ahead of the log.
        """
        ground = self._ground
        key = self._name_key(uuid4().hex)
        timed = await ground.environment.open(ground.record.request, key, ground.job.epoch)
        _compare(past.first, timed.state, "the first observation")
        for before in past.steps:
            timed = await ground.environment.step(
                timed.state.session_id, before.action, f"{self._branch}/{before.n}", ground.job.epoch
            )
            _compare(before, timed.state, f"step {before.n} ({before.action})")
        return timed


def _shown(timed: Timed) -> dict[str, Any]:
    state = timed.state
    return {
        "session_id": state.session_id,
        "observation": state.observation,
        "essence": state.essence,
        "outcome": state.outcome,
        "done": state.done,
        "valid": state.valid,
        "score": state.reward,
        "seconds": timed.seconds,
    }


def _compare(before: Showing, now: SessionState, where: str) -> None:
    """Raise `DivergedError` where a rebuilt session shows something else."""
    same = before.essence == now.essence if before.essence else before.observation == now.observation
    if not same:
        raise DivergedError(f"{where} was {before.observation[:200]!r} and is now {now.observation[:200]!r}")
