"""An adapter's card, `card.json` beside its weights: what it is, its training data, its measured results."""

from typing import Annotated, Any

from pydantic import Field

from services.contracts.base import Message


class Measured(Message):
    """One run of `espalier eval`, as its `summary.json` has it."""

    environment: str
    split: str
    method: str
    n: int
    failed: int
    success_rate: float
    success_ci95: tuple[float, float]
    mean_reward: float
    reward_ci95: tuple[float, float]
    format_error_rate: float
    invalid_action_rate: float
    loop_rate: float
    steps_mean: float
    trained_on: bool
    """Whether the adapter was trained on tasks of this split."""


class Card(Message):
    """What goes with an adapter's weights."""

    @property
    def planned(self) -> list[str]:
        """The environments whose plans it learned."""
        return [
            group.partition("/")[0]
            for group, count in self.groups.items()
            if group.endswith("/plan") and count
        ]

    name: str
    """`<role>@<digest>`."""
    base: str
    """The base model's name."""
    profile: str
    """The prompt profile, `name@digest`."""
    roles: list[str]
    rank: int
    share: float
    """λ: the probability of agent data."""
    tokens: int
    """Tokens of its training data, prompts included."""
    seed: int
    data: str
    """The digest of the training sequences, in order."""
    groups: dict[str, int] = Field(default_factory=dict[str, int])
    """Sequences by environment and kind."""
    splits: list[str] = Field(default_factory=list[str])
    """The splits of its training data, `environment/split`."""
    start: str = ""
    """The adapter that its training started from, whose tokens are not counted; empty for none."""
    scale: float = 1.0
    """The part of the learned change of weights that is kept (`espalier adapters shrink`)."""
    averaged: list[str] = Field(default_factory=list[str])
    """The two adapters that it is the average of (`espalier adapters average`); the rest is the second's."""
    hyper: dict[str, Any] = Field(default_factory=dict[str, Any])
    losses: list[tuple[int, float]] = Field(default_factory=list[tuple[int, float]])
    """Step and loss."""
    held_out: list[tuple[int, float]] = Field(default_factory=list[tuple[int, float]])
    """Step and loss a token on held-out records; empty where none were given."""
    best_step: int | None = None
    """The step whose weights these are, where the held-out loss chose it; None: the last step."""
    seconds: float = 0.0
    margins: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict[str, float])
    """By environment, what a candidate's value must be above the greedy one's to replace it, calibrated on
    development tasks; 1: the greedy one always stays. An environment that is missing has no values."""
    measured: list[Measured] = Field(default_factory=list[Measured])
