"""self_consistency and best_of_n: several paths at once, one of which is committed.

Both walk `num_path` paths as branches, the first of them greedily (`params.greedy`), the others sampled.

- **self_consistency** commits an end that most paths have (Wang et al., 2022, arXiv 2203.11171). An end is
  what the environment calls its outcome (an answer, tables as they were left, a product with its options),
  or where it names none the last action. Paths that did not end by themselves have no vote unless no path
  did. Where an environment ends a session at success alone and the feedback hides success, all vote. Of
  equally frequent ends the judge picks the better path; where it is away, the first.
- **best_of_n** commits the path whose end the judge values most (Cobbe et al., 2021, arXiv 2110.14168, with
  the judge as the verifier).

Differences from the papers: what is sampled are paths with steps in an environment and not single answers,
and the greedy path is one of them.
"""

from collections import Counter
from contextlib import suppress
from typing import Any

from pydantic import Field

from services.contracts.action import Form
from services.contracts.base import Bool, Float
from services.contracts.episode import Feedback
from services.contracts.event import EventType
from services.contracts.verdict import ValueQuestion
from services.orchestrator.identity import normalise_action
from services.orchestrator.ports import (
    JUDGE_VALUE,
    BranchOutcome,
    BudgetExhaustedError,
    Committed,
    InfrastructureError,
    Spec,
    World,
)
from services.orchestrator.search.ended_paths import find_best
from services.orchestrator.search.method import Method, Run
from services.orchestrator.search.path import (
    Ended,
    PathArguments,
    PathParams,
    PathResult,
    Policy,
    spawn_together,
    walk,
)

PATH = "path"
UNVALUED = -1.0
"""Below every value."""


class EnsembleParams(PathParams):
    """Parameters of self_consistency and best_of_n."""

    form: Form = Form.REACT
    temperature: Float = Field(default=0.7, ge=0, le=2)
    """Of the actor, on the paths that are sampled."""
    greedy: Bool = True
    """Walk the first path greedily."""


async def _walk_all(world: World, spec: Spec) -> list[tuple[str, PathResult]]:
    """Walk all paths and return those that infrastructure did not break, in order.

    Raises:
        BudgetExhaustedError: There was no budget for the first.
        InfrastructureError: All of them broke.
    """
    opened = await spawn_together(world, PATH, spec.request.num_path)
    outcomes = await world.gather([branch for branch, _ in opened])
    paths = [
        (outcome.branch, PathResult.model_validate(outcome.result))
        for outcome in outcomes
        if outcome.result is not None
    ]
    if not paths:
        broken: BranchOutcome = outcomes[-1]
        raise InfrastructureError(broken.failure, broken.detail)
    return paths


async def path_body(world: World, spec: Spec, arguments: dict[str, Any]) -> PathResult:
    """Walk one path, the first of them greedily."""
    params = EnsembleParams.model_validate(spec.request.params)
    given = PathArguments.model_validate(arguments)
    greedy = params.greedy and given.variant == 0
    policy = Policy(
        form=params.form,
        grammar=params.grammar,
        repeats=params.repeats,
        temperature=None if greedy else params.temperature or None,
    )
    return await walk(world, spec, policy, given)


def name_end(path: PathResult, *, hides_ends: bool) -> str:
    """Return what paths with the same end have in common; empty for one that has no vote.

    Args:
        path: The path.
        hides_ends: Whether a path may not be preferred for having ended by itself.
    """
    if path.ended not in (Ended.DONE, Ended.SUBTASKS) and not hides_ends:
        return ""
    return path.outcome or (normalise_action(path.actions[-1]) if path.actions else "")


async def vote(world: World, spec: Spec) -> Committed:
    """Commit a path of the most frequent end."""
    paths = await _walk_all(world, spec)
    ends = [name_end(path, hides_ends=spec.hides_ends) for _, path in paths]
    counts = Counter(end for end in ends if end) or Counter(ends)
    most = max(counts.values())
    best = [end for end in counts if counts[end] == most]
    leaders = [paths[ends.index(end)] for end in best]
    tied = len(leaders) > 1
    at = (await find_best(world, spec, [path for _, path in leaders]) or 0) if tied else 0
    return await _commit(world, *leaders[at])


async def value_best(world: World, spec: Spec) -> Committed:
    """Commit the path whose end the judge values most; paths that have no value come last."""
    paths = await _walk_all(world, spec)
    request = spec.request
    values = [UNVALUED] * len(paths)
    with suppress(BudgetExhaustedError):
        for at, (_, path) in enumerate(paths if len(paths) > 1 else []):
            question = ValueQuestion(context=path.context, adapter=request.adapter, seed=request.seed)
            with suppress(InfrastructureError):  # such as a context that is too long: the others have values
                values[at] = (await world.query(JUDGE_VALUE, question)).scores[0]
    at = max(range(len(values)), key=lambda place: (values[place], -place))
    return await _commit(world, *paths[at])


async def _commit(world: World, branch: str, path: PathResult) -> Committed:
    await world.note(EventType.PATH_COMMITTED, branch=branch)
    return Committed(branch=branch, ended=path.ended, steps=path.steps)


def _ensemble(name: str, run: Run) -> Method:
    return Method(
        name=name,
        version="1",
        run=run,
        params=EnsembleParams,
        bodies={PATH: path_body},
        feedback=frozenset({Feedback.JUDGE}),
        uses=frozenset({"num_path"}),
    )


SELF_CONSISTENCY = _ensemble("self_consistency", vote)
BEST_OF_N = _ensemble("best_of_n", value_best)
