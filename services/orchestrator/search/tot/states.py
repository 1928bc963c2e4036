"""States: the sessions that the root of a search holds, and the best of all that it has had."""

from contextlib import suppress
from dataclasses import dataclass

from services.contracts.episode import Feedback
from services.contracts.event import EventType
from services.contracts.event_data import Outcome
from services.orchestrator.ports import (
    BudgetExhaustedError,
    Committed,
    Opened,
    Spec,
    World,
)
from services.orchestrator.search.line import Line, Past
from services.orchestrator.search.path import Ended
from services.orchestrator.search.tot.judging import Child, judge_end
from services.orchestrator.search.tot.params import Evaluate, TotParams

DEAD_END = "dead_end"
"""Why a path ended from which no step leads on that is worth one."""


@dataclass
class TreeState:
    """A state of the tree, in an open session of the root."""

    session: str
    past: Past
    done: bool = False
    first_turn: int = 0
    value: float | None = None
    """Where it was not valued, its parent's."""
    p_good_enough: float | None = None
    success: bool | None = None

    @property
    def steps(self) -> int:
        """Steps from the task's start."""
        return len(self.past.turns)


class States:
    """The states of one search: it opens, takes and closes their sessions, and keeps the best one's open.

    Args:
        world: The root's ports.
        spec: What the method is given of its episode.
        params: The method's parameters.
    """

    def __init__(self, world: World, spec: Spec, params: TotParams) -> None:
        self.world = world
        self.spec = spec
        self.params = params
        self.best: TreeState | None = None
        self.open: list[str] = []
        """Sessions of the root."""

    async def begin(self) -> TreeState:
        """Return the state at the task's start."""
        opened = await self.world.open()
        self.open.append(opened.session)
        line = Line(self.world, self.spec, opened, self.params.form)
        return TreeState(session=opened.session, past=line.past, done=opened.done)

    def make_line(self, state: TreeState) -> Line:
        """Return the line that led to a state."""
        opened = Opened(session=state.session, observation=state.past.observation, done=state.done)
        line = Line(self.world, self.spec, opened, self.params.form, past=state.past)
        line.first_turn = state.first_turn
        return line

    async def take(self, parent: TreeState, child: Child, source: str = "") -> TreeState:
        """Return the state of a child in a session of the root; its step is taken again where it has none.

        Args:
            parent: Its parent.
            child: The child.
            source: The session to fork after the parent's steps; empty: the parent's own.
        """
        line = self.make_line(parent)
        if child.session:
            done, success, valid = child.done, child.success, child.valid
            line.session, observation, child.session = child.session, child.observation, ""
        else:
            forked = await self.world.fork(source or parent.session, at_step=parent.steps)
            line.session = forked.session
            self.open.append(line.session)
            seen = await self.world.step(line.session, child.candidate.action)
            done, success, valid, observation = seen.done, seen.success, seen.valid, seen.observation
        turn = line.make_turn(child.candidate, observation)
        past = parent.past
        return TreeState(
            session=line.session,
            past=Past(observation=past.observation, turns=[*past.turns, turn], valid=[*past.valid, valid]),
            done=done,
            first_turn=parent.first_turn,
            value=parent.value if child.value is None else child.value,
            p_good_enough=child.p_good_enough,
            success=success,
        )

    async def retire(self, state: TreeState) -> None:
        """Close a state's session, or, where it is the best so far, that of the best before it."""
        if self.best is None or self._rank(state) > self._rank(self.best):
            state, self.best = self.best or state, state
        if state is not self.best:
            await self.close(state.session)

    async def close(self, session: str) -> None:
        """Close a session of the root."""
        self.open.remove(session)
        await self.world.close(session)

    def good_enough(self, state: TreeState) -> bool:
        """Return whether an end is good enough."""
        request = self.spec.request
        if state.success is not None and request.feedback is not Feedback.JUDGE:
            return state.success
        return state.p_good_enough is not None and state.p_good_enough >= request.path_threshold

    async def judge(self, state: TreeState) -> None:
        """Have the judge weigh an end.

        Raises:
            BudgetExhaustedError: There is no budget for it.
        """
        if state.p_good_enough is None:
            success = state.success if state.done else None
            context = self.make_line(state).context()
            state.p_good_enough = await judge_end(self.world, self.spec, context, success)

    async def commit(self, *, spent: bool) -> Committed:
        """Commit the best state in the root branch, and close all sessions.

        Args:
            spent: Whether the budget ended the search.
        """
        best = self.best
        assert best is not None, "a search has a state"
        with suppress(BudgetExhaustedError):
            await self.judge(best)
        for session in [session for session in self.open if session != best.session]:
            await self.close(session)
        last = best.past.turns[-1].action if best.past.turns else ""
        outcome = Outcome(session=best.session, action=last, value=best.value)
        await self.world.note(EventType.CANDIDATES_COMPARED, outcomes=[outcome], chosen=0)
        ended = self._name_end(best, spent=spent)
        await self.world.note(EventType.PATH_ENDED, reason=ended, steps=best.steps)
        await self.close(best.session)
        good = self.good_enough(best)
        await self.world.note(EventType.PATH_COMMITTED, branch=self.world.branch, good_enough=good)
        return Committed(branch=self.world.branch, good_enough=good, ended=ended, steps=best.steps)

    def _name_end(self, state: TreeState, *, spent: bool) -> str:
        if state.done:
            return Ended.DONE
        if spent:
            return Ended.BUDGET
        return Ended.MAX_STEPS if state.steps >= self.spec.max_steps else DEAD_END

    def _rank(self, state: TreeState) -> tuple[bool, float, float]:
        """Return what is higher the better a state is to commit: an end before all others."""
        score, steps = rate(state), float(state.steps)
        if state.done:
            return True, score, 0.0
        # A vote's shares cannot be compared from one depth to the next.
        votes = self.params.evaluate is Evaluate.VOTE
        return (False, steps, score) if votes else (False, score, steps)


def rate(one: TreeState | Child) -> float:
    """Return the score of a state: P(good enough) where it was weighed, its value otherwise."""
    return (one.value or 0.0) if one.p_good_enough is None else one.p_good_enough
