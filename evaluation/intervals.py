"""95% intervals of rates and means."""

import math
import random
from collections.abc import Sequence

Z = 1.959963984540054
RESAMPLES = 4000


def wilson(successes: int, n: int) -> tuple[float, float] | None:
    """The Wilson score interval of a rate (Wilson 1927); None for n = 0."""
    if n == 0:
        return None
    rate = successes / n
    scale = 1 + Z * Z / n
    centre = (rate + Z * Z / (2 * n)) / scale
    half = Z * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Sequence[float]) -> tuple[float, float] | None:
    """The percentile bootstrap interval of a mean, the same for the same values; None for none."""
    if not values:
        return None
    chance = random.Random(0)  # noqa: S311
    n = len(values)
    means = sorted(sum(chance.choices(values, k=n)) / n for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
