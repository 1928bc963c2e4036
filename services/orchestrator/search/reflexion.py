"""reflexion: paths one after another, each with lessons from those before it.

After Shinn et al., 2023, arXiv 2303.11366. Each path is a branch and is walked greedily from the task's
start. The judge weighs its end. If it is not good enough, the judge's model reflects on it: the next path
begins with the list of what was tried and the lessons in words, up to `num_path` paths. The first path that
is good enough is committed, else the judge's best.

Differences from the paper: besides the lessons, the actor gets the actions of all paths that were tried; the
evaluator is the judge's P(good enough), or what `feedback` lets the search know, and no rule for each
environment; where none is good enough, the best is committed and not the last.
"""

from functools import partial
from typing import Any

from pydantic import Field

from services.contracts.action import Form
from services.contracts.base import Float, Int
from services.contracts.context import TriedPath
from services.contracts.episode import Feedback
from services.contracts.event import EventType
from services.orchestrator.ports import BudgetExhaustedError, Committed, Spec, World
from services.orchestrator.search.ended_paths import EndedPaths, weigh_end
from services.orchestrator.search.lessons import keep_lessons, reflect
from services.orchestrator.search.method import Method
from services.orchestrator.search.path import Ended, PathArguments, PathParams, PathResult, Policy, walk

PATH = "path"


class ReflexionParams(PathParams):
    """Parameters of reflexion."""

    form: Form = Form.REACT
    memory: Int = Field(default=3, ge=1, le=8)
    """How many lessons a path begins with, the newest ones."""
    temperature: Float | None = Field(default=None, ge=0, le=2)
    """Of the actor, on the paths after the first; None or 0: greedy."""


async def run(world: World, spec: Spec) -> Committed:
    """Walk paths until one is good enough, and commit it, or the judge's best."""
    ended = EndedPaths(world, spec)
    try:
        committed = await _try_all(ended)
    except BudgetExhaustedError:
        if not ended.paths:
            raise
        committed = None
    return committed or await ended.commit_best()


async def _try_all(ended: EndedPaths) -> Committed | None:
    """Walk one path after the other; None where none is good enough."""
    world, request = ended.world, ended.spec.request
    params = ReflexionParams.model_validate(request.params)
    tried: list[TriedPath] = []
    for attempt in range(request.num_path):
        arguments = PathArguments(tried=keep_lessons(tried, params.memory), variant=attempt)
        reopen = partial(world.spawn, PATH, arguments)
        path = await ended.finish(await reopen(), reopen)
        if path is None:
            continue
        branch = ended.paths[-1][0]
        if ended.good_enough(path):
            return await ended.commit(branch, path, good_enough=True)
        if path.ended is Ended.BUDGET:
            return None
        if attempt + 1 < request.num_path:
            tried.append(await reflect(world, ended.spec, path.context))
            await world.note(EventType.BACKTRACKED, path=attempt + 1, from_branch=branch)
    return None


async def path_body(world: World, spec: Spec, arguments: dict[str, Any]) -> PathResult:
    """Walk one path and have the judge weigh its end."""
    params = ReflexionParams.model_validate(spec.request.params)
    given = PathArguments.model_validate(arguments)
    policy = Policy(
        form=params.form,
        grammar=params.grammar,
        repeats=params.repeats,
        temperature=params.temperature or None if given.variant else None,
    )
    return await weigh_end(world, spec, await walk(world, spec, policy, given))


REFLEXION = Method(
    name="reflexion",
    version="1",
    run=run,
    params=ReflexionParams,
    bodies={PATH: path_body},
    feedback=frozenset({Feedback.JUDGE, Feedback.DONE}),
    uses=frozenset({"num_path", "path_threshold"}),
)
