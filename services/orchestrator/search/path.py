"""One path: from the start of the task, step by step, to an end."""

import math
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.action import MAX_AVOIDED, ActionRequest, Candidate, Form
from services.contracts.base import SINCE_0_2
from services.contracts.context import Context, TriedPath, Turn
from services.contracts.event import EventType
from services.contracts.plan import PlanRequest
from services.contracts.verdict import Option, SelectionQuestion, SubtaskQuestion
from services.contracts.window import Window
from services.orchestrator.ports import (
    ACT,
    JUDGE_SUBTASK,
    PLAN,
    SELECT,
    BudgetExhaustedError,
    Opened,
    Spec,
    World,
)
from services.orchestrator.search.method import Adapt, Params
from services.orchestrator.search.repetitions import Repeats, Repetitions

LONGEST = 20_000
"""Characters of an observation or a thought that a path keeps."""
CUT = " [cut]"
"""How a text ends that is longer than a context takes."""
VARIANT_STRIDE = 1_000_003
"""Between the seeds of two paths that begin together."""
RESAMPLES = 4
"""Candidates of a second request, made where all of the first are repetitions."""
HOT, HOTTER, HOTTEST = 1.0, 0.25, 1.5
"""The temperature of a second request: its start, its rise for each step that is stuck, and its limit."""
RESAMPLE_STRIDE = 500_009
"""Between the seeds of the two requests."""
MALFORMED_LIMIT = 3
"""Steps in a row without a well-formed candidate that end a path."""


class Grammar(StrEnum):
    """When the actor is held to its form by a grammar."""

    NEVER = "never"
    MALFORMED = "malformed"
    """Only after an answer without a well-formed candidate."""
    RETRY = "retry"
    """After an answer without a well-formed candidate, and after an action that the environment refused."""
    ALWAYS = "always"


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


class PathResult(BaseModel):
    """A path that has ended."""

    model_config = ConfigDict(frozen=True)

    ended: Ended
    context: Context
    success: bool | None = None
    """None unless `feedback` lets the search know."""
    p_good_enough: float | None = None
    """The judge's P(good enough); None where the judge gave none."""

    @property
    def steps(self) -> int:
        """Environment steps taken."""
        return len(self.context.turns)

    @property
    def actions(self) -> list[str]:
        """The actions, in order."""
        return [turn.action for turn in self.context.turns]


class PathArguments(BaseModel):
    """What a path begins with."""

    model_config = ConfigDict(frozen=True)

    tried: list[TriedPath] = Field(default_factory=list[TriedPath])
    plan: list[str] = Field(default_factory=list[str])
    """The plan of an earlier path; empty: make one, where the policy plans."""
    variant: int = Field(default=0, json_schema_extra=SINCE_0_2)
    """Among paths that begin together, this one's number: it begins with another candidate and samples with
    another seed than the others."""


async def walk(world: World, spec: Spec, policy: Policy, arguments: PathArguments) -> PathResult:
    """Walk one path to its end.

    Raises:
        InfrastructureError: A part broke.
    """
    opened = await world.open()
    walker = _Walker(world, spec, policy, arguments, opened)
    try:
        ended = await walker.run()
    except BudgetExhaustedError:
        ended = Ended.BUDGET
    await world.note(EventType.PATH_ENDED, reason=ended, steps=len(walker.turns))
    await world.close(opened.session)
    return PathResult(ended=ended, context=walker.context(), success=walker.success)


def clip(text: str) -> str:
    """Return a text as far as a path keeps it: many turns have to fit into one request."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - len(CUT)]}{CUT}"


class _Walker:
    """A path that is being walked."""

    def __init__(
        self, world: World, spec: Spec, policy: Policy, arguments: PathArguments, opened: Opened
    ) -> None:
        self.world = world
        self.spec = spec
        self.policy = policy
        self.tried = arguments.tried
        self.plan = arguments.plan
        self.variant = arguments.variant
        self.opened = opened
        self.turns: list[Turn] = []
        self.first_turn = 0
        self.success: bool | None = None
        self.subtask = 0
        self.subtask_steps = 0
        self.repetitions = Repetitions()
        self.stuck = 0
        """Steps in a row at which two requests brought nothing but repetitions."""
        self.refused = False
        """Whether the environment refused the last action."""

    def context(self) -> Context:
        """Return the path so far, as the roles get it."""
        return Context(
            environment=self.spec.brief,
            task=self.spec.instruction,
            observation=clip(self.opened.observation),
            tried=self.tried,
            plan=self.plan,
            turns=list(self.turns),
            first_turn=self.first_turn,
        )

    async def run(self) -> Ended:
        """Go on until the path ends."""
        if self.policy.plans and not self.plan:
            await self._make_plan()
        malformed = 0
        while len(self.turns) < self.spec.max_steps:
            candidates = await self._propose(malformed)
            if not candidates:
                malformed += 1
                if malformed == MALFORMED_LIMIT:
                    return Ended.MALFORMED
                continue
            malformed = 0
            if await self._step(await self._choose(candidates)):
                return Ended.DONE
            if self.plan and self.subtask < len(self.plan):
                await self._judge_subtask()
                if self.subtask == len(self.plan) and not self.spec.needs_submit:
                    return Ended.SUBTASKS
        return Ended.MAX_STEPS

    async def _make_plan(self) -> None:
        request = self.spec.request
        plan = await self.world.query(
            PLAN,
            PlanRequest(
                context=self.context(),
                num_subtasks=request.num_subtasks,
                adapter=request.adapter,
                seed=request.seed,
            ),
        )
        self.plan = plan.subtasks

    async def _propose(self, malformed: int) -> list[Candidate]:
        """Well-formed candidates that are no repetitions; none where the actor gave none.

        Where all are repetitions, the actor gets one more request. Where it has nothing else, the first
        candidate stays: a path never ends for want of an action.
        """
        candidates = await self._request(malformed)
        avoided = self.repetitions.actions if self.policy.repeats is Repeats.AVOID else []
        fresh = self._drop_repetitions(candidates) if avoided else candidates
        if len(fresh) == len(candidates):
            self.stuck = 0
            return candidates
        await self._note_repetitions(candidates, avoided)
        if fresh:
            self.stuck = 0
            return fresh
        again: list[Candidate] = []
        with suppress(BudgetExhaustedError):
            again = await self._request(malformed, avoided[-MAX_AVOIDED:])
        fresh = self._drop_repetitions(again)
        if len(fresh) < len(again):
            await self._note_repetitions(again, avoided)
        self.stuck = 0 if fresh else self.stuck + 1
        return fresh[:1] or candidates[:1]

    def _drop_repetitions(self, candidates: list[Candidate]) -> list[Candidate]:
        return [candidate for candidate in candidates if not self.repetitions.has(candidate.action)]

    async def _note_repetitions(self, candidates: list[Candidate], avoided: list[str]) -> None:
        repeated = [item.action for item in candidates if self.repetitions.has(item.action)]
        await self.world.note(EventType.CANDIDATES_REPEATED, actions=repeated, avoided=avoided)

    async def _request(self, malformed: int, avoid: list[str] | None = None) -> list[Candidate]:
        """Return the actor's well-formed candidates, sampled anew where there are actions to avoid."""
        request = self.spec.request
        stride = RESAMPLE_STRIDE if avoid else 0
        actions = await self.world.query(
            ACT,
            ActionRequest(
                context=self.context(),
                form=self.policy.form,
                n=RESAMPLES if avoid else self.policy.num_branch,
                subtask=self._current(),
                submit=bool(self.plan) and self.subtask == len(self.plan),
                temperature=self._heat() if avoid else self.policy.temperature,
                grammar=self._constrains(malformed),
                avoid=avoid or [],
                adapter=request.adapter,
                seed=(self._seed() + len(self.turns) * MALFORMED_LIMIT + malformed + stride) % 2**31,
            ),
            self.opened.session,
        )
        await self._follow(actions.window)
        return [candidate for candidate in actions.candidates if candidate.well_formed]

    def _heat(self) -> float:
        """Return the temperature of a second request; it rises while the actor only repeats itself."""
        return max(self.policy.temperature or 0.0, min(HOT + HOTTER * self.stuck, HOTTEST))

    def _constrains(self, malformed: int) -> bool:
        """Return whether the next answer is held to its form by a grammar."""
        match self.policy.grammar:
            case Grammar.NEVER:
                return False
            case Grammar.MALFORMED:
                return malformed > 0
            case Grammar.RETRY:
                return malformed > 0 or self.refused
            case Grammar.ALWAYS:
                return True

    def _seed(self) -> int:
        return self.spec.request.seed + self.variant * VARIANT_STRIDE

    async def _choose(self, candidates: list[Candidate]) -> Candidate:
        if len(candidates) == 1:
            return candidates[0]
        if self.variant and not self.turns:
            return candidates[self.variant % len(candidates)]
        choice = await self.world.query(
            SELECT,
            SelectionQuestion(
                context=self.context(),
                subtask=self._current(),
                options=[Option(action=item.action, thought=clip(item.thought)) for item in candidates],
                adapter=self.spec.request.adapter,
                seed=self.spec.request.seed,
            ),
        )
        return candidates[min(choice.index, len(candidates) - 1)]

    async def _step(self, candidate: Candidate) -> bool:
        seen = await self.world.step(self.opened.session, candidate.action)
        thought = candidate.thought if self.policy.form is Form.REACT else ""
        turn = Turn(action=candidate.action, observation=clip(seen.observation), thought=clip(thought))
        self.turns.append(turn)
        self.repetitions.add(turn.action, turn.observation, valid=seen.valid)
        self.refused = not seen.valid
        self.success = seen.success
        self.subtask_steps += 1
        return seen.done

    async def _judge_subtask(self) -> None:
        request = self.spec.request
        verdict = await self.world.query(
            JUDGE_SUBTASK,
            SubtaskQuestion(
                context=self.context(),
                subtask=self._current(),
                adapter=request.adapter,
                seed=request.seed,
            ),
        )
        await self._follow(verdict.window)
        if verdict.p_yes >= request.subtask_threshold:
            await self._next_subtask(EventType.SUBTASK_DONE)
        elif self.subtask_steps >= math.ceil(2 * self.spec.max_steps / len(self.plan)):
            await self._next_subtask(EventType.SUBTASK_EXPIRED)

    async def _next_subtask(self, event: EventType) -> None:
        await self.world.note(event, index=self.subtask, subtask=self._current(), steps=self.subtask_steps)
        self.subtask += 1
        self.subtask_steps = 0

    async def _follow(self, window: Window | None) -> None:
        """Keep to the window that the last prompt was fitted into."""
        if window and window.first_turn > self.first_turn:
            await self.world.note(
                EventType.WINDOW_CUT, first_turn=window.first_turn, turns=window.first_turn - self.first_turn
            )
            self.first_turn = window.first_turn

    def _current(self) -> str:
        return self.plan[self.subtask] if self.subtask < len(self.plan) else ""
