"""The tree: states with their values, and the choice of the next one to expand."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.contracts.action import Candidate
from services.orchestrator.search.line import Past


@dataclass(eq=False)
class Node:
    """A state of the tree."""

    past: Past
    """The steps that led to it."""
    session: str
    """The root's handle of the session that is, or was, in this state."""
    parent: "Node | None" = None
    is_open: bool = True
    """Whether the session is open and still in this state."""
    done: bool = False
    is_end: bool = False
    """Whether no step is taken from it: the environment is done, or the steps are used up."""
    success: bool | None = None
    first_turn: int = 0
    dead: bool = False
    """Whether the step to it was refused or showed nothing new."""
    judged: float | None = None
    """The judge's P(success) of it."""
    share: float = 0.0
    """The part of the samples that were the action that led to it."""
    visits: int = 1
    total: float = 0.0
    """The sum of its values, one a visit."""
    children: list["Node"] = field(default_factory=list["Node"])
    exhausted: bool = False
    """Whether nothing is left to expand at it and below it."""

    @property
    def value(self) -> float:
        """The mean of what was found at it and below it."""
        return self.total / self.visits

    @property
    def steps(self) -> int:
        """Steps from the task's start."""
        return len(self.past.turns)

    @property
    def action(self) -> str:
        """The last action; empty at the task's start."""
        return self.past.turns[-1].action if self.past.turns else ""


def select(root: Node, exploration: float) -> Node | None:
    """Return the leaf to expand next, by UCT; None where nothing is left.

    Args:
        root: The tree.
        exploration: The weight of rarely visited states.
    """
    node = root
    while node.children:
        left = [child for child in node.children if not child.exhausted]
        if not left:
            return None
        node = max(left, key=lambda child: score(child, exploration))
    return None if node.exhausted else node


def score(node: Node, exploration: float) -> float:
    """Return a child's upper confidence bound."""
    assert node.parent is not None, "the root is not selected among others"
    return node.value + exploration * math.sqrt(math.log(node.parent.visits) / node.visits)


def backpropagate(node: Node | None, value: float) -> None:
    """Add a value to a state and to all before it."""
    while node is not None:
        node.visits += 1
        node.total += value
        node = node.parent


def exhaust(node: Node) -> None:
    """Mark a state from which nothing is to be expanded, and those before it that it leaves without any."""
    node.exhausted = True
    parent = node.parent
    while parent is not None and all(child.exhausted for child in parent.children):
        parent.exhausted = True
        parent = parent.parent


def iterate(root: Node) -> Iterator[Node]:
    """Iterate over a tree, parents before their children and these in order."""
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting += node.children


def share_samples(candidates: list[Candidate]) -> list[float]:
    """Return the part of the samples that each candidate has."""
    total = sum(candidate.count for candidate in candidates)
    return [candidate.count / total for candidate in candidates]
