"""Expansion: the candidates of a leaf, each taken in a session of its own, and what they led to."""

from collections.abc import Sequence

from services.contracts.action import Candidate
from services.contracts.context import TriedPath
from services.contracts.event import EventType
from services.contracts.event_data import Outcome
from services.orchestrator.identity import name_session
from services.orchestrator.ports import (
    BudgetExhaustedError,
    InfrastructureError,
    Opened,
    Spec,
    World,
)
from services.orchestrator.search.lats.nodes import Node, exhaust, share_samples
from services.orchestrator.search.lats.params import LatsParams
from services.orchestrator.search.line import Line
from services.orchestrator.search.proposals import Proposer
from services.orchestrator.search.valuing import value_turns

MAX_OPEN = 8
"""Leaves that keep their sessions between two iterations."""


class Expander:
    """Expands leaves, and holds the sessions of the root.

    Args:
        world: The root's ports.
        spec: What the method is given of its episode.
        params: The method's parameters.
    """

    def __init__(self, world: World, spec: Spec, params: LatsParams) -> None:
        self.world = world
        self.spec = spec
        self.params = params
        self.tried: list[TriedPath] = []
        """What later expansions begin with."""
        self.open: list[str] = []
        """Sessions of the root."""
        self.spent = False
        """Whether the budget left no room for a call."""
        self.broken: InfrastructureError | None = None
        """What broke while the candidates of a leaf were taken, some of which had been."""

    async def begin(self) -> Node:
        """Return the state at the task's start."""
        opened = await self.world.open()
        self.open.append(opened.session)
        line = Line(self.world, self.spec, opened, self.params.form)
        return Node(past=line.past, session=opened.session, done=opened.done, is_end=opened.done)

    def make_line(self, node: Node) -> Line:
        """Return the line that led to a state."""
        opened = Opened(session=node.session, observation=node.past.observation, done=node.done)
        return Line(
            self.world,
            self.spec,
            opened,
            self.params.form,
            tried=self.tried[-self.params.memory :],
            past=node.past,
            first_turn=node.first_turn,
        )

    async def expand(self, node: Node) -> list[Node]:
        """Return the children of a leaf, in the order of their candidates; none where there is no action.

        Where it is interrupted, the children are those that had been taken: see `spent` and `broken`.

        Raises:
            BudgetExhaustedError: There is no budget for candidates.
            InfrastructureError: A part broke before any candidate was taken.
        """
        await self._reopen(node)
        line = self.make_line(node)
        candidates = await self._propose(line)
        node.first_turn = line.first_turn
        if not candidates:
            await self.close(node)
            return []
        taken = node.children
        try:
            await self._take_all(node, line, candidates)
        except BudgetExhaustedError:
            self.spent = True
        except InfrastructureError as error:
            self.broken = error
        if not taken:
            raise self.broken or BudgetExhaustedError
        alive = [child for child in taken if not child.dead] or taken[:1]
        await self._value(line, [child for child in alive if not child.dead and not child.is_end])
        outcomes = [
            Outcome(
                session=child.session,
                action=child.action,
                value=None if child.dead or child.is_end else child.value,
                dead=child.dead,
            )
            for child in taken
        ]
        best = max(alive, key=lambda child: child.value)
        await self.world.note(EventType.CANDIDATES_COMPARED, outcomes=outcomes, chosen=taken.index(best))
        for child in taken:
            if child.is_end or child not in alive:
                await self.close(child)
        node.children = alive
        for child in alive:
            if child.is_end:
                exhaust(child)
        return alive

    async def fork(self, node: Node) -> str:
        """Return a session in a leaf's state, which the caller hands over or closes."""
        await self._reopen(node)
        forked = await self.world.fork(node.session)
        self.open.append(forked.session)
        return forked.session

    async def trim(self, leaves: Sequence[Node]) -> None:
        """Close the sessions of leaves beyond `MAX_OPEN`, those of the lowest values."""
        held = [node for node in leaves if node.is_open]
        for node in sorted(held, key=lambda node: -node.value)[MAX_OPEN:]:
            await self.close(node)

    async def close(self, node: Node) -> None:
        """Close a state's session."""
        node.is_open = False
        await self.close_session(node.session)

    async def close_session(self, session: str) -> None:
        """Close a session of the root."""
        self.open.remove(session)
        await self.world.close(session)

    async def _reopen(self, node: Node) -> None:
        """Fork a leaf's session from the log, where it was closed."""
        if not node.is_open:
            forked = await self.world.fork(name_session(self.world.branch, node.session))
            node.session, node.is_open = forked.session, True
            self.open.append(forked.session)

    async def _propose(self, line: Line) -> list[Candidate]:
        proposer = Proposer(
            line,
            num_branch=self.spec.request.num_branch,
            grammar=self.params.grammar,
            repeats=self.params.repeats,
        )
        return await proposer.insist()

    async def _fork_all(self, node: Node, count: int) -> list[str]:
        """Return sessions in a leaf's state, its own first; fewer where there is no budget for the forks."""
        sessions = [node.session]
        try:
            while len(sessions) < count:
                sessions.append(await self.fork(node))
        except BudgetExhaustedError:
            self.spent = True
        return sessions

    async def _take_all(self, node: Node, line: Line, candidates: list[Candidate]) -> None:
        """Take the candidates, the first in the leaf's own session, the others in forks; add children."""
        sessions = await self._fork_all(node, len(candidates))
        node.is_open = False  # the first child has its session from here on
        shares = share_samples(candidates)
        for session, candidate, share in zip(sessions, candidates, shares, strict=False):
            seen = await self.world.step(session, candidate.action)
            turn = line.make_turn(candidate, seen.observation)
            past = node.past.extend(turn, valid=seen.valid)
            node.children.append(
                Node(
                    past=past,
                    session=session,
                    parent=node,
                    done=seen.done,
                    is_end=seen.done or len(past.turns) >= self.spec.max_steps,
                    success=seen.success,
                    first_turn=line.first_turn,
                    dead=line.is_futile(candidate, seen, self.params.repeats),
                    share=share,
                )
            )

    async def _value(self, line: Line, children: list[Node]) -> None:
        """Give states their first values: the judge's P(success) and their share of the samples."""
        scores: list[float] | None = None
        if children:
            scores = await self._judge(line, children)
        weight = 0.0 if scores is None else self.params.judge_weight
        for place, child in enumerate(children):
            child.judged = None if scores is None else scores[place]
            child.total = weight * (child.judged or 0.0) + (1 - weight) * child.share

    async def _judge(self, line: Line, children: list[Node]) -> list[float] | None:
        """Return the judge's P(success) of states; None where there is no judge or no budget."""
        if self.params.judge_weight == 0:
            return None
        try:
            return await value_turns(line, [child.past.turns[-1] for child in children])
        except BudgetExhaustedError:
            self.spent = True
        except InfrastructureError:
            pass  # the actor's samples are left
        return None
