"""The searches of tot: breadth-first with a beam, and depth-first with a way back."""

from services.contracts.event import EventType
from services.orchestrator.ports import BudgetExhaustedError, Committed, InfrastructureError, Spec, World
from services.orchestrator.search.tot.expansion import ExpandArguments, Expander, Expansion
from services.orchestrator.search.tot.judging import Child, is_good_end, make_child_context, rate, vote
from services.orchestrator.search.tot.params import Evaluate, Select, Strategy, TotParams
from services.orchestrator.search.tot.states import Grown, States, TreeState

EXPAND = "expand"


async def run(world: World, spec: Spec) -> Committed:
    """Search, and commit the best end, or where there is none the best state."""
    search = _Search(world, spec)
    states = search.states
    bfs = search.params.strategy is Strategy.BFS
    try:
        await (search.search_breadth() if bfs else search.search_depth())
    except BudgetExhaustedError:
        search.spent = True
        if not states.held and states.best is None:
            raise  # not even a session was opened
        await states.retire_all()
    except InfrastructureError:
        await states.retire_all()
        if not states.has_result:
            raise
    return await states.commit(spent=search.spent)


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
            BudgetExhaustedError: There was no budget for a session.
            InfrastructureError: A part broke the expansion of every state, or a session of a state.
        """
        beam = [await self.states.begin()]
        while beam and not self._is_over() and not beam[0].done and beam[0].steps < self.spec.max_steps:
            expansions = await self._expand_all(beam)
            grown = [
                Grown(state, child)
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
        await self.states.retire_all()

    async def search_depth(self) -> None:
        """Go on with the best child, and back to the next best where a path ends not good enough.

        Raises:
            BudgetExhaustedError: There was no budget for a session.
            InfrastructureError: A part broke.
        """
        current = await self.states.begin()
        pending: list[Grown] = []
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

    async def _descend(self, state: TreeState, pending: list[Grown]) -> TreeState | None:
        """Return the best child's state, and put the others that are not pruned into `pending`.

        Args:
            state: The state to expand.
            pending: The children to go back to, the next one last.
        """
        expansion = await self._expand(state, 0)
        children = expansion.children
        if expansion.failure:
            # Where `done` shows a success that is hidden, it does not save a child.
            children = [one for one in children if one.done and not self.spec.hides_ends]
            if not children:
                raise InfrastructureError(expansion.failure, expansion.detail)
        grown = [Grown(state, child) for child in children]
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

    async def _go_back(self, current: TreeState, to: Grown) -> TreeState:
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
        found: dict[int, Expansion] = {}
        for place in range(1, len(beam)):
            branch = await self._spawn(beam[place], place, parts=len(beam) - place + 1)
            if branch:
                branches[place] = branch
        good = False
        for place, state in enumerate(beam):
            if place not in branches:
                found[place] = Expansion() if good else await self._expand(state, place)
                good = good or any(is_good_end(self.spec, one) for one in found[place].children)
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
        session = ""
        try:
            session = (await self.world.fork(state.session)).session
            return await self.world.spawn(EXPAND, arguments, session=session, parts=parts)
        except (BudgetExhaustedError, InfrastructureError):
            if session:
                await self.world.close(session)
            return ""  # the root expands it, as far as that can be done

    async def _expand(self, state: TreeState, place: int) -> Expansion:
        """Expand a state here, and keep the sessions of its children."""
        line = self.states.make_line(state)
        found = await self.expander.expand(line, place, keep=True)
        self.states.open += [child.session for child in found.children]
        self._follow(state, found)
        return found

    def _follow(self, state: TreeState, found: Expansion) -> None:
        """Take in what became of a state."""
        state.first_turn = max(state.first_turn, found.first_turn)
        self.spent = self.spent or found.spent

    async def _select(self, grown: list[Grown]) -> list[TreeState]:
        """Return the states of the next beam.

        Where `done` shows a success that is hidden, ends compete like all others, and are not expanded.
        """
        if self.ends >= self.spec.request.num_path:
            return []
        hides = self.spec.hides_ends
        open_ = [one for one in grown if hides or not one.child.done]
        live = [one for one in open_ if not one.child.dead]
        if not live and not self.ends:
            live = open_  # a path never ends for want of an action
        count = self.spec.request.num_branch
        if len(live) > count:
            if self.params.evaluate is Evaluate.VOTE:
                await self._vote(live)
            live = await self._draw(live) if self.params.select is Select.SAMPLE else _rank(live, count)
        taken = [state for one in live if (state := await self._take(one)) is not None]
        for state in taken:
            if state.done:
                await self.states.retire(state)
        return [state for state in taken if not state.done]

    async def _take(self, one: Grown) -> TreeState | None:
        """Return a child's state; None where it needs a session that there is no budget for."""
        try:
            return await self.states.take(one.parent, one.child)
        except BudgetExhaustedError:
            self.spent = True
            return None

    async def _vote(self, live: list[Grown]) -> None:
        """Give each state its share in a vote of all; none where there is no budget for it, or no judge."""
        contexts = [make_child_context(self.states.make_line(one.parent), one.child) for one in live]
        try:
            shares = await vote(self.world, self.spec, contexts, keep=self.spec.request.num_branch)
        except BudgetExhaustedError:
            self.spent = True
            return
        except InfrastructureError:
            return  # the earlier of them are left
        for one, share in zip(live, shares, strict=True):
            one.child.value = share

    async def _draw(self, live: list[Grown]) -> list[Grown]:
        """Return states drawn by their values, in their own order."""
        left, drawn = list(live), list[Grown]()
        for number in await self.world.draw(self.spec.request.num_branch):
            weights = [max(0.0, one.value) for one in left]
            if not any(weights):
                weights = [1.0] * len(left)
            mark, at = number * sum(weights), 0
            while at < len(left) - 1 and mark >= weights[at]:
                mark -= weights[at]
                at += 1
            drawn.append(left.pop(at))
        return [one for one in live if one in drawn]

    async def _take_end(self, grown: list[Grown]) -> None:
        """Count the ends, and keep the best one's state; a good one ends the search.

        Where `done` shows a success that is hidden, only an end that the judge finds good counts.
        """
        hides = self.spec.hides_ends
        ends = [one for one in grown if one.child.done]
        good = [one for one in ends if is_good_end(self.spec, one.child)]
        broken: InfrastructureError | None = None
        for one in sorted(good if hides else ends, key=lambda one: -rate(one.child)):
            try:
                state = await self._take(one)
            except InfrastructureError as error:
                broken = error
                continue
            if state is not None:
                await self.states.retire(state)
                break
        else:
            if broken is not None:
                raise broken
            return
        self.ends = self.spec.request.num_path if good else self.ends + len(ends)

    async def _drop(self, children: list[Child]) -> None:
        """Close the sessions of children that no state goes on in."""
        for child in children:
            if child.session:
                await self.states.close(child.session)
                child.session = ""


def _rank(live: list[Grown], count: int) -> list[Grown]:
    """Return the best states, the earlier of equal ones."""
    return sorted(live, key=lambda one: -one.value)[:count]
