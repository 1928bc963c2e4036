"""The ports of one branch, recorded: what was answered before is answered from the log.

Every call has a number within its branch. On replay the recorded answer under that number is given,
if the request's digest is the same; past the last recorded answer the call goes out live and its
answer is appended. Failures and spent budgets are answers too.
"""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from services.contracts.action import ActionRequest
from services.contracts.base import Message
from services.contracts.episode import Feedback
from services.contracts.event import BudgetExhausted, CallFailed, Event, EventType
from services.contracts.event_data import (
    CallFailure,
    Cancelling,
    Draw,
    Exhausted,
    First,
    Leaving,
    Opening,
    Place,
    Showing,
)
from services.contracts.verdict import ValueQuestion
from services.kit.failures import BusyError, OutageError, RefusedError
from services.kit.tracing import OFF, current_traceparent, span
from services.orchestrator.durable.budget import Ledger
from services.orchestrator.durable.errors import LaidAside, NondeterministicError, ReplayEndError
from services.orchestrator.durable.ground import Ground
from services.orchestrator.durable.notes import NOTES
from services.orchestrator.durable.scheduler import Scheduler
from services.orchestrator.durable.sessions import Known, Sessions
from services.orchestrator.environments import DivergedError
from services.orchestrator.failures import choose_pause
from services.orchestrator.identity import digest, digest_whole
from services.orchestrator.ports import (
    AnswerT,
    BranchOutcome,
    BudgetExhaustedError,
    InfrastructureError,
    Opened,
    Question,
    RequestT,
    Seen,
)
from services.orchestrator.store.errors import BranchesError

DataT = TypeVar("DataT")


@dataclass(frozen=True)
class Call(Generic[DataT]):
    """One call of a port: recording, replay and budgets are the same for all."""

    event: EventType
    """The event that records the answer."""
    kind: str
    """With the request it is what the call's digest covers."""
    request: BaseModel | str
    live: Callable[[], Awaitable[DataT]]
    """Makes the call and returns the event's data."""
    costs: int = 0
    """The model calls that it spends; it is not made where the budget has not so many left."""
    remote: bool = False
    """Whether a part answers it, whose outage is over then."""
    opens: bool = False
    """Whether it opens a branch."""


class RecordedWorld:
    """The `World` of one branch."""

    def __init__(
        self,
        ground: Ground,
        branch: str,
        answers: dict[int, Event],
        ledger: Ledger,
        scheduler: Scheduler,
        opening: Opening | None = None,
    ) -> None:
        self.branch = branch
        self.ledger = ledger
        self.replayed = 0
        """Calls that were answered from the log."""
        self.last = -1
        """The number of the last call whose answer is recorded."""
        self.inherited: Opened | None = None
        self._ground = ground
        self._answers = answers
        self._scheduler = scheduler
        self._seq = 0
        self._calling = False
        self._children: list[str] = []
        self._sessions = Sessions(ground, branch)
        if opening is not None and opening.session is not None:
            self._sessions.inherit(opening.session)
            self.inherited = _opened(opening.session.session, self._sessions.get(opening.session.session))

    async def query(
        self, question: Question[RequestT, AnswerT], request: RequestT, session: str | None = None
    ) -> AnswerT:
        """Return a role's answer; a constrained one in the language of a session, which is not recorded."""

        async def live() -> AnswerT:
            whole = request
            if session is not None and isinstance(request, ActionRequest) and request.grammar:
                language = await self._sessions.read_language(session)
                whole = request.model_copy(update={"language": language})
            return await self._ground.roles.query(question, whole)

        costs = len(request.states) if isinstance(request, ValueQuestion) else 1
        answer = await self._call(
            Call(question.event, question.event.value, request, live, costs=costs, remote=True)
        )
        self.ledger.add(answer.usage)
        return answer

    async def open(self) -> Opened:
        """Open a session at the task's start."""
        handle = f"s{self._seq}"
        call = Call(
            EventType.SESSION_OPENED, "open", handle, lambda: self._sessions.open(handle), remote=True
        )
        return self._follow(handle, await self._call(call))

    async def fork(self, session: str, at_step: int | None = None) -> Opened:
        """Open a session in the state of another one."""
        handle = f"s{self._seq}"
        request = f"{session}\0{'' if at_step is None else at_step}"
        call = Call(
            EventType.SESSION_FORKED,
            "fork",
            request,
            lambda: self._sessions.fork(handle, session, at_step),
            remote=True,
        )
        return self._follow(handle, await self._call(call))

    async def step(self, session: str, action: str) -> Seen:
        """Take a step."""
        self._sessions.get(session)
        call = Call(
            EventType.STEP_TAKEN,
            "step",
            f"{session}\0{action}",
            lambda: self._sessions.step(session, action),
            remote=True,
        )
        data = await self._call(call)
        self._sessions.follow(session, data)
        known = self._ground.record
        blind = known.request.feedback is Feedback.JUDGE or not known.done_means_success
        return Seen(
            observation=data.observation,
            done=data.done,
            valid=data.valid,
            success=None if blind else data.done,
            outcome=data.outcome,
        )

    async def close(self, session: str) -> None:
        """Close a session; where the environment is away, it expires by itself."""
        self._sessions.get(session)

        async def live() -> Leaving:
            try:
                await self._sessions.close(session)
            except (OutageError, BusyError, RefusedError) as error:
                return Leaving(session=session, left=str(error))
            return Leaving(session=session)

        await self._call(Call(EventType.SESSION_CLOSED, "close", session, live))
        self._sessions.forget(session)

    async def spawn(self, body: str, arguments: BaseModel, session: str | None = None, parts: int = 1) -> str:
        """Open a branch and return its id; it begins at once."""
        child = f"{self.branch}.{len(self._children)}"
        self._children.append(child)
        share = self.ledger.divide(parts)

        async def live() -> Opening:
            place = self._scheduler.choose_place()
            return Opening(
                opened=child,
                body=body,
                arguments=arguments.model_dump(mode="json", exclude_defaults=True),
                session=None if session is None else self._sessions.hand_over(session),
                share=share,
                place=place,
                trace=current_traceparent() if place is Place.JOB else "",
            )

        opening = await self._call(Call(EventType.BRANCH_OPENED, "spawn", arguments, live, opens=True))
        self.ledger.lend(child, share)
        if session is not None:
            self._sessions.forget(session)
        self._scheduler.start(child, opening.model_copy(update={"body": body, "share": share}), arguments)
        return child

    async def gather(self, branches: list[str]) -> list[BranchOutcome]:
        """Wait for branches and return their outcomes in the order given.

        An outcome never changes, so that nothing is recorded.
        """
        self._check_own(branches)
        closings = await self._scheduler.gather(self.branch, branches)
        for branch, closing in zip(branches, closings, strict=True):
            self.ledger.settle(branch, closing)
        return [
            BranchOutcome(branch=branch, result=it.result, failure=it.failure, detail=it.detail)
            for branch, it in zip(branches, closings, strict=True)
        ]

    async def first(self, branches: list[str]) -> BranchOutcome:
        """Wait for the first of several branches to close and return its outcome."""
        self._check_own(branches)
        if not branches:
            raise ValueError(f"branch {self.branch} waits for the first of no branches")

        async def live() -> First:
            return First(first=await self._scheduler.first(self.branch, branches))

        chosen = await self._call(Call(EventType.BRANCH_FIRST, "first", "\0".join(branches), live))
        [outcome] = await self.gather([chosen.first])
        return outcome

    async def cancel(self, branches: list[str]) -> None:
        """End branches early. What is left of their budgets returns to this branch."""
        self._check_own(branches)

        async def live() -> Cancelling:
            spent = await self._scheduler.cancel(branches)
            return Cancelling(branches=branches, spent=spent)

        data = await self._call(Call(EventType.BRANCH_CANCELLED, "cancel", "\0".join(branches), live))
        for branch, spent in data.spent.items():
            self.ledger.settle(branch, spent)

    def _check_own(self, branches: list[str]) -> None:
        foreign = [branch for branch in branches if branch not in self._children]
        if foreign:
            raise ValueError(f"branch {self.branch} has not opened {', '.join(foreign)}")

    async def draw(self, n: int) -> list[float]:
        """Return random numbers in [0, 1), from the episode's seed and the number of the call."""
        source = random.Random(f"{self._ground.record.request.seed}/{self.branch}/{self._seq}")  # noqa: S311

        async def live() -> Draw:
            return Draw(numbers=[source.random() for _ in range(n)])

        return (await self._call(Call(EventType.NUMBERS_DRAWN, "draw", str(n), live))).numbers

    async def note(self, event: EventType, **data: Any) -> None:
        """Write something into the log that only people and folds read.

        Raises:
            KeyError, ValidationError: The event is no note, or its data are others.
        """
        note = NOTES[event].model_validate(data)

        async def live() -> Message:
            return note

        await self._call(Call(event, "note", event.value, live))

    async def _call(self, call: Call[DataT]) -> DataT:
        if self._calling:
            raise RuntimeError(f"branch {self.branch} makes two calls at a time; open branches for that")
        self._calling = True
        try:
            seq = self._seq
            self._seq += 1
            recorded = self._answers.get(seq)
            if recorded is not None:
                self.last = seq
                return self._replay(call, recorded, seq)
            if not self._ground.live:
                raise ReplayEndError(f"{self.branch}/{seq} ({call.event}) is not in the log")
            return await self._record(call, seq)
        finally:
            self._calling = False

    async def _record(self, call: Call[DataT], seq: int) -> DataT:
        """Make a call and record its answer, or why there is none."""
        limit = self._find_exhausted(call.costs) if call.costs or call.opens else ""
        if limit:
            self._append(EventType.BUDGET_EXHAUSTED, Exhausted(limit=limit), call, seq)
            raise BudgetExhaustedError(limit)
        where = {"espalier.branch": self.branch, "espalier.seq": seq}
        try:
            with span(call.event.value, attributes=where) if call.remote else OFF:
                data = await self._insist(call)
            if call.opens:
                await self._open(call, cast(Opening, data), seq)
                return data
        except OutageError as error:
            failure = CallFailure(reason=error.part, detail=error.reason)
        except BusyError:
            self._append(EventType.BUDGET_EXHAUSTED, Exhausted(limit="seconds"), call, seq)
            raise BudgetExhaustedError("seconds") from None
        except BranchesError:
            self._append(EventType.BUDGET_EXHAUSTED, Exhausted(limit="branches"), call, seq)
            raise BudgetExhaustedError("branches") from None
        except RefusedError as error:
            failure = CallFailure(reason=error.part, detail=error.problem.detail)
        except DivergedError as error:
            self._append(
                EventType.PATH_DIVERGED, CallFailure(reason="diverged", detail=str(error)), call, seq
            )
            raise InfrastructureError("diverged", str(error)) from error
        else:
            self._append(call.event, data, call, seq)
            return data
        self._append(EventType.CALL_FAILED, failure, call, seq)
        raise InfrastructureError(failure.reason, failure.detail)

    async def _insist(self, call: Call[DataT]) -> DataT:
        """Make a call; while other branches of the job run, wait here for a part that cannot answer now.

        Raises:
            OutageError: The outage has lasted too long.
            BusyError: The budget of time is spent.
            LaidAside: No other branch of the job runs: it is to be laid aside.
        """
        while True:
            try:
                data = await call.live()
            except RefusedError:
                await self._ground.answered(self.branch)
                raise
            except BusyError as error:
                if error.answered:
                    await self._ground.answered(self.branch)
                if self.ledger.late():
                    raise
                laid, pause = error, choose_pause(error)
            except OutageError as error:
                deadline = self._ground.outage_deadline(self.branch)
                if deadline is not None and time.time() >= deadline:
                    raise
                self._ground.begin_outage(self.branch)
                laid, pause = error, self._ground.store.settings.outage_pause
            else:
                if call.remote:
                    await self._ground.answered(self.branch)
                return data
            if not await self._scheduler.pause(self.branch, pause):
                if isinstance(laid, OutageError):
                    self._ground.stopped[self.branch] = self._ground.outages[self.branch]
                raise LaidAside(laid)

    def _append(self, event: EventType, data: Any, call: Call[Any], seq: int) -> None:
        self._ground.writer.append(
            event,
            data.model_dump(mode="json", exclude_defaults=True),
            branch=self.branch,
            seq=seq,
            digest=digest(call.kind, call.request),
            urgent=call.costs > 0 or event in (EventType.SESSION_OPENED, EventType.SESSION_FORKED),
        )
        self.last = seq

    async def _open(self, call: Call[Any], opening: Opening, seq: int) -> None:
        await self._ground.writer.open(
            opening.model_dump(mode="json", exclude_defaults=True),
            branch=self.branch,
            seq=seq,
            digest=digest(call.kind, call.request),
            opened=opening.opened,
            job=opening.place is Place.JOB,
        )
        self.last = seq

    def _find_exhausted(self, calls: int) -> str:
        return self.ledger.find_exhausted(max(1, calls)) or ("log" if self._ground.writer.full else "")

    def _replay(self, call: Call[DataT], recorded: Event, seq: int) -> DataT:
        now = digest(call.kind, call.request)
        if recorded.digest not in (now, digest_whole(call.kind, call.request)):
            raise NondeterministicError(
                f"call {self.branch}/{seq} was recorded as {recorded.type} {recorded.digest}, "
                f"and is now {call.event} {now}"
            )
        self.replayed += 1
        match recorded:
            case BudgetExhausted(data=data):
                raise BudgetExhaustedError(data.limit)
            case CallFailed(data=data):
                raise InfrastructureError(data.reason, data.detail)
            case _:
                return cast(DataT, recorded.data)

    def _follow(self, handle: str, shown: Showing) -> Opened:
        return _opened(handle, self._sessions.follow(handle, shown))


def _opened(handle: str, known: Known) -> Opened:
    return Opened(session=handle, observation=known.observation, done=known.done, steps=known.steps)
