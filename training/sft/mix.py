"""The mix: agent data with probability λ, general data else (the paper's Eq. 1), up to so many tokens."""

import random
from collections.abc import Iterator, Mapping, Sequence

from training.sft.examples import Example

MOST_TIMES = 100
"""More often no kind of record is taken."""


class MixError(ValueError):
    """Raised when the mix cannot be made; the message has the reason."""


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


def taken(agent: Sequence[Example], times: Mapping[str, float], seed: int) -> list[Example]:
    """Agent data with some kinds taken more often, or in part.

    Args:
        agent: Agent data.
        times: How often a kind is taken, by its group: 2 is twice, 0.25 a quarter of it, 1.5 all of it and a
            half again. A kind that is not named is taken once.
        seed: Which part.

    Raises:
        MixError: A group is not among the data, or a number is negative.
    """
    if not times:
        return list(agent)
    groups: dict[str, list[Example]] = {}
    for example in agent:
        groups.setdefault(example.group, []).append(example)
    for group, often in times.items():
        if group not in groups:
            raise MixError(f"there is no {group} in the data; there is {', '.join(sorted(groups))}")
        if not 0 <= often < MOST_TIMES:
            raise MixError(f"{group} cannot be taken {often:g} times; it is from 0 to {MOST_TIMES}")
    draw = random.Random(f"taken/{seed}")  # noqa: S311
    made: list[Example] = []
    for group, examples in sorted(groups.items()):
        whole, part = divmod(times.get(group, 1.0), 1)
        made += examples * int(whole) + draw.sample(examples, round(len(examples) * part))
    return made


def check_share(share: float) -> None:
    """Raises `MixError` where λ is no probability."""
    if not 0 <= share <= 1:
        raise MixError(f"λ is {share}; it is a probability, from 0 to 1")


def _endless(examples: Sequence[Example], draw: random.Random) -> Iterator[Example]:
    while True:
        yield from draw.sample(examples, len(examples))
