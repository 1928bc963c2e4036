"""The search: iterations of selection, expansion, rollout, backpropagation and reflection."""

from typing import Any

from services.contracts.event import EventType
from services.contracts.event_data import Outcome
from services.orchestrator.identity import name_session
from services.orchestrator.ports import (
    BudgetExhaustedError,
    Committed,
    InfrastructureError,
    Spec,
    World,
)
from services.orchestrator.search.ended_paths import is_good_enough, weigh_end
from services.orchestrator.search.lats.expansion import Expander
from services.orchestrator.search.lats.nodes import Node, backpropagate, exhaust, iterate, select
from services.orchestrator.search.lats.params import LatsParams
from services.orchestrator.search.lessons import reflect
from services.orchestrator.search.path import Ended, PathArguments, PathResult, Policy, Return, walk

ROLLOUT = "rollout"
ITERATIONS = "iterations"
"""Why a path ended that the search did not go on with."""


async def run(world: World, spec: Spec) -> Committed:
    """Search until an end is good enough, and commit it, or the best that was found."""
    search = _Search(world, spec)
    await search.run()
    return await search.commit()


async def roll_out(world: World, spec: Spec, arguments: dict[str, Any]) -> PathResult:
    """Walk greedily to an end and have the judge weigh it."""
    params = LatsParams.model_validate(spec.request.params)
    policy = Policy(form=params.form, grammar=params.grammar, repeats=params.repeats)
    path = await walk(world, spec, policy, PathArguments.model_validate(arguments))
    return await weigh(world, spec, path)


async def weigh(world: World, spec: Spec, path: PathResult) -> PathResult:
    """Return an end with P(good enough): from its success where that may be seen, else the judge's."""
    if path.success is not None:
        return path.model_copy(update={"p_good_enough": float(path.success)})
    return await weigh_end(world, spec, path)


class _Search:
    """The search of one episode."""

    def __init__(self, world: World, spec: Spec) -> None:
        self.world = world
        self.spec = spec
        self.params = LatsParams.model_validate(spec.request.params)
        self.expander = Expander(world, spec, self.params)
        self.root: Node | None = None
        self.ends: list[tuple[Node, str, PathResult]] = []
        """The state that each end was reached from, or is, its branch, and the path to it."""
        self.walked: list[tuple[PathResult, int]] = []
        """Rollouts, with the number of lessons that they had."""
        self.found: PathResult | None = None
        """The end that is good enough."""

    async def run(self) -> None:
        """Iterate until an end is good enough, or nothing is left to expand or to spend.

        Raises:
            InfrastructureError: A part broke before there was an end.
        """
        self.root = await self.expander.begin()
        if self.root.is_end:
            return
        try:
            for iteration in range(1, self.params.iterations + 1):
                leaf = select(self.root, self.params.exploration)
                if leaf is None or self.expander.spent or self.found is not None:
                    break
                failed = await self._iterate(leaf)
                if self.expander.broken is not None:
                    raise self.expander.broken
                if failed is not None and iteration < self.params.iterations:
                    await self._reflect(failed)
        except BudgetExhaustedError:
            self.expander.spent = True
        except InfrastructureError:
            # Where `done` shows a success that is hidden, whether there is an end decides nothing.
            if not (self.root.children if self.spec.hides_ends else self.ends):
                raise

    async def _iterate(self, leaf: Node) -> PathResult | None:
        """Expand a leaf and take in what comes of it; return an end that was reached, if there is one."""
        children = await self.expander.expand(leaf)
        if not children:
            exhaust(leaf)
            backpropagate(leaf, 0.0)
            return None
        reached: list[PathResult] = []
        for child in children:
            if child.is_end and self.found is None:
                reached.append(await self._weigh(child))
        open_ = [child for child in children if not child.is_end]
        interrupted = self.expander.spent or self.expander.broken is not None
        if open_ and self.found is None and not interrupted:
            best = max(open_, key=lambda child: child.value)
            end = await self._roll_out(best) if self.params.rollout else None
            if end is None:
                backpropagate(leaf, best.value)
            else:
                backpropagate(best, self._rate(best, end))
                reached.append(end)
        assert self.root is not None
        await self.expander.trim(list(iterate(self.root)))
        return reached[-1] if reached else None

    async def _weigh(self, node: Node) -> PathResult:
        """Return the end that a state is, weighed by the judge."""
        context = self.expander.make_line(node).context()
        path = PathResult(
            ended=Ended.DONE if node.done else Ended.MAX_STEPS,
            context=context,
            success=node.success,
            session=name_session(self.world.branch, node.session),
        )
        if not self.expander.spent:
            weighed = await weigh(self.world, self.spec, path)
            self.expander.spent = weighed.ended is Ended.BUDGET
            path = path.model_copy(update={"p_good_enough": weighed.p_good_enough})
        self._add_end(node, self.world.branch, path)
        node.total = self._rate(node, path)
        backpropagate(node.parent, node.total)
        return path

    async def _roll_out(self, node: Node) -> PathResult | None:
        """Walk from a state to an end, in a branch; None where there is none.

        A rollout that passed the state with the same lessons would be walked again: its end is returned.
        """
        lessons = len(self.expander.tried)
        for path, had in self.walked:
            if had == lessons and path.context.turns[: node.steps] == node.past.turns:
                return path
        session = await self.expander.fork(node)
        tried = self.expander.tried[-self.params.memory :]
        arguments = PathArguments(tried=tried, back=Return(past=node.past))
        try:
            branch = await self.world.spawn(ROLLOUT, arguments, session=session)
        except BudgetExhaustedError:
            await self.expander.close_session(session)
            self.expander.spent = True
            return None
        self.expander.open.remove(session)
        [outcome] = await self.world.gather([branch])
        if outcome.result is None:
            return None
        path = PathResult.model_validate(outcome.result)
        self.walked.append((path, lessons))
        self._add_end(node, branch, path)
        return path

    def _add_end(self, node: Node, branch: str, path: PathResult) -> None:
        self.ends.append((node, branch, path))
        if self.found is None and is_good_enough(self.spec, path.success, path.p_good_enough):
            self.found = path

    async def _reflect(self, failed: PathResult) -> None:
        """Take the lesson of an end into what later expansions begin with."""
        if not self.params.reflect or self.found is not None or self.expander.spent:
            return
        if failed.ended is not Ended.BUDGET:
            self.expander.tried.append(await reflect(self.world, self.spec, failed.context))

    def _rate(self, node: Node, path: PathResult) -> float:
        """Return what an end is worth: its success where it may be seen; unweighed, what its state is."""
        if path.success is not None:
            return float(path.success)
        if path.p_good_enough is not None:
            return path.p_good_enough
        return _judge_leaf(node) if self.spec.hides_ends else node.value

    async def commit(self) -> Committed:
        """Commit the best end, or without any the best state, and close all sessions."""
        end = max(self.ends, key=self._rank) if self.ends else None
        leaf = self._find_best_leaf()
        if end is not None and not self._loses(end, leaf):
            node, branch, path = end
            ended, steps = str(path.ended), path.steps
        else:
            assert leaf is not None, "a tree without an end has other leaves"
            node, branch = leaf, self.world.branch
            ended, steps = self._name_end(node), node.steps
        if branch == self.world.branch:
            outcome = Outcome(session=node.session, action=node.action, value=node.value)
            await self.world.note(EventType.CANDIDATES_COMPARED, outcomes=[outcome], chosen=0)
            await self.world.note(EventType.PATH_ENDED, reason=ended, steps=steps)
        for session in list(self.expander.open):
            await self.expander.close_session(session)
        good = self.found is not None
        await self.world.note(EventType.PATH_COMMITTED, branch=branch, good_enough=good)
        return Committed(branch=branch, good_enough=good, ended=ended, steps=steps)

    def _rank(self, item: tuple[Node, str, PathResult]) -> tuple[bool, bool, float]:
        """Return what is higher the better an end is: one that the budget cut short comes last.

        Where `done` shows a success that is hidden, it is the judge's P alone.
        """
        node, _, path = item
        whole = self.spec.hides_ends or path.ended is not Ended.BUDGET
        return path is self.found, whole, self._rate(node, path)

    def _loses(self, end: tuple[Node, str, PathResult], leaf: Node | None) -> bool:
        """Return whether a leaf is committed and not the best end: where `done` alone made it one.

        A rollout ends anyhow: that there is one shows no success.
        """
        node, _, path = end
        if not self.spec.hides_ends or self.walked or path is self.found or leaf is None:
            return False
        return _judge_leaf(leaf) > self._rate(node, path)

    def _find_best_leaf(self) -> Node | None:
        """Return the best leaf that is no end, of equal ones the deepest.

        The sessions of all other states have moved on.
        """
        assert self.root is not None
        worth = _judge_leaf if self.spec.hides_ends else _value_leaf
        ends = [node for node, branch, _ in self.ends if branch == self.world.branch]
        leaves = [node for node in iterate(self.root) if not node.children and node not in ends]
        return max(leaves, key=lambda node: (worth(node), node.steps), default=None)

    def _name_end(self, node: Node) -> str:
        if node.is_end:
            return Ended.DONE
        if self.expander.spent:
            return Ended.BUDGET
        return Ended.MALFORMED if self.root is not None and self.root.exhausted else ITERATIONS


def _judge_leaf(node: Node) -> float:
    """Return the judge's P(success) of a leaf; without one, its value."""
    return node.value if node.judged is None else node.judged


def _value_leaf(node: Node) -> float:
    return node.value
