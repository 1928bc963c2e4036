"""tmbr: task decomposition, branches, a judge, and backtracking (paper, section 3.3).

Each path is a branch: planned, then walked with `num_branch` candidates a step, of which the judge
picks one, until the judge finds the last subtask done or the path ends otherwise. With
`num_subtasks` 0 there is no plan, and the judge gets no question about subtasks. The judge
weighs the end. If it is not good enough, the next path starts from the beginning with a list of what
was tried, up to `num_path`. With `parallel` all paths begin together, each with another first candidate.
"""

from contextlib import suppress
from typing import Any

from services.contracts.action import Form
from services.contracts.base import Bool
from services.contracts.context import TriedPath
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
from services.orchestrator.search.method import Method
from services.orchestrator.search.path import (
    EARLIER,
    Ended,
    PathArguments,
    PathParams,
    PathResult,
    Policy,
    walk,
)

PATH = "path"


class TmbrParams(PathParams):
    """Parameters of tmbr."""

    form: Form = Form.REACT
    parallel: Bool = False
    """Begin all `num_path` paths at once: the answer comes sooner, and no path learns from another."""


async def run(world: World, spec: Spec) -> Committed:
    """Open paths until one is good enough, and commit it, or the judge's best."""
    search = _Search(world, spec)
    parallel = TmbrParams.model_validate(spec.request.params).parallel
    try:
        committed = await (search.weigh_together() if parallel else search.backtrack())
    except BudgetExhaustedError:
        if not search.paths:
            raise
        committed = None
    return committed or await search.commit_best()


class _Search:
    """The paths of one episode."""

    def __init__(self, world: World, spec: Spec) -> None:
        self.world = world
        self.spec = spec
        self.paths: list[tuple[str, PathResult]] = []
        self.failures: list[BranchOutcome] = []
        self.reopened = False
        """Whether a path that diverged was opened again: once is free."""

    async def backtrack(self) -> Committed | None:
        """Try one path after the other; None where none is good enough."""
        arguments = PathArguments()
        for attempt in range(1, self.spec.request.num_path + 1):
            path = await self._finish(await self.world.spawn(PATH, arguments), arguments)
            if path is None:
                continue
            branch = self.paths[-1][0]
            if self._good_enough(path):
                return await self._commit(branch, path, good_enough=True)
            if path.ended is Ended.BUDGET:
                return None
            if attempt < self.spec.request.num_path:
                await self.world.note(EventType.BACKTRACKED, path=attempt, from_branch=branch)
                arguments = PathArguments(
                    tried=[*arguments.tried, TriedPath(actions=path.actions)], plan=path.context.plan
                )
        return None

    async def weigh_together(self) -> Committed | None:
        """Begin all paths, weigh them in order, and end the others as soon as one is good enough.

        The order is the paths' own and not that of their ends, so that the same seed commits the same path.
        """
        opened: list[tuple[str, PathArguments]] = []
        total = self.spec.request.num_path
        for variant in range(total):
            arguments = PathArguments(variant=variant)
            try:
                opened.append((await self.world.spawn(PATH, arguments, parts=total - variant), arguments))
            except BudgetExhaustedError:
                if not opened:
                    raise
                break
        while opened:
            path = await self._finish(*opened.pop(0))
            if path is not None and self._good_enough(path):
                if opened:
                    await self.world.cancel([branch for branch, _ in opened])
                return await self._commit(self.paths[-1][0], path, good_enough=True)
        return None

    async def commit_best(self) -> Committed:
        """Commit the best of the paths that ended.

        Raises:
            InfrastructureError: Infrastructure broke every path.
        """
        if not self.paths:
            raise InfrastructureError(self.failures[-1].failure, self.failures[-1].detail)
        branch, path = await self._best()
        return await self._commit(branch, path, good_enough=False)

    async def _finish(self, branch: str, arguments: PathArguments) -> PathResult | None:
        """Return how a path ended; None where infrastructure broke it."""
        [outcome] = await self.world.gather([branch])
        if outcome.failure == "diverged" and not self.reopened:
            self.reopened = True
            with suppress(BudgetExhaustedError):  # others hold what is left: then this path is lost
                [outcome] = await self.world.gather([await self.world.spawn(PATH, arguments)])
        if outcome.result is None:
            self.failures.append(outcome)
            return None
        path = PathResult.model_validate(outcome.result)
        self.paths.append((outcome.branch, path))
        return path

    def _good_enough(self, path: PathResult) -> bool:
        request = self.spec.request
        if path.success is not None and request.feedback is not Feedback.JUDGE:
            return path.success
        return path.p_good_enough is not None and path.p_good_enough >= request.path_threshold

    async def _best(self) -> tuple[str, PathResult]:
        """Return the judge's best of the paths; without a judge, the one that it rated highest before."""
        if len(self.paths) == 1:
            return self.paths[0]
        request = self.spec.request
        question = PathQuestion(
            paths=[path.context for _, path in self.paths], adapter=request.adapter, seed=request.seed
        )
        try:
            verdict = await self.world.query(JUDGE_PATH, question)
        except (BudgetExhaustedError, InfrastructureError):
            return max(self.paths, key=lambda item: item[1].p_good_enough or 0.0)
        return self.paths[min(verdict.best, len(self.paths) - 1)]

    async def _commit(self, branch: str, path: PathResult, *, good_enough: bool) -> Committed:
        await self.world.note(EventType.PATH_COMMITTED, branch=branch, good_enough=good_enough)
        return Committed(branch=branch, good_enough=good_enough, ended=path.ended, steps=path.steps)


async def path_body(world: World, spec: Spec, arguments: dict[str, Any]) -> PathResult:
    """Walk one path and have the judge weigh its end."""
    params = TmbrParams.model_validate(spec.request.params)
    request = spec.request
    policy = Policy(
        form=params.form,
        num_branch=request.num_branch,
        plans=request.num_subtasks > 0,
        grammar=params.grammar,
        repeats=params.repeats,
    )
    path = await walk(world, spec, policy, PathArguments.model_validate(arguments))
    if path.ended is Ended.BUDGET:
        return path
    try:
        verdict = await world.query(
            JUDGE_PATH, PathQuestion(paths=[path.context], adapter=request.adapter, seed=request.seed)
        )
    except BudgetExhaustedError:
        return path.model_copy(update={"ended": Ended.BUDGET})
    except InfrastructureError:
        return path  # it has ended: a judge that is away leaves it unrated and does not undo it
    return path.model_copy(update={"p_good_enough": verdict.scores[0]})


TMBR = Method(
    name="tmbr",
    version="2",
    run=run,
    params=TmbrParams,
    bodies={PATH: path_body},
    feedback=frozenset({Feedback.JUDGE, Feedback.DONE}),
    uses=frozenset({"num_branch", "num_path", "num_subtasks", "subtask_threshold", "path_threshold"}),
    earlier=EARLIER,
)
