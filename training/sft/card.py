"""An adapter's card: what it is, what it was made from, what it was measured at."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from services.contracts.base import Message

CARD = "card.json"
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


class AdapterError(ValueError):
    """A folder is no adapter that can be used; the message says why."""


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
    """Whether tasks of this split were trained on."""


class Card(Message):
    """What goes with an adapter's weights."""

    name: str
    """`<role>@<digest>`."""
    base: str
    profile: str
    """The prompt profile, `name@digest`."""
    roles: list[str]
    rank: int
    share: float
    """λ: the probability of agent data."""
    tokens: int
    """Tokens that it learned from, prompts included."""
    seed: int
    data: str
    """The digest of the sequences, in the order in which they were learned."""
    groups: dict[str, int] = Field(default_factory=dict[str, int])
    """Sequences by environment and kind."""
    splits: list[str] = Field(default_factory=list[str])
    """The splits that were trained on, `environment/split`."""
    start: str = ""
    """The adapter that it goes on from; its tokens are not counted here."""
    scale: float = 1.0
    """The part of the learned change of weights that is kept: `espalier adapters shrink`."""
    hyper: dict[str, Any] = Field(default_factory=dict[str, Any])
    losses: list[tuple[int, float]] = Field(default_factory=list[tuple[int, float]])
    """Step and loss."""
    seconds: float = 0.0
    measured: list[Measured] = Field(default_factory=list[Measured])


def digest(folder: Path) -> str:
    """The first twelve hexadecimal digits of a SHA-256 over weights and configuration.

    Raises:
        AdapterError: A file is missing.
    """
    found = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        path = folder / name
        if not path.is_file():
            raise AdapterError(f"{folder} lacks {name}: it is no LoRA adapter in PEFT's form")
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def read_card(folder: Path) -> Card:
    """The card of an adapter, checked against its weights.

    Raises:
        AdapterError: There is none, it is malformed, or the weights are others.
    """
    try:
        card = Card.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder / CARD}: {error}") from error
    if card.name.rpartition("@")[2] != digest(folder):
        raise AdapterError(f"{folder}: the weights are not those that {CARD} names ({card.name})")
    return card


def add_measured(folder: Path, summaries: Sequence[Path]) -> Card:
    """Write what `espalier eval` found into an adapter's card, over what a run on the same split said.

    Raises:
        AdapterError: A summary is malformed, or of another adapter.
    """
    card = read_card(folder)
    found = {(one.environment, one.split, one.method): one for one in card.measured}
    for path in summaries:
        try:
            told = json.loads(path.read_text())
            if told["adapter"] != card.name:
                raise AdapterError(f"{path} is of {told['adapter']}, not of {card.name}")
            one = Measured(
                environment=told["env"],
                success_ci95=told["ci95"]["success_rate"],
                reward_ci95=told["ci95"]["mean_reward"],
                trained_on=f"{told['env']}/{told['split']}" in card.splits,
                **{name: told[name] for name in Measured.model_fields if name in told},
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise AdapterError(f"{path}: {error}") from error
        found[one.environment, one.split, one.method] = one
    card = card.model_copy(update={"measured": [found[key] for key in sorted(found)]})
    write_card(folder, card)
    return card


def write_card(folder: Path, card: Card) -> None:
    """Write a card beside the weights."""
    (folder / CARD).write_text(json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
