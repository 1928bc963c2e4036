"""Runs one episode: the method over recorded worlds, from its first event or from where it stood."""

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from services.contracts.episode import Failure, Figures, Result
from services.contracts.event import EventType
from services.kit.failures import BusyError, OutageError
from services.orchestrator.environments import Environment
from services.orchestrator.ports import BranchOutcome, BudgetExhaustedError, Committed, InfrastructureError
from services.orchestrator.roles import Roles
from services.orchestrator.search import Method
from services.orchestrator.store.episodes import ROOT, EpisodeStore, NewEpisode
from services.orchestrator.store.errors import LimitError, UnreadableError
from services.orchestrator.store.fold import Answers, fold_figures, fold_score
from services.orchestrator.world import Ground, Ledger, NondeterministicError, RecordedWorld
from services.orchestrator.writer import LogWriter

Take = Callable[[str], Awaitable[int]]
"""Takes a branch: its new epoch."""
FULL_REWARD = 1.0 - 1e-9


class EpisodeRunner:
    """One episode on one worker.

    Args:
        store: Where it lives.
        roles: Planner, judge and actor.
        environment: The episode's environment.
        method: The method that the episode names, of the version that it names.
    """

    def __init__(self, store: EpisodeStore, roles: Roles, environment: Environment, method: Method) -> None:
        self._store = store
        self._roles = roles
        self._environment = environment
        self._method = method
        self._outage_deadline: float | None = None
        self._episode = ""
        self.epoch = 0
        """The root branch's epoch in this run: above 1, the episode was begun before. 0: not taken yet."""

    async def run(self, episode: str, record: NewEpisode, outage_deadline: float | None) -> Result | Failure:
        """Run the episode to its end and write the end.

        Raises:
            FencedError: Another worker has it.
            OverError: It has ended meanwhile.
            OutageError: A part is away, not yet for too long; try again later.
            BusyError: A part is at its limit; try again later.
        """
        self._episode, self._outage_deadline = episode, outage_deadline
        epoch = self.epoch = await self._store.take(episode, ROOT)
        answers = Answers(await self._store.events(episode))
        writer = LogWriter(lambda batch: self._store.append(episode, batch))
        branches = BranchRunner(
            self._ground(episode, record, writer),
            self._method,
            record,
            answers,
            take=lambda branch: self._store.take(episode, branch),
        )
        try:
            committed = await branches.root(epoch)
            await writer.flush()
        except (OutageError, BusyError):
            await writer.flush()  # the next run goes on from here, not from before
            raise
        except InfrastructureError as error:
            failure = Failure(reason=error.reason, detail=error.detail)
        except BudgetExhaustedError as error:
            failure = Failure(reason="budget", detail=f"spent before a path began: {error}")
        except NondeterministicError as error:
            failure = Failure(reason="nondeterministic", detail=str(error))
        except LimitError:
            failure = Failure(
                reason="limit", detail="The log is full (ESPALIER_MAX_EVENTS, ESPALIER_MAX_BYTES)."
            )
        else:
            return await self._complete(episode, epoch, committed)
        with contextlib.suppress(LimitError):
            await writer.flush()
        return await self._fail(episode, epoch, failure)

    async def _fail(self, episode: str, epoch: int, failure: Failure) -> Failure:
        return await _fail(self._store, episode, epoch, failure)

    async def _complete(self, episode: str, epoch: int, committed: Committed) -> Result:
        events = await self._store.events(episode)
        score = fold_score(events, committed.branch)
        result = Result(
            branch=committed.branch,
            score=score,
            success=score >= FULL_REWARD,
            good_enough=committed.good_enough,
            ended=committed.ended,
            steps=committed.steps,
        )
        await self._store.complete(episode, epoch, result, fold_figures(events, time.time()))
        return result

    def _ground(self, episode: str, record: NewEpisode, writer: LogWriter) -> Ground:
        return Ground(
            episode=episode,
            request=record.request,
            roles=self._roles,
            environment=self._environment,
            writer=writer,
            outage_deadline=lambda: self._outage_deadline,
            on_answer=self._on_answer,
            done_means_success=record.done_means_success,
        )

    async def _on_answer(self) -> None:
        """The next live answer ends an outage."""
        if self._outage_deadline is not None:
            self._outage_deadline = None
            await self._store.outage_over(self._episode)


async def give_up(store: EpisodeStore, episode: str, detail: str) -> Failure:
    """End an episode that a bug broke. Raises as `EpisodeRunner.run` does."""
    epoch = await store.take(episode, ROOT)
    return await _fail(store, episode, epoch, Failure(reason="error", detail=detail))


async def _fail(store: EpisodeStore, episode: str, epoch: int, failure: Failure) -> Failure:
    try:
        figures = fold_figures(await store.events(episode), time.time())
    except UnreadableError:
        figures = Figures()
    await store.fail(episode, epoch, failure, figures)
    return failure


class BranchRunner:
    """Runs the branches of one episode in this process."""

    def __init__(
        self, ground: Ground, method: Method, record: NewEpisode, answers: Answers, take: Take
    ) -> None:
        self._ground = ground
        self._method = method
        self._record = record
        self._spec = record.spec
        self._answers = answers
        self._take = take
        self._deadline = None
        self.replayed = 0
        if (seconds := record.request.budget.seconds) is not None:
            self._deadline = (answers.started_at or time.time()) + seconds

    async def root(self, epoch: int) -> Committed:
        """Run the method's root branch."""
        world = self._world(ROOT, epoch, Ledger(self._record.request.budget, self._deadline))
        try:
            return await self._method.run(world, self._spec)
        finally:
            self.replayed += world.replayed

    async def child(self, branch: str, body: str, arguments: dict[str, Any], ledger: Ledger) -> BranchOutcome:
        """Run a branch that another one opened; a branch that was closed is not run again."""
        closed = self._answers.closed.get(branch)
        if closed is not None:
            ledger.calls, ledger.tokens = closed["calls"], closed["tokens"]
            return BranchOutcome.model_validate(closed["outcome"])
        epoch = await self._take(branch)
        world = self._world(branch, epoch, ledger)
        try:
            result = await self._method.bodies[body](world, self._spec, arguments)
            outcome = BranchOutcome(branch=branch, result=result.model_dump(mode="json"))
        except InfrastructureError as error:
            outcome = BranchOutcome(branch=branch, failure=error.reason, detail=error.detail)
        except BudgetExhaustedError as error:
            outcome = BranchOutcome(branch=branch, failure="budget", detail=f"spent: {error}")
        finally:
            self.replayed += world.replayed
        data = {
            "outcome": outcome.model_dump(mode="json"),
            "failure": outcome.failure,
            "calls": ledger.calls,
            "tokens": ledger.tokens,
        }
        self._ground.writer.append(EventType.BRANCH_CLOSED, data, branch=branch, epoch=epoch)
        return outcome

    def _world(self, branch: str, epoch: int, ledger: Ledger) -> RecordedWorld:
        answers = self._answers.calls.get(branch, {})
        return RecordedWorld(self._ground, branch, epoch, answers, ledger, self.child)
