"""Runs one job: a branch and its local branches, from its first event or from where it stood."""

import contextlib
import time
from collections.abc import Iterable
from typing import Any

import structlog
from pydantic import BaseModel

from services.contracts.episode import Failure, Figures, Result
from services.contracts.event import BranchClosed, BranchOpened, Event, EventType
from services.contracts.event_data import Closing, Opening, Share
from services.kit.tracing import OFF, span
from services.orchestrator.durable.budget import Ledger
from services.orchestrator.durable.errors import LaidAside, NondeterministicError, Parked
from services.orchestrator.durable.ground import Ground
from services.orchestrator.durable.scheduler import Scheduler, fold_spent
from services.orchestrator.durable.slots import Slots
from services.orchestrator.durable.world import RecordedWorld
from services.orchestrator.durable.writer import LogWriter
from services.orchestrator.environments import EnvironmentPort
from services.orchestrator.failures import Fate, classify
from services.orchestrator.ports import BudgetExhaustedError, Committed, InfrastructureError
from services.orchestrator.roles import Roles
from services.orchestrator.search import Method
from services.orchestrator.settings import Branches
from services.orchestrator.store.base import ROOT
from services.orchestrator.store.episodes import Record
from services.orchestrator.store.errors import LimitError, UnreadableError
from services.orchestrator.store.fold import Fold
from services.orchestrator.store.jobs import Job, JobStore, Line
from services.orchestrator.store.log import pack

RUN = "run branch"
"""The name of the span of a branch's run."""
FULL_REWARD = 1.0 - 1e-9
FULL = Failure(reason="limit", detail="The log is full (ESPALIER_MAX_EVENTS, ESPALIER_MAX_BYTES).")


class Answers:
    """The recorded answers of a log, by branch and number of the call.

    Raises:
        UnreadableError: The log lacks an answer between two others.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.calls: dict[str, dict[int, Event]] = {}
        self.closed: dict[str, Closing] = {}
        for event in events:
            if event.seq is not None:
                self.calls.setdefault(event.branch, {})[event.seq] = event
            elif isinstance(event, BranchClosed):
                self.closed[event.branch] = event.data
        for branch, answers in self.calls.items():
            if len(answers) != max(answers) + 1:
                raise UnreadableError(f"the log of branch {branch} has a gap")


class Branching:
    """Runs the branches of one job in this process."""

    def __init__(
        self, ground: Ground, method: Method, answers: Answers, slots: Slots, mode: Branches
    ) -> None:
        self.replayed = 0
        """Calls that were answered from the log."""
        self.last: dict[str, int] = {}
        """The number of the last recorded call of each branch that has stopped."""
        self._ground = ground
        self._method = method
        self._answers = answers
        self._spec = method.adapt(ground.record.spec, ground.record.version)
        self.scheduler = Scheduler(ground, answers.closed, self._run_local, slots, mode)
        seconds = ground.record.request.budget.seconds
        self._deadline = None if seconds is None else ground.job.started + seconds

    async def run_root(self) -> Committed:
        """Run the method's root branch."""
        budget = self._ground.record.request.budget
        share = Share(calls=budget.model_calls, tokens=budget.tokens)
        with self._world(ROOT, Ledger(share, self._deadline)) as world:
            return await self._method.run(world, self._spec)

    async def run_branch(self, branch: str, opening: Opening) -> Closing:
        """Run a branch that another one opened and write its end."""
        ledger = Ledger(opening.share, self._deadline)
        with self._world(branch, ledger, opening) as world:
            try:
                body = self._method.bodies[opening.body]
                result = await body(world, self._spec, opening.arguments)
                closing = Closing(result=result.model_dump(mode="json", exclude_defaults=True))
            except InfrastructureError as error:
                closing = Closing(failure=error.reason, detail=error.detail)
            except BudgetExhaustedError as error:
                closing = Closing(failure="budget", detail=f"spent: {error}")
            except Exception as error:
                if self._ground.live and is_bug(error):
                    detail = f"{type(error).__name__}: {error}"
                    self._close(branch, Closing(failure="error", detail=detail), world.last)
                raise
        await self.scheduler.stop(branch)
        spent = ledger.spent()
        if ledger.lent and self._ground.live:  # branches that it waited for no more
            spent = fold_spent(await self._ground.history(), [branch])[branch]
        closing = closing.model_copy(update=spent.model_dump())
        self._close(branch, closing, world.last)
        return closing

    async def _run_local(self, branch: str, opening: Opening, arguments: BaseModel) -> Closing:
        """Run a branch of this process; its arguments are what the method gave, recorded or not."""
        given = arguments.model_dump(mode="json", exclude_defaults=True)
        traced = span(RUN, attributes={"espalier.branch": branch}) if self._ground.live else OFF
        with traced, structlog.contextvars.bound_contextvars(branch=branch):
            return await self.run_branch(branch, opening.model_copy(update={"arguments": given}))

    def _close(self, branch: str, closing: Closing, last: int) -> None:
        data = closing.model_dump(mode="json", exclude_defaults=True)
        self._ground.writer.close(data, branch=branch, last=last)

    @contextlib.contextmanager
    def _world(self, branch: str, ledger: Ledger, opening: Opening | None = None) -> Any:
        answers = self._answers.calls.get(branch, {})
        world = RecordedWorld(self._ground, branch, answers, ledger, self.scheduler, opening)
        try:
            yield world
        finally:
            self.replayed += world.replayed
            self.last[branch] = world.last


class JobRun:
    """One job on one worker.

    Args:
        store: Where it lives.
        roles: Planner, judge and actor.
        environment: The episode's environment.
        method: The method that the episode names, of the version that it names.
        slots: The worker's slots.
    """

    def __init__(
        self, store: JobStore, roles: Roles, environment: EnvironmentPort, method: Method, slots: Slots
    ) -> None:
        self._store = store
        self._roles = roles
        self._environment = environment
        self._method = method
        self._slots = slots
        self.fold: Fold | None = None
        """What the log amounts to, where the run has ended the episode with a result."""

    async def run(self, job: Job, record: Record, stopped: dict[str, float]) -> bool:
        """Run a job to its end or until it waits for others, and return whether the episode is over.

        Args:
            job: The job.
            record: Its episode's.
            stopped: Gets the branches that an outage stopped, each with when it began, Unix seconds.

        Raises:
            FencedError: Another worker has it.
            OverError: The episode has ended meanwhile.
            OutageError: A part is away, not yet for too long; try again later.
            BusyError: A part is at its limit; try again later.
        """
        events = await self._store.events(job.episode, below=job.branch) if job.resumed else []
        outages = await self._store.outages(job.episode) if job.resumed else {}
        ground = Ground(
            job=job,
            record=record,
            roles=self._roles,
            environment=self._environment,
            store=self._store,
            writer=LogWriter(lambda lines: self._store.append(job, lines), _describe_taking(job)),
            outages=outages,
            stopped=stopped,
        )
        mode = self._store.settings.branches
        branches = Branching(ground, self._method, Answers(events), self._slots, mode)
        try:
            try:
                outcome = await self._run(ground, branches)
                await branches.scheduler.stop()
            except (Parked, LaidAside) as interruption:
                outcome = interruption
            finally:
                await branches.scheduler.halt()
            await ground.writer.flush()  # a run that goes on later goes on from here, not from before
        except LimitError:
            outcome = FULL
        except BaseException:
            with contextlib.suppress(Exception):
                await ground.writer.flush()
            raise
        if isinstance(outcome, Parked):
            await self._store.park(job, outcome.waits, branches.last[job.branch])
            return False
        if isinstance(outcome, LaidAside):
            raise outcome.error
        return await self._end(ground, outcome, branches.last.get(job.branch, -1))

    async def _run(self, ground: Ground, branches: Branching) -> Committed | Failure | None:
        try:
            if ground.job.root:
                return await branches.run_root()
            opening = ground.job.opening
            assert isinstance(opening, BranchOpened)
            await branches.run_branch(ground.job.branch, opening.data)
            return None
        except InfrastructureError as error:
            return Failure(reason=error.reason, detail=error.detail)
        except BudgetExhaustedError as error:
            return Failure(reason="budget", detail=f"spent before a path began: {error}")
        except NondeterministicError as error:
            return Failure(reason="nondeterministic", detail=str(error))

    async def _end(self, ground: Ground, outcome: Committed | Failure | None, last: int) -> bool:
        match outcome:
            case None:
                return False
            case Failure():
                with contextlib.suppress(LimitError):
                    await ground.writer.flush()
                await fail(self._store, ground.job, outcome)
            case Committed():
                await self._complete(ground.job, outcome, last)
        return True

    async def _complete(self, job: Job, committed: Committed, last: int) -> None:
        fold = self.fold = Fold(await self._store.events(job.episode))
        score = fold.score(committed.branch)
        result = Result(
            branch=committed.branch,
            score=score,
            success=score >= FULL_REWARD,
            good_enough=committed.good_enough,
            ended=committed.ended,
            steps=committed.steps,
        )
        await self._store.complete(job, result, fold.figures(time.time()), last)


def _describe_taking(job: Job) -> Line | None:
    """Return the event of a worker that begins a branch; None where it had the branch before."""
    if not job.worker:
        return None
    data = {"worker": job.worker, "epoch": job.epoch}
    event = pack(EventType.BRANCH_TAKEN, time.time(), branch=job.branch, data=data)
    return Line("take", job.branch, None, event, job.worker)


async def fail(store: JobStore, job: Job, failure: Failure) -> None:
    """End an episode that broke. Raises as `JobRun.run` does."""
    try:
        figures = Fold(await store.events(job.episode)).figures(time.time())
    except UnreadableError:
        figures = Figures()
    await store.fail(job, failure, figures)


def is_bug(error: Exception) -> bool:
    """Return whether an error is a fault of a method's or of ours."""
    return classify(error) is Fate.BUG and not isinstance(
        error, NondeterministicError | LimitError | UnreadableError
    )
