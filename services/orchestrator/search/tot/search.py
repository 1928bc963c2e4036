"""The searches of tot: breadth-first with a beam, and depth-first with a way back."""

from dataclasses import dataclass

from services.contracts.event import EventType
from services.orchestrator.ports import BudgetExhaustedError, Committed, InfrastructureError, Spec, World
from services.orchestrator.search.tot.expansion import (
    ExpandArguments,
    Expander,
    Expansion,
    judge_ends,
)
from services.orchestrator.search.tot.judging import Child, make_child_context, vote
from services.orchestrator.search.tot.params import Evaluate, Select, Strategy, TotParams
from services.orchestrator.search.tot.states import States, TreeState, rate

EXPAND = "expand"


async def run(world: World, spec: Spec) -> Committed:
    """Search, and commit the best end, or where there is none the best state."""
    search = _Search(world, spec)
    bfs = search.params.strategy is Strategy.BFS
    try:
        await (search.search_breadth() if bfs else search.search_depth())
    except InfrastructureError:
        best = search.states.best
        if best is None or not best.done:
            raise
    return await search.states.commit(spent=search.spent)


@dataclass(frozen=True, eq=False)
class _Grown:
    """A child with its parent."""

    parent: TreeState
    child: Child


class _Search:
    """The search of one episode."""

    def __init__(self, world: World, spec: Spec) -> None:
        self.world = world
        self.spec = spec
        self.params = TotParams.model_validate(spec.request.params)
        self.states = States(world, spec, self.params)
        self.expander = Expander(world, spec, self.params)
        self.ends = 0
        """Ends that were found."""
        self.spent = False
        """Whether the budget has ended the search."""

    async def search_breadth(self) -> None:
        """Expand beam after beam; what was reached is among the states in the end.

        Raises:
            InfrastructureError: A part broke the expansion of every state.
        """
        beam = [await self.states.begin()]
        while beam and not self._is_over() and not beam[0].done and beam[0].steps < self.spec.max_steps:
            expansions = await self._expand_all(beam)
            grown = [
                _Grown(state, child)
                for state, expansion in zip(beam, expansions, strict=True)
                for child in expansion.children
            ]
            await self._take_end(grown)
            following = await self._select(grown)
            await self._drop([one.child for one in grown])
            for state in beam:
                await self.states.retire(state)
            beam = following
            failures = [one for one in expansions if one.failure]
            if len(failures) == len(expansions):
                raise InfrastructureError(failures[0].failure, failures[0].detail)
        for state in beam:
            await self.states.retire(state)

    async def search_depth(self) -> None:
        """Go on with the best child, and back to the next best where a path ends not good enough.

        Raises:
            InfrastructureError: A part broke.
        """
        current = await self.states.begin()
        pending: list[_Grown] = []
        expanded, limit = 0, self.spec.request.num_path * self.spec.max_steps
        while True:
            following: TreeState | None = None
            if current.done or current.steps >= self.spec.max_steps:
                await self._weigh(current)
            elif expanded < limit and not self.spent:
                expanded += 1
                following = await self._descend(current, pending)
            over = self._is_over() or expanded == limit
            if following is None and pending and not over:
                following = await self._go_back(current, pending.pop())
            await self.states.retire(current)
            if following is None:
                return
            current = following

    async def _descend(self, state: TreeState, pending: list[_Grown]) -> TreeState | None:
        """Return the best child's state, and put the others that are not pruned into `pending`.

        Args:
            state: The state to expand.
            pending: The children to go back to, the next one last.
        """
        expansion = await self._expand(state, 0)
        children = [one for one in expansion.children if one.done or not expansion.failure]
        if expansion.failure and not children:
            raise InfrastructureError(expansion.failure, expansion.detail)
        grown = [_Grown(state, child) for child in children]
        ranked = sorted(grown, key=lambda one: -(one.child.value or 0.0))
        kept = [one for one in ranked if not one.child.dead and not self._prunes(one.child)]
        if not kept and not pending and not self.ends:
            kept = ranked[:1]  # a path never ends for want of an action
        following = await self.states.take(state, kept[0].child) if kept else None
        await self._drop(expansion.children)
        pending.extend(reversed(kept[1:]))
        return following

    def _prunes(self, child: Child) -> bool:
        by_value = self.params.evaluate is Evaluate.VALUE
        return by_value and child.value is not None and child.value < self.params.prune

    async def _go_back(self, current: TreeState, to: _Grown) -> TreeState:
        """Return the state of a child that was passed over, whose parent is on the current state's path."""
        await self.world.note(
            EventType.BACKTRACKED,
            path=max(1, self.ends),
            from_branch=self.world.branch,
            to_step=to.parent.steps,
        )
        return await self.states.take(to.parent, to.child, source=current.session)

    async def _weigh(self, state: TreeState) -> None:
        """Count an end and have the judge weigh it; a good one ends the search."""
        self.ends += 1
        try:
            await self.states.judge(state)
        except BudgetExhaustedError:
            self.spent = True
        if self.states.good_enough(state):
            self.ends = self.spec.request.num_path

    def _is_over(self) -> bool:
        return self.spent or self.ends >= self.spec.request.num_path

    async def _expand_all(self, beam: list[TreeState]) -> list[Expansion]:
        """Expand the states of a beam, the first one here and each other one in a branch of its own."""
        branches: dict[int, str] = {}
        for place in range(1, len(beam)):
            branch = await self._spawn(beam[place], place, parts=len(beam) - place + 1)
            if branch:
                branches[place] = branch
        found = {
            place: await self._expand(state, place)
            for place, state in enumerate(beam)
            if place not in branches
        }
        outcomes = await self.world.gather(list(branches.values())) if branches else []
        for place, outcome in zip(branches, outcomes, strict=True):
            if outcome.result is None:
                found[place] = Expansion(failure=outcome.failure, detail=outcome.detail)
                continue
            found[place] = Expansion.model_validate(outcome.result)
            self._follow(beam[place], found[place])
        return [found[place] for place in range(len(beam))]

    async def _spawn(self, state: TreeState, place: int, parts: int) -> str:
        """Open a branch that expands a state in a fork of its session; empty where none can be opened."""
        arguments = ExpandArguments(past=state.past, first_turn=state.first_turn, variant=place)
        forked = await self.world.fork(state.session)
        try:
            return await self.world.spawn(EXPAND, arguments, session=forked.session, parts=parts)
        except BudgetExhaustedError:
            await self.world.close(forked.session)
            return ""

    async def _expand(self, state: TreeState, place: int) -> Expansion:
        """Expand a state here, and keep the sessions of its children."""
        line = self.states.make_line(state)
        found = await self.expander.expand(line, place, keep=True)
        self.states.open += [child.session for child in found.children]
        if self.params.strategy is Strategy.BFS:
            await judge_ends(self.expander, line, found)
        self._follow(state, found)
        return found

    def _follow(self, state: TreeState, found: Expansion) -> None:
        """Take in what became of a state."""
        state.first_turn = max(state.first_turn, found.first_turn)
        self.spent = self.spent or found.spent

    async def _select(self, grown: list[_Grown]) -> list[TreeState]:
        """Return the states of the next beam."""
        open_ = [one for one in grown if not one.child.done]
        live = [one for one in open_ if not one.child.dead]
        if not live and not self.ends:
            live = open_  # a path never ends for want of an action
        count = self.spec.request.num_branch
        if len(live) > count:
            if self.params.evaluate is Evaluate.VOTE:
                await self._vote(live)
            live = await self._draw(live) if self.params.select is Select.SAMPLE else _rank(live, count)
        return [await self.states.take(one.parent, one.child) for one in live]

    async def _vote(self, live: list[_Grown]) -> None:
        """Give each state its share in a vote of all; none where there is no budget for it."""
        contexts = [make_child_context(self.states.make_line(one.parent), one.child) for one in live]
        try:
            shares = await vote(self.world, self.spec, contexts, keep=self.spec.request.num_branch)
        except BudgetExhaustedError:
            self.spent = True
            return
        for one, share in zip(live, shares, strict=True):
            one.child.value = share

    async def _draw(self, live: list[_Grown]) -> list[_Grown]:
        """Return states drawn by their values, in their own order."""
        left, drawn = list(live), list[_Grown]()
        for number in await self.world.draw(self.spec.request.num_branch):
            weights = [max(0.0, _value(one)) for one in left]
            if not any(weights):
                weights = [1.0] * len(left)
            mark, at = number * sum(weights), 0
            while at < len(left) - 1 and mark >= weights[at]:
                mark -= weights[at]
                at += 1
            drawn.append(left.pop(at))
        return [one for one in live if one in drawn]

    async def _take_end(self, grown: list[_Grown]) -> None:
        """Count the ends, and keep the best one's state."""
        ends = [one for one in grown if one.child.done]
        self.ends += len(ends)
        if not ends:
            return
        best = max(ends, key=lambda one: rate(one.child))
        await self.states.retire(await self.states.take(best.parent, best.child))
        if any(one.child.success for one in ends):
            self.ends = self.spec.request.num_path

    async def _drop(self, children: list[Child]) -> None:
        """Close the sessions of children that no state goes on in."""
        for child in children:
            if child.session:
                await self.states.close(child.session)
                child.session = ""


def _value(one: _Grown) -> float:
    return (one.parent.value if one.child.value is None else one.child.value) or 0.0


def _rank(live: list[_Grown], count: int) -> list[_Grown]:
    """Return the best states, the earlier of equal ones."""
    return sorted(live, key=lambda one: -_value(one))[:count]
