"""Ended paths: the paths of one episode, weighed by the judge, and which of them is committed."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from services.contracts.context import Context
from services.contracts.episode import Feedback
from services.contracts.event import EventType
from services.contracts.verdict import PathQuestion
from services.orchestrator.ports import (
    JUDGE_PATH,
    BranchOutcome,
    BudgetExhaustedError,
    Committed,
    InfrastructureError,
    Spec,
    World,
)
from services.orchestrator.search.path import Ended, PathResult


async def weigh_context(world: World, spec: Spec, context: Context) -> float | None:
    """Return the judge's P(good enough) of an end; None where there is no judge.

    Raises:
        BudgetExhaustedError: There is no budget for it.
    """
    question = PathQuestion(paths=[context], adapter=spec.request.adapter, seed=spec.request.seed)
    try:
        return (await world.query(JUDGE_PATH, question)).scores[0]
    except InfrastructureError:
        return None  # it has ended: a judge that is away leaves it unrated and does not undo it


async def find_best(world: World, spec: Spec, paths: Sequence[PathResult]) -> int | None:
    """Return the index of the judge's best of several paths; None where there is no budget or no judge."""
    request = spec.request
    question = PathQuestion(
        paths=[path.context for path in paths], adapter=request.adapter, seed=request.seed
    )
    try:
        verdict = await world.query(JUDGE_PATH, question)
    except (BudgetExhaustedError, InfrastructureError):
        return None
    return min(verdict.best, len(paths) - 1)


async def weigh_end(world: World, spec: Spec, path: PathResult) -> PathResult:
    """Return a path with the judge's P(good enough); without it where there is no budget or no judge."""
    if path.ended is Ended.BUDGET:
        return path
    try:
        weighed = await weigh_context(world, spec, path.context)
    except BudgetExhaustedError:
        return path.model_copy(update={"ended": Ended.BUDGET})
    return path if weighed is None else path.model_copy(update={"p_good_enough": weighed})


def is_good_enough(spec: Spec, success: bool | None, p_good_enough: float | None) -> bool:
    """Return whether an end is good enough: by its success where that may be seen, else by the judge."""
    request = spec.request
    if success is not None and request.feedback is not Feedback.JUDGE:
        return success
    return p_good_enough is not None and p_good_enough >= request.path_threshold


class EndedPaths:
    """The paths of one episode that ended, each in a branch of its own, in order.

    Args:
        world: The root's ports.
        spec: What the method is given of its episode.
    """

    def __init__(self, world: World, spec: Spec) -> None:
        self.world = world
        self.spec = spec
        self.paths: list[tuple[str, PathResult]] = []
        self.failures: list[BranchOutcome] = []
        self.reopened = False
        """Whether a path that diverged was opened again: once is free."""

    async def finish(self, branch: str, reopen: Callable[[], Awaitable[str]]) -> PathResult | None:
        """Wait for a path and return how it ended; None where infrastructure broke it.

        Args:
            branch: The path's branch.
            reopen: Opens the path again, where it has diverged.
        """
        [outcome] = await self.world.gather([branch])
        if outcome.failure == "diverged" and not self.reopened:
            self.reopened = True
            with suppress(BudgetExhaustedError):  # others hold what is left: then this path is lost
                [outcome] = await self.world.gather([await reopen()])
        if outcome.result is None:
            self.failures.append(outcome)
            return None
        path = PathResult.model_validate(outcome.result)
        self.paths.append((outcome.branch, path))
        return path

    def good_enough(self, path: PathResult) -> bool:
        """Return whether a path is good enough."""
        return is_good_enough(self.spec, path.success, path.p_good_enough)

    async def commit_best(self) -> Committed:
        """Commit the best of the paths.

        Raises:
            InfrastructureError: Infrastructure broke every path.
        """
        if not self.paths:
            raise InfrastructureError(self.failures[-1].failure, self.failures[-1].detail)
        branch, path = await self._find_best()
        return await self.commit(branch, path, good_enough=False)

    async def commit(self, branch: str, path: PathResult, *, good_enough: bool) -> Committed:
        """Commit a path."""
        await self.world.note(EventType.PATH_COMMITTED, branch=branch, good_enough=good_enough)
        return Committed(branch=branch, good_enough=good_enough, ended=path.ended, steps=path.steps)

    async def _find_best(self) -> tuple[str, PathResult]:
        """Return the judge's best of the paths; without a judge, the one that it rated highest before."""
        if len(self.paths) == 1:
            return self.paths[0]
        best = await find_best(self.world, self.spec, [path for _, path in self.paths])
        if best is None:
            return max(self.paths, key=lambda item: item[1].p_good_enough or 0.0)
        return self.paths[best]
