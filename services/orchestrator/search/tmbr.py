"""tmbr: task decomposition, branches, a judge, and backtracking (paper, section 3.3).

Each path is a branch: planned, then walked with `num_branch` candidates a step, of which the judge
picks one, until the judge says that the last subtask is done or the path ends otherwise. With
`num_subtasks` 0 there is no plan, and the judge is not asked about subtasks. The judge
weighs the end; if it is not good enough, the next path starts from the beginning and is told what
was tried, up to `num_path`.
"""

from typing import Any

from services.contracts.action import Form
from services.contracts.context import TriedPath
from services.contracts.episode import Feedback
from services.contracts.event import EventType
from services.contracts.verdict import PathQuestion
from services.orchestrator.ports import (
    BranchOutcome,
    BudgetExhaustedError,
    Committed,
    InfrastructureError,
    Spec,
    World,
)
from services.orchestrator.search.method import Method, Params
from services.orchestrator.search.path import Ended, Grammar, PathArguments, PathResult, Policy, walk

PATH = "path"


class TmbrParams(Params):
    """Parameters of tmbr."""

    form: Form = Form.REACT
    grammar: Grammar = Grammar.RETRY


async def run(world: World, spec: Spec) -> Committed:
    """The root branch: opens paths, one after the other, until one is good enough."""
    request = spec.request
    arguments = PathArguments()
    paths: list[tuple[str, PathResult]] = []
    failures: list[BranchOutcome] = []
    diverged_before = False
    attempts = 0
    while attempts < request.num_path:
        [outcome] = await world.gather([await world.spawn(PATH, arguments)])
        if outcome.failure == "diverged" and not diverged_before:
            diverged_before = True
            continue
        attempts += 1
        if outcome.result is None:
            failures.append(outcome)
            continue
        path = PathResult.model_validate(outcome.result)
        paths.append((outcome.branch, path))
        if _good_enough(path, spec):
            return await _commit(world, outcome.branch, path, good_enough=True)
        if path.ended is Ended.BUDGET:
            break
        if attempts < request.num_path:
            await world.note(EventType.BACKTRACKED, path=attempts, from_branch=outcome.branch)
            arguments = PathArguments(
                tried=[*arguments.tried, TriedPath(actions=path.actions)], plan=path.context.plan
            )
    if not paths:
        raise InfrastructureError(failures[-1].failure, failures[-1].detail)
    branch, path = await _best(world, spec, paths)
    return await _commit(world, branch, path, good_enough=False)


async def path_body(world: World, spec: Spec, arguments: dict[str, Any]) -> PathResult:
    """One path, and the judge's word on its end."""
    params = TmbrParams.model_validate(spec.request.params)
    request = spec.request
    policy = Policy(
        form=params.form,
        num_branch=request.num_branch,
        plans=request.num_subtasks > 0,
        grammar=params.grammar,
    )
    path = await walk(world, spec, policy, PathArguments.model_validate(arguments))
    if path.ended is Ended.BUDGET:
        return path
    try:
        verdict = await world.judge_path(
            PathQuestion(paths=[path.context], adapter=request.adapter, seed=request.seed)
        )
    except BudgetExhaustedError:
        return path.model_copy(update={"ended": Ended.BUDGET})
    return path.model_copy(update={"p_good_enough": verdict.scores[0]})


def _good_enough(path: PathResult, spec: Spec) -> bool:
    if path.success is not None and spec.request.feedback is not Feedback.JUDGE:
        return path.success
    return path.p_good_enough is not None and path.p_good_enough >= spec.request.path_threshold


async def _best(world: World, spec: Spec, paths: list[tuple[str, PathResult]]) -> tuple[str, PathResult]:
    """The judge's best of the paths; its single verdicts decide where the budget is spent."""
    if len(paths) == 1:
        return paths[0]
    contexts = [path.context for _, path in paths]
    request = spec.request
    try:
        verdict = await world.judge_path(
            PathQuestion(paths=contexts, adapter=request.adapter, seed=request.seed)
        )
    except BudgetExhaustedError:
        return max(paths, key=lambda item: item[1].p_good_enough or 0.0)
    return paths[min(verdict.best, len(paths) - 1)]


async def _commit(world: World, branch: str, path: PathResult, *, good_enough: bool) -> Committed:
    await world.note(EventType.PATH_COMMITTED, branch=branch, good_enough=good_enough)
    return Committed(branch=branch, good_enough=good_enough, ended=path.ended, steps=path.steps)


TMBR = Method(
    name="tmbr",
    version="1",
    run=run,
    params=TmbrParams,
    bodies={PATH: path_body},
    feedback=frozenset({Feedback.JUDGE, Feedback.DONE}),
    uses=frozenset({"num_branch", "num_path", "num_subtasks", "subtask_threshold", "path_threshold"}),
)
