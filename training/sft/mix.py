"""The mix: agent data with probability λ, general data else (the paper's Eq. 1), up to so many tokens."""

import random
from collections.abc import Iterator, Sequence

from training.sft.examples import Example


class MixError(ValueError):
    """The mix cannot be made; the message says why."""


def mix(
    agent: Sequence[Example], general: Sequence[Example], share: float, tokens: int, seed: int
) -> list[Example]:
    """Draw examples until so many tokens are reached.

    Each kind is gone through in an order of its own, shuffled anew each time it is through.

    Args:
        agent: Agent data.
        general: General data.
        share: λ, 0 to 1: the probability of drawing agent data.
        tokens: How many tokens in all.
        seed: What is drawn.

    Raises:
        MixError: λ is out of range, or a kind that is to be drawn has no data.
    """
    check_share(share)
    if share > 0 and not agent:
        raise MixError("there is no agent data, and λ is above 0")
    if share < 1 and not general:
        raise MixError("there is no general data, and λ is below 1: give some, or λ = 1")
    draw = random.Random(f"mix/{seed}")  # noqa: S311
    streams = (_endless(agent, draw), _endless(general, draw))
    drawn: list[Example] = []
    total = 0
    while total < tokens:
        example = next(streams[0] if draw.random() < share else streams[1])
        drawn.append(example)
        total += len(example.input_ids)
    return drawn


def check_share(share: float) -> None:
    """Raises `MixError` where λ is no probability."""
    if not 0 <= share <= 1:
        raise MixError(f"λ is {share}; it is a probability, from 0 to 1")


def _endless(examples: Sequence[Example], draw: random.Random) -> Iterator[Example]:
    while True:
        yield from draw.sample(examples, len(examples))
