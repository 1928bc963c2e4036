"""tmbr: task decomposition, branches, a judge, and backtracking (paper, section 3.3).

Each path is a branch: planned, then walked with `num_branch` candidates a step, of which one is chosen, until
the judge finds the last subtask done or the path ends otherwise. With `num_subtasks` 0 there is no plan, and
the judge gets no question about subtasks. The judge weighs the end. If it is not good enough, the next path
begins with a list of what was tried, up to `num_path`. With `parallel` all paths begin together, each with
another first candidate.

Differences from the paper, which `profile: paper` takes back: the greedy candidate is one of them; where it
is likely enough no other is sampled; another one replaces it by a margin only; candidates are taken in forks
and scored by what they lead to (`look_ahead`); the next path begins at the weakest step of the one before.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Any

from pydantic import Field

from services.contracts.action import Form
from services.contracts.base import Bool, Float
from services.contracts.context import TriedPath
from services.contracts.episode import Feedback
from services.contracts.event import EventType
from services.orchestrator.ports import BudgetExhaustedError, Committed, InfrastructureError, Spec, World
from services.orchestrator.search.choosing import Choosing, Scorer
from services.orchestrator.search.ended_paths import EndedPaths, weigh_end
from services.orchestrator.search.line import Past
from services.orchestrator.search.method import Method
from services.orchestrator.search.path import (
    Ended,
    PathArguments,
    PathParams,
    PathResult,
    Policy,
    Return,
    keep_version_1,
    spawn_together,
    walk,
)

PATH = "path"


class Backtrack(StrEnum):
    """Where the next path begins."""

    START = "start"
    WEAKEST = "weakest"
    """At the chosen step of the lowest score, with the action that was taken there left out; at the start
    where no step was chosen among several."""


class Profile(StrEnum):
    """A name for several parameters."""

    PAPER = "paper"
    """Every candidate is sampled, the judge picks one, the next path begins at the start."""


class Planning(StrEnum):
    """When a plan is made."""

    ALWAYS = "always"
    LEARNED = "learned"
    """Where the adapter learned plans of the environment, or where that is not recorded."""


class TmbrParams(PathParams):
    """Parameters of tmbr."""

    form: Form = Form.REACT
    parallel: Bool = False
    """Begin all `num_path` paths at once: the answer comes sooner, and no path learns from another."""
    profile: Profile | None = None
    """`paper` replaces the defaults of the parameters below."""
    greedy: Bool = True
    """Request the greedy candidate first; otherwise all are sampled in one request."""
    sure: Float = Field(default=0.9, ge=0, le=1)
    """The greedy candidate is the only one where its text has at least this probability."""
    scorer: Scorer = Scorer.VALUE
    """What candidates are scored by."""
    margin: Float | None = Field(default=None, ge=0, le=1)
    """What a candidate must score above the first to replace it. 0: the best wins; 1: the first stays. By
    default what was calibrated for the adapter and the environment; where nothing was, the first stays."""
    plan: Planning = Planning.LEARNED
    """Whether the task is split into `num_subtasks`."""
    look_ahead: Bool = True
    """Take the candidates in forks and score them by what they led to."""
    backtrack: Backtrack = Backtrack.WEAKEST
    """Where the next path begins."""

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "TmbrParams":
        """Return the parameters, those of a profile where one is named and they are not given."""
        given = cls.model_validate(params)
        defaults = PAPER if given.profile is Profile.PAPER else {}
        return cls.model_validate({**defaults, **params})


PAPER: dict[str, Any] = {
    "greedy": False,
    "scorer": Scorer.SELECTION,
    "margin": 0.0,
    "plan": Planning.ALWAYS,
    "look_ahead": False,
    "backtrack": Backtrack.START,
}
"""The parameters of `profile: paper`, which are those of version 2."""


async def run(world: World, spec: Spec) -> Committed:
    """Open paths until one is good enough, and commit it, or the judge's best."""
    search = _Search(world, spec)
    if search.params.margin is None and spec.margin is None and search.params.scorer is Scorer.VALUE:
        await world.note(
            EventType.FELL_BACK,
            what="margin",
            detail=f"no margin is calibrated for {spec.brief.name}, so the first candidate is taken at each "
            "step; set params.margin to compare candidates",
        )
    try:
        committed = await (search.weigh_together() if search.params.parallel else search.backtrack())
    except BudgetExhaustedError:
        if not search.ended.paths:
            raise
        committed = None
    return committed or await search.ended.commit_best()


class _Search:
    """The paths of one episode."""

    def __init__(self, world: World, spec: Spec) -> None:
        self.world = world
        self.spec = spec
        self.params = TmbrParams.of(spec.request.params)
        self.ended = EndedPaths(world, spec)

    async def backtrack(self) -> Committed | None:
        """Try one path after the other; None where none is good enough."""
        arguments, session = PathArguments(), None
        for attempt in range(1, self.spec.request.num_path + 1):
            opened = await self.world.spawn(PATH, arguments, session=session)
            path = await self.ended.finish(opened, partial(self._reopen, arguments))
            if path is None:
                continue
            branch = self.ended.paths[-1][0]
            if self.ended.good_enough(path):
                return await self.ended.commit(branch, path, good_enough=True)
            if path.ended is Ended.BUDGET:
                return None
            if attempt < self.spec.request.num_path:
                arguments = PathArguments(
                    tried=[*arguments.tried, TriedPath(actions=path.actions)],
                    plan=path.context.plan,
                    back=self._find_return(path, arguments.back),
                )
                arguments, session = await self._fork(arguments)
                step = len(arguments.back.past.turns) if arguments.back else 0
                await self.world.note(EventType.BACKTRACKED, path=attempt, from_branch=branch, to_step=step)
        return None

    def _find_return(self, path: PathResult, before: Return | None) -> Return | None:
        """Return the state that the next path goes on from; None for the task's start."""
        if self.params.backtrack is Backtrack.START:
            return None
        scored = [(score, at) for at, score in enumerate(path.scores) if score is not None]
        if not scored:
            return None
        _, at = min(scored)
        same = before is not None and len(before.past.turns) == at
        past = Past(
            observation=path.context.observation, turns=path.context.turns[:at], valid=path.valid[:at]
        )
        avoid = [*(before.avoid if before is not None and same else ()), path.actions[at]]
        return Return(past=past, subtask=path.subtasks[at], avoid=avoid)

    async def _fork(self, arguments: PathArguments) -> tuple[PathArguments, str | None]:
        """Return what a path begins with, and its session where it goes on from a state of the path before.

        Where that state cannot be had again, it begins at the start.
        """
        if arguments.back is None:
            return arguments, None
        source = self.ended.paths[-1][1].session
        try:
            forked = await self.world.fork(source, at_step=len(arguments.back.past.turns))
        except InfrastructureError:
            return arguments.model_copy(update={"back": None}), None
        return arguments, forked.session

    async def _reopen(self, arguments: PathArguments) -> str:
        """Open a path's branch once more."""
        again, session = await self._fork(arguments)
        return await self.world.spawn(PATH, again, session=session)

    async def weigh_together(self) -> Committed | None:
        """Begin all paths, weigh them in order, and end the others as soon as one is good enough.

        The order is the paths' own and not that of their ends, so that the same seed commits the same path.
        """
        opened = await spawn_together(self.world, PATH, self.spec.request.num_path)
        while opened:
            branch, arguments = opened.pop(0)
            path = await self.ended.finish(branch, partial(self._reopen, arguments))
            if path is not None and self.ended.good_enough(path):
                if opened:
                    await self.world.cancel([branch for branch, _ in opened])
                return await self.ended.commit(self.ended.paths[-1][0], path, good_enough=True)
        return None


def find_margin(params: TmbrParams, spec: Spec) -> float:
    """Return the margin: the one that was given, else of values the calibrated one, else 1, which is greedy.

    Other scores than values are not calibrated: without a margin the best of them wins.
    """
    if params.margin is not None:
        return params.margin
    if params.scorer is not Scorer.VALUE:
        return 0.0
    return 1.0 if spec.margin is None else spec.margin


async def path_body(world: World, spec: Spec, arguments: dict[str, Any]) -> PathResult:
    """Walk one path and have the judge weigh its end."""
    params = TmbrParams.of(spec.request.params)
    request = spec.request
    margin = find_margin(params, spec)
    policy = Policy(
        form=params.form,
        plans=request.num_subtasks > 0 and (params.plan is Planning.ALWAYS or spec.planned is not False),
        grammar=params.grammar,
        repeats=params.repeats,
        num_branch=request.num_branch if margin < 1 else 1,
        sure=params.sure if params.greedy else None,
        choosing=Choosing(
            scorer=params.scorer,
            margin={0.0: None, 1.0: math.inf}.get(margin, margin),
            look_ahead=params.look_ahead,
            repeats=params.repeats,
        ),
    )
    path = await walk(world, spec, policy, PathArguments.model_validate(arguments))
    return await weigh_end(world, spec, path)


def keep_version_2(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with which tmbr makes the calls of its version 2, which was the paper's form."""
    return {**params, "profile": Profile.PAPER}


TMBR = Method(
    name="tmbr",
    version="3",
    run=run,
    params=TmbrParams,
    bodies={PATH: path_body},
    feedback=frozenset({Feedback.JUDGE, Feedback.DONE}),
    uses=frozenset({"num_branch", "num_path", "num_subtasks", "subtask_threshold", "path_threshold"}),
    earlier={"1": lambda params: keep_version_2(keep_version_1(params)), "2": keep_version_2},
)
