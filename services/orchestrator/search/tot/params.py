"""The parameters of tot."""

from enum import StrEnum

from pydantic import Field

from services.contracts.action import Form
from services.contracts.base import Float, Int
from services.orchestrator.search.path import PathParams


class Strategy(StrEnum):
    """The order in which states are expanded."""

    BFS = "bfs"
    """All states of a beam, depth by depth."""
    DFS = "dfs"
    """The best child first, and back to the next best where a path ends not good enough."""


class Generate(StrEnum):
    """How candidates are requested."""

    SAMPLE = "sample"
    """All in one request."""
    PROPOSE = "propose"
    """The greedy one first, then others by requests that avoid those proposed before."""


class Evaluate(StrEnum):
    """What states are compared by."""

    VALUE = "value"
    """The judge's P(success) of each."""
    VOTE = "vote"
    """The judge's P(best) among all that compete."""


class Select(StrEnum):
    """How the states of the next beam are selected."""

    GREEDY = "greedy"
    """The best; of equal ones the earlier."""
    SAMPLE = "sample"
    """Drawn without replacement, weighted by their values."""


class TotParams(PathParams):
    """Parameters of tot."""

    form: Form = Form.REACT
    strategy: Strategy = Strategy.BFS
    generate: Generate = Generate.SAMPLE
    evaluate: Evaluate = Evaluate.VALUE
    select: Select = Select.GREEDY
    """Of the breadth-first search."""
    expand: Int = Field(default=3, ge=1, le=16)
    """Candidates for each state."""
    prune: Float = Field(default=0.2, ge=0, le=1)
    """The depth-first search leaves out children whose value is below; a vote has no values to prune by."""
    temperature: Float | None = Field(default=None, ge=0, le=2)
    """Of the actor's samples; None: the service's own setting, and 1 beside the greedy one."""
