"""The tree of an episode: branches and their steps, folded from the log."""

from pydantic import Field

from services.contracts.base import Message


class NodeCandidate(Message):
    """A candidate that stood at a step."""

    action: str
    thought: str = ""
    well_formed: bool = True
    score: float | None = None
    """The judge's score, where there is one."""
    count: int = 1
    repeated: bool = False
    """Whether it was passed over, because it would repeat what had no effect."""


class Node(Message):
    """One step of a branch."""

    id: str
    """`<branch>/<n>`."""
    parent: str | None = None
    """The step before it: of the same branch, or of the one whose session was forked; None at the start."""
    action: str
    observation: str
    valid: bool = True
    done: bool = False
    p_subtask_done: float | None = None
    value: float | None = None
    """The judge's P(success) from here, where it was compared."""
    taken_back: bool = False
    """Whether it was taken in a fork alone, to see what it leads to, and the branch went another way."""
    candidates: list[NodeCandidate] = Field(default_factory=list[NodeCandidate])


class Branch(Message):
    """One branch and its nodes, in the order in which they were taken."""

    id: str
    parent: str | None = None
    worker: str = ""
    """The worker that took it last, where it is a job of its own."""
    plan: list[str] = Field(default_factory=list[str])
    observation: str = ""
    nodes: list[Node] = Field(default_factory=list[Node])
    ended: str = ""
    p_good_enough: float | None = None
    failure: str = ""
    committed: bool = False


class Tree(Message):
    """`GET /v1/episodes/{id}/tree`."""

    episode: str
    instruction: str = ""
    branches: list[Branch]
