"""Expansion: the children of one state, taken in forks and valued."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.action import MAX_AVOIDED, ActionRequest, Candidate
from services.contracts.event import EventType
from services.contracts.event_data import Outcome
from services.orchestrator.identity import normalise_action
from services.orchestrator.ports import (
    ACT,
    BudgetExhaustedError,
    InfrastructureError,
    Spec,
    World,
)
from services.orchestrator.search.line import Line, Past, clip
from services.orchestrator.search.proposals import (
    HOT,
    MALFORMED_LIMIT,
    RESAMPLE_STRIDE,
    RESAMPLES,
    VARIANT_STRIDE,
    Grammar,
    Proposer,
)
from services.orchestrator.search.repetitions import Repeats
from services.orchestrator.search.tot.judging import (
    Child,
    is_good_end,
    judge_end,
    make_child_context,
    rate,
    vote,
)
from services.orchestrator.search.tot.params import Evaluate, Generate, Strategy, TotParams
from services.orchestrator.search.valuing import value_turns


class ExpandArguments(BaseModel):
    """The state that a branch expands, in the session that it inherits."""

    model_config = ConfigDict(frozen=True)

    past: Past
    first_turn: int = 0
    """Turns before this one have left the window."""
    variant: int = 0
    """Its number in the beam: each state samples with seeds of its own."""


class Expansion(BaseModel):
    """What became of one state."""

    children: list[Child] = Field(default_factory=list[Child])
    """In the order of the proposals; a dead one only where all are dead, and then one."""
    first_turn: int = 0
    spent: bool = False
    """Whether the budget ended it early: children may lack a value."""
    failure: str = ""
    """The part that broke; empty where none did. Children may lack a value then."""
    detail: str = ""


@dataclass(frozen=True)
class Expander:
    """Expands states.

    Args:
        world: The ports of the branch that does it.
        spec: What the method is given of its episode.
        params: The method's parameters.
    """

    world: World
    spec: Spec
    params: TotParams

    async def expand(self, line: Line, variant: int, *, keep: bool) -> Expansion:
        """Take the candidates of a state and value what they led to; breadth-first, weigh the ends before.

        Args:
            line: The state.
            variant: Its number in the beam.
            keep: Whether the state's own session stays where it is; otherwise one candidate is taken in it,
                and the line has none any more.

        Returns:
            The children, with their sessions open; where a part broke, as far as they were taken.
        """
        found = Expansion()
        taken: list[Child] = []
        try:
            await self._take(line, await self._propose(line, variant), taken, keep=keep)
        except BudgetExhaustedError:
            found.spent = True
        except InfrastructureError as error:
            found.failure, found.detail = error.reason, error.detail
        found.children = await self._drop_dead(taken)
        if self.params.strategy is Strategy.BFS and not found.spent:
            found.spent = await self._judge_ends(line, found.children)
        good = any(is_good_end(self.spec, one) for one in found.children)
        if not found.failure and not good:
            try:
                await self._evaluate(line, found.children)
            except BudgetExhaustedError:
                found.spent = True
            except InfrastructureError as error:
                found.failure, found.detail = error.reason, error.detail
        found.first_turn = line.first_turn
        if taken:
            await self._note(taken, found.children)
        return found

    async def _propose(self, line: Line, variant: int) -> list[Candidate]:
        """Return the candidates; none where the actor gave no well-formed one."""
        params = self.params
        proposes = params.generate is Generate.PROPOSE
        proposer = Proposer(
            line,
            num_branch=1 if proposes else params.expand,
            grammar=params.grammar,
            repeats=params.repeats,
            temperature=0.0 if proposes else params.temperature,
            variant=variant,
        )
        candidates = await proposer.insist()
        while candidates and proposes and len(candidates) < params.expand:
            try:
                others = await self._propose_others(line, variant, candidates)
            except BudgetExhaustedError:
                break  # those that there are can be taken: steps cost nothing
            if not others:
                break
            candidates = [*candidates, *others]
        return candidates[: params.expand]

    async def _propose_others(self, line: Line, variant: int, known: list[Candidate]) -> list[Candidate]:
        """Return candidates that are neither known nor repetitions."""
        repetitions = line.repetitions.actions if self.params.repeats is Repeats.AVOID else []
        avoid = [*repetitions, *(item.action for item in known)]
        request = self.spec.request
        seed = request.seed + variant * VARIANT_STRIDE + len(line.turns) * MALFORMED_LIMIT
        actions = await self.world.query(
            ACT,
            ActionRequest(
                context=line.context(),
                form=line.form,
                n=RESAMPLES,
                temperature=HOT if self.params.temperature is None else self.params.temperature,
                grammar=self.params.grammar is Grammar.ALWAYS,
                avoid=avoid[-MAX_AVOIDED:],
                adapter=request.adapter,
                seed=(seed + RESAMPLE_STRIDE * (len(known) + 1)) % 2**31,
            ),
            line.session,
        )
        await line.follow(actions.window)
        names = {normalise_action(action) for action in avoid}
        return [
            item
            for item in actions.candidates
            if item.well_formed and normalise_action(item.action) not in names
        ]

    async def _take(self, line: Line, candidates: list[Candidate], taken: list[Child], *, keep: bool) -> None:
        """Take each candidate in a session of its own, and add what it led to to `taken`."""
        for place, candidate in enumerate(candidates):
            # The state's own session comes last: until then the others are forked from it.
            moves = place == len(candidates) - 1 and not keep
            session = line.session if moves else (await self.world.fork(line.session)).session
            try:
                seen = await self.world.step(session, candidate.action)
            except InfrastructureError:
                if not moves:
                    await self.world.close(session)
                raise
            taken.append(
                Child(
                    candidate=candidate,
                    observation=clip(seen.observation),
                    valid=seen.valid,
                    done=seen.done,
                    success=seen.success,
                    dead=line.is_futile(candidate, seen, self.params.repeats),
                    session=session,
                )
            )
            if moves:
                line.session = ""

    async def _judge_ends(self, line: Line, children: list[Child]) -> bool:
        """Have the judge weigh the ends until one is good enough; return whether the budget ended it."""
        for one in children:
            if one.done:
                context = make_child_context(line, one)
                try:
                    one.p_good_enough = await judge_end(self.world, self.spec, context, one.success)
                except BudgetExhaustedError:
                    return True
                if is_good_end(self.spec, one):
                    break
        return False

    async def _drop_dead(self, taken: list[Child]) -> list[Child]:
        """Return the children that count, and close the sessions of the others."""
        kept = [one for one in taken if not one.dead] or taken[:1]
        for one in taken:
            if one not in kept:
                await self.world.close(one.session)
        return kept

    async def _evaluate(self, line: Line, children: list[Child]) -> None:
        """Value the children that were not weighed; a vote of all states of a beam is held by the root."""
        alive = [one for one in children if not one.dead and one.p_good_enough is None]
        if not alive:
            return
        if self.params.evaluate is Evaluate.VALUE:
            scores = await value_turns(
                line, [line.make_turn(one.candidate, one.observation) for one in alive]
            )
        elif self.params.strategy is Strategy.DFS:
            contexts = [make_child_context(line, one) for one in alive]
            scores = await vote(self.world, self.spec, contexts, keep=1)
        else:
            return
        for one, score in zip(alive, scores, strict=True):
            one.value = score

    async def _note(self, taken: list[Child], kept: list[Child]) -> None:
        """Write down what the candidates led to, the best as the one that was chosen."""
        best = max(kept or taken, key=rate)
        outcomes = [
            Outcome(session=one.session, action=one.candidate.action, value=one.value, dead=one.dead)
            for one in taken
        ]
        await self.world.note(EventType.CANDIDATES_COMPARED, outcomes=outcomes, chosen=taken.index(best))


async def expand_body(world: World, spec: Spec, arguments: dict[str, Any]) -> Expansion:
    """Expand one state of the beam, and close all sessions."""
    given = ExpandArguments.model_validate(arguments)
    expander = Expander(world, spec, TotParams.model_validate(spec.request.params))
    opened = world.inherited
    assert opened is not None, "a state has a session"
    line = Line(world, spec, opened, expander.params.form, past=given.past, first_turn=given.first_turn)
    found = await expander.expand(line, given.variant, keep=False)
    for session in [line.session, *(one.session for one in found.children)]:
        if session:
            await world.close(session)
    for one in found.children:
        one.session = ""
    return found
