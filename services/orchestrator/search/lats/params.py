"""The parameters of lats."""

from pydantic import Field

from services.contracts.action import Form
from services.contracts.base import Bool, Float, Int
from services.orchestrator.search.path import PathParams


class LatsParams(PathParams):
    """Parameters of lats."""

    form: Form = Form.REACT
    iterations: Int = Field(default=6, ge=1, le=64)
    """How many leaves are expanded at most."""
    exploration: Float = Field(default=1.0, ge=0, le=10)
    """The weight of rarely visited states in the selection (w in the paper); 0: the highest value wins."""
    judge_weight: Float = Field(default=0.5, ge=0, le=1)
    """The judge's part of a state's value (lambda in the paper). The rest is the share of the samples that
    were the action that led to it."""
    rollout: Bool = True
    """Walk from the best new state to an end; otherwise its value is what the leaf's path gets."""
    reflect: Bool = True
    """Reflect on ends that were not good enough."""
    memory: Int = Field(default=3, ge=1, le=8)
    """How many paths that were tried an expansion begins with, the newest ones, with their lessons."""
