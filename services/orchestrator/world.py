"""The ports of one branch, recorded: what was answered before is answered from the log.

Every call has a number within its branch. On replay the recorded answer under that number is given,
if the request's digest is the same; past the last recorded answer the call goes out live and its
answer is appended. Failures and spent budgets are answers too.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from services.contracts.action import ActionRequest, Actions
from services.contracts.episode import Budget, EpisodeCreate, Feedback
from services.contracts.event import Event, EventType
from services.contracts.plan import Plan, PlanRequest
from services.contracts.session import SessionState
from services.contracts.usage import Usage
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    Verdict,
)
from services.kit.failures import BusyError, OutageError, RefusedError
from services.orchestrator.environments import DivergedError, Environment, SessionLostError, Timed
from services.orchestrator.identity import digest
from services.orchestrator.ports import (
    BranchOutcome,
    BudgetExhaustedError,
    InfrastructureError,
    Opened,
    Seen,
)
from services.orchestrator.roles import Roles
from services.orchestrator.writer import LogWriter

Reply = TypeVar("Reply", bound=BaseModel)
REBUILDS = 3
"""How often one session is rebuilt before the branch fails."""


class NondeterministicError(Exception):
    """The method asked for something else than it did when the log was written."""


class ReplayEndError(Exception):
    """A replay without live ports came to the end of what is recorded."""


@dataclass
class Ledger:
    """What a branch may still spend, and has spent."""

    budget: Budget
    deadline: float | None
    """Unix seconds."""
    calls: int = 0
    tokens: int = 0

    def add(self, usage: Usage) -> None:
        """Count a call's cost."""
        self.calls += usage.calls
        self.tokens += usage.prompt_tokens + usage.completion_tokens

    def exhausted(self) -> str:
        """Which limit is reached; empty where none is."""
        if self.budget.model_calls is not None and self.calls >= self.budget.model_calls:
            return "model_calls"
        if self.budget.tokens is not None and self.tokens >= self.budget.tokens:
            return "tokens"
        return "seconds" if self.late() else ""

    def late(self) -> bool:
        """Whether the time is over."""
        return self.deadline is not None and time.time() >= self.deadline

    def share(self, parts: int) -> "Ledger":
        """An equal part of what is left, for a child branch."""

        def left(limit: int | None, spent: int) -> int | None:
            return None if limit is None else max(1, (limit - spent) // parts)

        budget = Budget(
            model_calls=left(self.budget.model_calls, self.calls),
            tokens=left(self.budget.tokens, self.tokens),
        )
        return Ledger(budget, self.deadline)


@dataclass
class _Session:
    """A session of this branch, as far as it was recorded."""

    id: str
    first: "_Shown"
    turns: list[tuple[str, "_Shown"]] = field(default_factory=list[tuple[str, "_Shown"]])
    rebuilt: int = 0


@dataclass(frozen=True)
class _Shown:
    """What a session showed, and what a rebuilt one is compared by."""

    observation: str
    essence: str

    def check(self, now: SessionState, where: str) -> None:
        """Raises `DivergedError` where a rebuilt session shows something else."""
        same = self.essence == now.essence if self.essence else self.observation == now.observation
        if not same:
            raise DivergedError(
                f"{where} was {self.observation[:200]!r} and is now {now.observation[:200]!r}"
            )


@dataclass(frozen=True)
class Ground:
    """What all branches of an episode stand on."""

    episode: str
    request: EpisodeCreate
    roles: Roles
    environment: Environment
    writer: LogWriter
    outage_deadline: Callable[[], float | None]
    """When an outage that the episode waits out becomes a failure, Unix seconds; None: none is on."""
    on_answer: Callable[[], Awaitable[None]]
    """Called when a part has answered live."""
    done_means_success: bool
    live: bool = True
    """False: a replay that may not call anything."""


RunBranch = Callable[[str, str, dict[str, Any], Ledger], Awaitable[BranchOutcome]]
"""Runs a child: its id, its body's name, its arguments, its share of the budget."""


class RecordedWorld:
    """The `World` of one branch."""

    def __init__(
        self,
        ground: Ground,
        branch: str,
        epoch: int,
        answers: dict[int, Event],
        ledger: Ledger,
        run_branch: RunBranch,
    ) -> None:
        self.branch = branch
        self.ledger = ledger
        self.replayed = 0
        self._ground = ground
        self._epoch = epoch
        self._answers = answers
        self._run_branch = run_branch
        self._seq = 0
        self._sessions: dict[str, _Session] = {}
        self._children: dict[str, tuple[str, dict[str, Any]]] = {}

    async def plan(self, request: PlanRequest) -> Plan:
        """Ask the planner."""
        return await self._model(EventType.PLAN_MADE, request, Plan, self._ground.roles.plan)

    async def act(self, request: ActionRequest) -> Actions:
        """Ask the actor."""
        return await self._model(EventType.CANDIDATES_PROPOSED, request, Actions, self._ground.roles.act)

    async def judge_subtask(self, question: SubtaskQuestion) -> Verdict:
        """Ask the judge whether a subtask is done."""
        ask = self._ground.roles.judge_subtask
        return await self._model(EventType.VERDICT_SUBTASK, question, Verdict, ask)

    async def select(self, question: SelectionQuestion) -> Choice:
        """Ask the judge which candidate is best."""
        return await self._model(EventType.VERDICT_SELECTION, question, Choice, self._ground.roles.select)

    async def judge_path(self, question: PathQuestion) -> PathVerdict:
        """Ask the judge whether a path is good enough, or which is best."""
        ask = self._ground.roles.judge_path
        return await self._model(EventType.VERDICT_PATH, question, PathVerdict, ask)

    async def open(self) -> Opened:
        """Open a session at the task's start."""
        handle = f"s{self._seq}"

        async def live() -> dict[str, Any]:
            await self._ground.writer.flush()
            key = f"{self._ground.episode}/{self.branch}/{handle}"
            timed = await self._ground.environment.open(self._ground.request, key, self._epoch)
            await self._ground.on_answer()
            return {"session": handle, **_recorded(timed)}

        data = await self._call(EventType.SESSION_OPENED, digest("open", handle), live)
        self._sessions[handle] = _Session(data["session_id"], _shown(data))
        return Opened(session=handle, observation=data["observation"])

    async def step(self, session: str, action: str) -> Seen:
        """Take a step."""
        known = self._sessions[session]
        number = len(known.turns) + 1

        async def live() -> dict[str, Any]:
            await self._ground.writer.flush()
            timed = await self._step_live(session, action, number)
            await self._ground.on_answer()
            return {"session": session, "n": number, "action": action, **_recorded(timed)}

        data = await self._call(EventType.STEP_TAKEN, digest("step", f"{session}\0{action}"), live)
        known.id = data["session_id"]
        known.turns.append((action, _shown(data)))
        return Seen(
            observation=data["observation"],
            done=data["done"],
            valid=data["valid"],
            success=self._success(bool(data["done"])),
        )

    async def close(self, session: str) -> None:
        """Close a session; where the environment is away, it expires by itself."""
        known = self._sessions[session]

        async def live() -> dict[str, Any]:
            try:
                await self._ground.environment.close(known.id, self._epoch)
            except (OutageError, BusyError, RefusedError) as error:
                return {"session": session, "left": str(error)}
            return {"session": session}

        await self._call(EventType.SESSION_CLOSED, digest("close", session), live)

    async def spawn(self, body: str, arguments: BaseModel) -> str:
        """Open a branch that runs a registered body."""
        child = f"{self.branch}.{len(self._children)}"
        given = arguments.model_dump(mode="json")

        async def live() -> dict[str, Any]:
            return {"opened": child, "body": body}

        await self._call(EventType.BRANCH_OPENED, digest("spawn", arguments), live)
        self._children[child] = (body, given)
        return child

    async def gather(self, branches: list[str]) -> list[BranchOutcome]:
        """Wait for branches, one after the other; each has its share of the budget."""
        shares = [self.ledger.share(len(branches)) for _ in branches]
        outcomes: list[BranchOutcome] = []
        for branch, share in zip(branches, shares, strict=True):
            body, arguments = self._children[branch]
            outcomes.append(await self._run_branch(branch, body, arguments, share))
            self.ledger.calls += share.calls
            self.ledger.tokens += share.tokens
        return outcomes

    async def note(self, event: EventType, **data: Any) -> None:
        """Write something into the log that only people and folds read."""

        async def live() -> dict[str, Any]:
            return data

        await self._call(event, digest("note", event.value), live)

    async def _model(
        self,
        event: EventType,
        request: BaseModel,
        reply: type[Reply],
        ask: Callable[[Any], Awaitable[Reply]],
    ) -> Reply:
        answered: list[Reply] = []

        async def live() -> dict[str, Any]:
            answer = await ask(request)
            await self._ground.on_answer()
            answered.append(answer)
            return answer.model_dump(mode="json")

        data = await self._call(event, digest(event.value, request), live, spends=True)
        self.ledger.add(Usage.model_validate(data["usage"]))
        return answered[0] if answered else reply.model_validate(data)

    async def _call(
        self,
        event: EventType,
        request_digest: str,
        live: Callable[[], Awaitable[dict[str, Any]]],
        *,
        spends: bool = False,
    ) -> dict[str, Any]:
        seq = self._seq
        self._seq += 1
        recorded = self._answers.get(seq)
        if recorded is not None:
            return self._replay(recorded, event, request_digest, seq)
        if not self._ground.live:
            raise ReplayEndError(f"{self.branch}/{seq} ({event}) is not in the log")
        kind, data = event, {}
        if spends and (limit := self.ledger.exhausted()):
            kind, data = EventType.BUDGET_EXHAUSTED, {"limit": limit}
        else:
            try:
                data = await live()
            except OutageError as error:
                deadline = self._ground.outage_deadline()
                if deadline is None or time.time() < deadline:
                    raise
                kind, data = EventType.CALL_FAILED, {"reason": error.part, "detail": error.reason}
            except BusyError:
                if not self.ledger.late():
                    raise
                kind, data = EventType.BUDGET_EXHAUSTED, {"limit": "seconds"}
            except RefusedError as error:
                kind, data = EventType.CALL_FAILED, {"reason": error.part, "detail": error.problem.detail}
            except DivergedError as error:
                kind, data = EventType.PATH_DIVERGED, {"reason": "diverged", "detail": str(error)}
        self._ground.writer.append(
            kind, data, branch=self.branch, epoch=self._epoch, seq=seq, digest=request_digest
        )
        return _answer(kind, data)

    def _replay(self, recorded: Event, event: EventType, request_digest: str, seq: int) -> dict[str, Any]:
        if recorded.digest != request_digest:
            raise NondeterministicError(
                f"call {self.branch}/{seq} was recorded as {recorded.type} {recorded.digest}, "
                f"and is now {event} {request_digest}"
            )
        self.replayed += 1
        return _answer(recorded.type, recorded.data)

    async def _step_live(self, session: str, action: str, number: int) -> Timed:
        """Take a step; a session that is lost before or during it is rebuilt first."""
        known = self._sessions[session]
        lost = False
        while True:
            try:
                if lost:
                    await self._rebuild(session)
                    lost = False
                return await self._ground.environment.step(
                    known.id, action, f"{self.branch}/{number}", self._epoch
                )
            except SessionLostError:
                if known.rebuilt >= REBUILDS:
                    raise DivergedError(f"session lost after {REBUILDS} rebuilds") from None
                known.rebuilt += 1
                lost = True

    async def _rebuild(self, session: str) -> None:
        """Open a session anew and replay its recorded actions, comparing observations."""
        known = self._sessions[session]
        environment = self._ground.environment
        key = f"{self._ground.episode}/{self.branch}/{session}/{self._epoch}.{known.rebuilt}"
        state = (await environment.open(self._ground.request, key, self._epoch)).state
        known.id = state.session_id
        known.first.check(state, "the first observation")
        for number, (action, before) in enumerate(known.turns, start=1):
            step_key = f"{self.branch}/{number}"
            state = (await environment.step(known.id, action, step_key, self._epoch)).state
            before.check(state, f"step {number} ({action})")

    def _success(self, done: bool) -> bool | None:
        if self._ground.request.feedback is Feedback.JUDGE or not self._ground.done_means_success:
            return None
        return done


def _answer(kind: EventType, data: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case EventType.BUDGET_EXHAUSTED:
            raise BudgetExhaustedError(data["limit"])
        case EventType.CALL_FAILED | EventType.PATH_DIVERGED:
            raise InfrastructureError(data["reason"], data["detail"])
        case _:
            return data


def _recorded(timed: Timed) -> dict[str, Any]:
    state: SessionState = timed.state
    return {
        "session_id": state.session_id,
        "observation": state.observation,
        "essence": state.essence,
        "done": state.done,
        "valid": state.valid,
        "score": state.reward,
        "seconds": timed.seconds,
    }


def _shown(data: dict[str, Any]) -> _Shown:
    return _Shown(data["observation"], data.get("essence", ""))
