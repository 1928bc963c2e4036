"""States: the sessions that the root of a search holds, and the best of all that it has had."""

from contextlib import suppress
from dataclasses import dataclass

from services.contracts.event import EventType
from services.contracts.event_data import Outcome
from services.orchestrator.ports import (
    BudgetExhaustedError,
    Committed,
    Opened,
    Spec,
    World,
)
from services.orchestrator.search.ended_paths import is_good_enough
from services.orchestrator.search.line import Line, Past
from services.orchestrator.search.path import Ended
from services.orchestrator.search.tot.judging import Child, judge_end, rate
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
    left: bool = False
    """Whether the search went on from it."""

    @property
    def steps(self) -> int:
        """Steps from the task's start."""
        return len(self.past.turns)


@dataclass(frozen=True, eq=False)
class Grown:
    """A child with its parent."""

    parent: TreeState
    child: Child

    @property
    def value(self) -> float:
        """What it competes with: its value, an end's P(good enough), or its parent's value."""
        for value in (self.child.value, self.child.p_good_enough, self.parent.value):
            if value is not None:
                return value
        return 0.0


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
        self.held: list[TreeState] = []
        """States that were not retired yet."""
        self.open: list[str] = []
        """Sessions of the root."""

    @property
    def has_result(self) -> bool:
        """Whether there is a result though a part broke: an end; where ends are hidden, any step."""
        best = self.best
        return best is not None and (best.steps > 0 if self.spec.hides_ends else best.done)

    async def begin(self) -> TreeState:
        """Return the state at the task's start."""
        opened = await self.world.open()
        self.open.append(opened.session)
        line = Line(self.world, self.spec, opened, self.params.form)
        return self._hold(TreeState(session=opened.session, past=line.past, done=opened.done))

    def make_line(self, state: TreeState) -> Line:
        """Return the line that led to a state."""
        opened = Opened(session=state.session, observation=state.past.observation, done=state.done)
        return Line(
            self.world,
            self.spec,
            opened,
            self.params.form,
            past=state.past,
            first_turn=state.first_turn,
        )

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
        parent.left = True
        return self._hold(
            TreeState(
                session=line.session,
                past=parent.past.extend(turn, valid=valid),
                done=done,
                first_turn=parent.first_turn,
                value=parent.value if child.value is None else child.value,
                p_good_enough=child.p_good_enough,
                success=success,
            )
        )

    def _hold(self, state: TreeState) -> TreeState:
        self.held.append(state)
        return state

    async def retire(self, state: TreeState) -> None:
        """Close a state's session, or, where it is the best so far, that of the best before it."""
        self.held.remove(state)
        if self.best is None or self._rank(state) > self._rank(self.best):
            state, self.best = self.best or state, state
        if state is not self.best:
            await self.close(state.session)

    async def retire_all(self) -> None:
        """Retire the states that a search which was interrupted left."""
        for state in list(self.held):
            await self.retire(state)

    async def close(self, session: str) -> None:
        """Close a session of the root."""
        self.open.remove(session)
        await self.world.close(session)

    def good_enough(self, state: TreeState) -> bool:
        """Return whether an end is good enough."""
        return is_good_enough(self.spec, state.success, state.p_good_enough)

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

    def _rank(self, state: TreeState) -> tuple[bool, bool, float, float]:
        """Return what is higher the better a state is to commit: an end before all others.

        Where `done` shows a success that is hidden, it is the judge's P alone, and the states are those that
        the search did not go on from.
        """
        score, steps = rate(state), float(state.steps)
        last, first = False, state.done
        if self.spec.hides_ends:
            last, first = not state.left, self.good_enough(state)
        elif state.done:
            return last, first, score, 0.0
        # A vote's shares cannot be compared from one depth to the next.
        if self.params.evaluate is Evaluate.VOTE and not first:
            return last, first, steps, state.value or 0.0
        return last, first, score, steps
