"""How good yes-or-no verdicts are, and how far their probabilities can be believed."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from evaluation.intervals import bootstrap

BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict beside the truth."""

    p_yes: float
    truth: bool

    @property
    def right(self) -> bool:
        """Whether the likelier answer is the true one."""
        return (self.p_yes >= 0.5) == self.truth


class Bin(BaseModel):
    """Verdicts of like probability."""

    p_yes: float
    """Their mean."""
    yes: float
    """The share whose truth is yes."""
    n: int


class Calibration(BaseModel):
    """What is known of a judge's yes-or-no verdicts."""

    n: int
    balanced_accuracy: float
    """The mean of the accuracies over true yes and over true no: always the same answer gives 0.5."""
    ci95: tuple[float, float]
    """Of the balanced accuracy, by bootstrap."""
    accuracy: float
    always_yes: float
    """The accuracy of the answer yes to all; no to all has the rest."""
    calibration_error: float
    """Expected calibration error: mean distance of P(yes) and the share of yes, over ten bins of equal width,
    weighted by size (Naeini and others, 2015)."""
    bins: list[Bin]


def calibration(verdicts: Sequence[Judged]) -> Calibration:
    """Accuracy and calibration.

    Raises:
        ValueError: One of the answers never was the true one.
    """
    yes = [float(one.right) for one in verdicts if one.truth]
    no = [float(one.right) for one in verdicts if not one.truth]
    if not yes or not no:
        raise ValueError("verdicts of both kinds are wanted: some whose truth is yes, and some no")
    n = len(verdicts)
    bins = _bins(verdicts)
    # Weighted so that the mean over all is the balanced accuracy.
    weighted = [value * n / (2 * len(kind)) for kind in (yes, no) for value in kind]
    interval = bootstrap(weighted)
    assert interval is not None, "there are verdicts"
    return Calibration(
        n=n,
        balanced_accuracy=(sum(yes) / len(yes) + sum(no) / len(no)) / 2,
        ci95=(interval[0], min(1.0, interval[1])),
        accuracy=(sum(yes) + sum(no)) / n,
        always_yes=len(yes) / n,
        calibration_error=sum(one.n * abs(one.p_yes - one.yes) for one in bins) / n,
        bins=bins,
    )


def _bins(verdicts: Sequence[Judged]) -> list[Bin]:
    made: list[Bin] = []
    for number in range(BINS):
        held = [one for one in verdicts if min(int(one.p_yes * BINS), BINS - 1) == number]
        if held:
            count = len(held)
            made.append(
                Bin(
                    p_yes=sum(one.p_yes for one in held) / count,
                    yes=sum(one.truth for one in held) / count,
                    n=count,
                )
            )
    return made
