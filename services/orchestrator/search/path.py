"""One path: from the start of the task, or from a state of an earlier path, step by step, to an end."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.action import Candidate, Form
from services.contracts.base import SINCE_0_2
from services.contracts.context import Context, TriedPath
from services.contracts.event import EventType
from services.contracts.plan import PlanRequest
from services.contracts.verdict import SubtaskQuestion
from services.orchestrator.identity import name_session
from services.orchestrator.ports import (
    JUDGE_SUBTASK,
    PLAN,
    BudgetExhaustedError,
    Opened,
    Spec,
    World,
)
from services.orchestrator.search.choosing import Choosing, advance
from services.orchestrator.search.line import Line, Past
from services.orchestrator.search.method import Adapt, Params
from services.orchestrator.search.proposals import MALFORMED_LIMIT, Grammar, Proposer
from services.orchestrator.search.repetitions import Repeats


class Ended(StrEnum):
    """Why a path ended."""

    DONE = "done"
    SUBTASKS = "subtasks"
    MAX_STEPS = "max_steps"
    MALFORMED = "malformed"
    BUDGET = "budget"


class PathParams(Params):
    """Parameters of every method that walks paths."""

    grammar: Grammar = Grammar.RETRY
    repeats: Repeats = Repeats.AVOID


def keep_version_1(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with which a method makes the calls of its version 1, which had no `repeats`."""
    grammar = params.get("grammar", Grammar.RETRY)
    kept = Grammar.MALFORMED if grammar == Grammar.RETRY else grammar
    return {**params, "grammar": kept, "repeats": Repeats.ALLOW}


EARLIER: Mapping[str, Adapt] = {"1": keep_version_1}
"""The earlier versions of every method that walks paths."""


class Policy(BaseModel):
    """How a path is walked."""

    model_config = ConfigDict(frozen=True)

    form: Form
    num_branch: int = 1
    plans: bool = False
    """Whether the task is split, and the judge asked after every step whether the subtask is done."""
    grammar: Grammar = Grammar.RETRY
    repeats: Repeats = Repeats.AVOID
    temperature: float | None = None
    """The actor's; None: greedy for one candidate, the service's own setting for several."""
    sure: float | None = None
    """The greedy candidate is requested first, and stays alone from this probability on; None: all candidates
    are sampled in one request."""
    choosing: Choosing = Choosing()


class PathResult(BaseModel):
    """A path that has ended."""

    model_config = ConfigDict(frozen=True)

    ended: Ended
    context: Context
    success: bool | None = None
    """None unless `feedback` lets the search know."""
    outcome: str = ""
    """What its end amounts to, for votes."""
    p_good_enough: float | None = None
    """The judge's P(good enough); None where the judge gave none."""
    session: str = ""
    """The full name of the session that it ended in."""
    valid: list[bool] = Field(default_factory=list[bool])
    """Whether the environment accepted each step."""
    scores: list[float | None] = Field(default_factory=list[float | None])
    """The score of each step that was chosen among several; None for the others."""
    subtasks: list[int] = Field(default_factory=list[int])
    """The subtask that was in hand at each step."""

    @property
    def steps(self) -> int:
        """Environment steps taken."""
        return len(self.context.turns)

    @property
    def actions(self) -> list[str]:
        """The actions, in order."""
        return [turn.action for turn in self.context.turns]


class Return(BaseModel):
    """A state of an earlier path that another one goes on from."""

    model_config = ConfigDict(frozen=True)

    past: Past
    subtask: int = 0
    """The subtask that was in hand."""
    avoid: list[str] = Field(default_factory=list[str])
    """Actions that were taken there and are not taken again."""


class PathArguments(BaseModel):
    """What a path begins with."""

    model_config = ConfigDict(frozen=True)

    tried: list[TriedPath] = Field(default_factory=list[TriedPath])
    plan: list[str] = Field(default_factory=list[str])
    """The plan of an earlier path; empty: make one, where the policy plans."""
    variant: int = Field(default=0, json_schema_extra=SINCE_0_2)
    """Among paths that begin together, this one's number: it begins with another candidate and samples with
    another seed than the others."""
    back: Return | None = Field(default=None, json_schema_extra=SINCE_0_2)
    """Where it goes on, in the session that it inherits; None: from the task's start."""


async def spawn_together(world: World, body: str, count: int) -> list[tuple[str, PathArguments]]:
    """Open paths that begin together, each with an equal share; fewer where the budget ends.

    Raises:
        BudgetExhaustedError: There is no budget for the first.
    """
    opened: list[tuple[str, PathArguments]] = []
    for variant in range(count):
        arguments = PathArguments(variant=variant)
        try:
            opened.append((await world.spawn(body, arguments, parts=count - variant), arguments))
        except BudgetExhaustedError:
            if not opened:
                raise
            break
    return opened


async def walk(world: World, spec: Spec, policy: Policy, arguments: PathArguments) -> PathResult:
    """Walk one path to its end.

    Raises:
        InfrastructureError: A part broke.
    """
    opened = world.inherited or await world.open()
    walker = _Walker(world, spec, policy, arguments, opened)
    line = walker.line
    try:
        ended = await walker.run()
    except BudgetExhaustedError:
        ended = Ended.BUDGET
    await world.note(EventType.PATH_ENDED, reason=ended, steps=len(line.turns))
    await world.close(line.session)
    return PathResult(
        ended=ended,
        context=line.context(),
        success=line.success,
        outcome=line.outcome,
        session=name_session(world.branch, line.session),
        valid=line.valid,
        scores=walker.scores,
        subtasks=walker.subtasks,
    )


class _Walker:
    """A path that is being walked."""

    def __init__(
        self, world: World, spec: Spec, policy: Policy, arguments: PathArguments, opened: Opened
    ) -> None:
        back = arguments.back
        self.world = world
        self.spec = spec
        self.policy = policy
        self.variant = arguments.variant
        self.line = Line(
            world,
            spec,
            opened,
            policy.form,
            tried=arguments.tried,
            plan=arguments.plan,
            past=back.past if back else None,
        )
        self.line.subtask = back.subtask if back else 0
        self.scores: list[float | None] = [None] * len(self.line.turns)
        self.subtasks: list[int] = [self.line.subtask] * len(self.line.turns)
        self.proposer = Proposer(
            self.line,
            num_branch=policy.num_branch,
            grammar=policy.grammar,
            repeats=policy.repeats,
            temperature=policy.temperature,
            variant=arguments.variant,
            sure=policy.sure,
            avoid=back.avoid if back else None,
        )

    async def run(self) -> Ended:
        """Go on until the path ends."""
        line = self.line
        if line.done:
            return Ended.DONE
        if self.policy.plans and not line.plan:
            await self._make_plan()
        malformed = 0
        while len(line.turns) < self.spec.max_steps:
            candidates = await self.proposer.propose(malformed)
            if not candidates:
                malformed += 1
                if malformed == MALFORMED_LIMIT:
                    return Ended.MALFORMED
                continue
            malformed = 0
            await self._advance(candidates)
            if line.done:
                return Ended.DONE
            if line.plan and not line.submits:
                await self._judge_subtask()
                if line.submits and not self.spec.needs_submit:
                    return Ended.SUBTASKS
        return Ended.MAX_STEPS

    async def _make_plan(self) -> None:
        request = self.spec.request
        plan = await self.world.query(
            PLAN,
            PlanRequest(
                context=self.line.context(),
                num_subtasks=request.num_subtasks,
                adapter=request.adapter,
                seed=request.seed,
            ),
        )
        self.line.plan = plan.subtasks

    async def _advance(self, candidates: list[Candidate]) -> None:
        if self.variant and not self.line.turns:
            candidates = [candidates[self.variant % len(candidates)]]
        self.subtasks.append(self.line.subtask)
        self.scores.append(await advance(self.line, candidates, self.policy.choosing))

    async def _judge_subtask(self) -> None:
        line, request = self.line, self.spec.request
        verdict = await self.world.query(
            JUDGE_SUBTASK,
            SubtaskQuestion(
                context=line.context(), subtask=line.current, adapter=request.adapter, seed=request.seed
            ),
        )
        await line.follow(verdict.window)
        if verdict.p_yes >= request.subtask_threshold:
            await self._next_subtask(EventType.SUBTASK_DONE)
        elif line.subtask_steps >= math.ceil(2 * self.spec.max_steps / len(line.plan)):
            await self._next_subtask(EventType.SUBTASK_EXPIRED)

    async def _next_subtask(self, event: EventType) -> None:
        line = self.line
        await self.world.note(event, index=line.subtask, subtask=line.current, steps=line.subtask_steps)
        line.subtask += 1
        line.subtask_steps = 0
