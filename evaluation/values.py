"""How well the judge values states: `python -m evaluation.values FILE ... --out DIR`.

The records are held-out ones of `espalier construct values --equal 1 --forecasts 0`: states that candidates
led to, each with the share of rollouts that succeeded from there. Of states with several candidates it is
measured what choosing earns, by the judge's values with each margin, by the actor's own log-probability, and
with hindsight, beside the actor's own candidate. Writes `values.json`. With `--calibrate FOLDER` the margins
go into the card of an adapter: measure on tasks that are neither learned nor reported.
"""

import argparse
import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pydantic import BaseModel, Field

from espalier.adapter_folder import CARD, read_card
from espalier.client import AsyncJudge
from evaluation.intervals import bootstrap, wilson
from services.contracts.verdict import ValueQuestion
from training.construct.record import Record, read_records

CONCURRENCY = 16
TIMEOUT = 300.0
MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1.0)


@dataclass(frozen=True)
class Valued:
    """One candidate of a state."""

    share: float
    """Of the rollouts that succeeded from it."""
    value: float
    """The judge's."""
    logprob: float
    own: bool
    """Whether it is the actor's greedy one."""
    wins: tuple[bool, ...] = ()
    """Whether each rollout succeeded."""
    task: str = ""
    """The task, with the seed of its session."""

    @property
    def first(self) -> float:
        """How the first rollout ended."""
        return float(self.wins[0]) if self.wins else self.share

    @property
    def rest(self) -> float:
        """The share of the other rollouts that succeeded; of one alone its own."""
        others = self.wins[1:]
        return sum(others) / len(others) if others else self.share


class Earned(BaseModel):
    """What a way to choose earns: the mean share of the candidates that it takes."""

    mean: float
    ci95: tuple[float, float]
    """Of the difference to the actor's own candidates, a bootstrap over tasks."""
    replaced: float
    """The share of states at which it takes another candidate than the actor's own."""


class Ranking(BaseModel):
    """How often the better of two candidates of one state is valued higher; ties count half."""

    n: int
    right: float
    ci95: tuple[float, float] | None
    """Wilson's, of the number that is right."""


class ValueReport(BaseModel):
    """What was found for one environment."""

    states: int
    candidates: int
    brier: float
    """The mean squared difference of value and share."""
    brier_constant: float
    """The same of a judge that always answers the mean share."""
    judge: Ranking
    logprob: Ranking
    own: float
    """The mean share of the actor's own candidates."""
    margins: dict[float, Earned] = Field(default_factory=dict[float, Earned])
    """By the judge's values: what each margin earns."""
    by_logprob: Earned
    hindsight: Earned
    """Chosen by the first rollout, worth what the others earn: what seeing one rollout of each would earn."""
    margin: float
    """The one that `choose_margin` finds."""


def rank(states: Sequence[Sequence[Valued]], score: Callable[[Valued], float]) -> Ranking:
    """Return how well a score ranks the candidates of states."""
    n, right = 0, 0.0
    for state in states:
        for one, other in combinations(state, 2):
            if one.share == other.share:
                continue
            better, worse = (one, other) if one.share > other.share else (other, one)
            n += 1
            right += 0.5 if score(better) == score(worse) else float(score(better) > score(worse))
    return Ranking(n=n, right=right / n if n else 0.0, ci95=wilson(round(right), n))


def earn(
    states: Sequence[Sequence[Valued]],
    score: Callable[[Valued], float],
    margin: float = 0.0,
    worth: Callable[[Valued], float] = lambda one: one.share,
) -> Earned:
    """Return what it earns to take the candidate of the highest score, above the actor's own by a margin.

    Args:
        states: The candidates of each state.
        score: What they are chosen by.
        margin: 1 takes the actor's own.
        worth: What the chosen one earns.
    """
    earned: list[float] = []
    gains: dict[str, list[float]] = defaultdict(list)
    replaced = 0
    for number, state in enumerate(states):
        own = next(one for one in state if one.own)
        best = max(state, key=lambda one: (score(one), one.own))
        taken = best if best is not own and score(best) - score(own) >= margin and margin < 1 else own
        replaced += taken is not own
        earned.append(worth(taken))
        gains[own.task or str(number)].append(worth(taken) - worth(own))
    by_task = [sum(one) / len(one) for one in gains.values()]
    return Earned(
        mean=sum(earned) / len(earned), ci95=bootstrap(by_task) or (0.0, 0.0), replaced=replaced / len(states)
    )


def report(states: Sequence[Sequence[Valued]]) -> ValueReport:
    """Return the figures of states with at least two candidates, one of them the actor's own."""
    every = [one for state in states for one in state]
    mean = sum(one.share for one in every) / len(every)
    return ValueReport(
        states=len(states),
        candidates=len(every),
        brier=sum((one.value - one.share) ** 2 for one in every) / len(every),
        brier_constant=sum((mean - one.share) ** 2 for one in every) / len(every),
        judge=rank(states, lambda one: one.value),
        logprob=rank(states, lambda one: one.logprob),
        own=sum(next(one for one in state if one.own).share for state in states) / len(states),
        margins={margin: earn(states, lambda one: one.value, margin) for margin in MARGINS},
        by_logprob=earn(states, lambda one: one.logprob),
        hindsight=earn(states, lambda one: one.first, worth=lambda one: one.rest),
        margin=choose_margin(states),
    )


def choose_margin(states: Sequence[Sequence[Valued]]) -> float:
    """Return the margin that earns the most on half of the tasks, if the other half confirms its gain.

    Without a gain above 0 at 95% confidence on that half it is 1, which is greedy.
    """
    halves: tuple[list[Sequence[Valued]], list[Sequence[Valued]]] = ([], [])
    for number, state in enumerate(states):
        digest = hashlib.sha256((state[0].task or str(number)).encode()).digest()
        halves[digest[-1] % 2].append(state)
    if not all(halves):
        return 1.0
    first = {margin: earn(halves[0], lambda one: one.value, margin).mean for margin in MARGINS}
    best = max(first, key=lambda margin: (first[margin], margin))
    return best if earn(halves[1], lambda one: one.value, best).ci95[0] > 0 else 1.0


def calibrate(folder: Path, found: Mapping[str, ValueReport]) -> dict[str, float]:
    """Write the margins of environments into an adapter's card and return all that it has.

    Raises:
        AdapterError: The folder does not hold an adapter with a card of its own.
    """
    card = read_card(folder)
    margins = {**card.margins, **{name: one.margin for name, one in found.items()}}
    text = card.model_copy(update={"margins": margins}).model_dump_json(indent=1)
    (folder / CARD).write_text(f"{text}\n", encoding="utf-8")
    return margins


async def measure(
    records: Sequence[Record], judge: AsyncJudge, concurrency: int = CONCURRENCY
) -> dict[str, ValueReport]:
    """Have the judge value the states of records and return the figures of each environment.

    Raises:
        EspalierError: The judge refuses, or is away.
    """
    places = asyncio.Semaphore(concurrency)
    kept = [record for record in records if record.kind == "value" and not record.question.get("visited")]

    async def value(record: Record) -> Valued:
        async with places:
            found = await judge.value(ValueQuestion(context=record.context))
        question = record.question
        logprob = question.get("logprob")
        likely = float("-inf") if logprob is None else float(logprob)
        return Valued(
            float(question["share"]),
            found.scores[0],
            likely,
            bool(question.get("own")),
            tuple(question.get("wins", ())),
            f"{record.task_id} {record.provenance.seed}",
        )

    states: dict[str, dict[tuple[str, int], list[Valued]]] = defaultdict(lambda: defaultdict(list))
    for record, valued in zip(kept, await asyncio.gather(*map(value, kept)), strict=True):
        states[record.environment][valued.task, int(record.question["state"])].append(valued)
    found: dict[str, ValueReport] = {}
    for environment, by_state in states.items():
        whole = [state for state in by_state.values() if len(state) > 1 and any(one.own for one in state)]
        if whole:
            found[environment] = report(whole)
    return found


async def _run(records: Sequence[Record], judge: str) -> dict[str, ValueReport]:
    async with AsyncJudge(judge, timeout=TIMEOUT) as client:
        return await measure(records, client)


def main() -> None:
    """Measure the judge that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judge", default="http://127.0.0.1:8002")
    parser.add_argument("--calibrate", type=Path, help="an adapter's folder; margins go into its card")
    options = parser.parse_args()
    records = [record for path in options.files for record in read_records(path)]
    found = asyncio.run(_run(records, options.judge))
    options.out.mkdir(parents=True, exist_ok=True)
    lines = [f'"{name}": {one.model_dump_json(indent=1)}' for name, one in found.items()]
    text = "{" + ",\n".join(lines) + "}\n"
    (options.out / "values.json").write_text(text)
    print(text)
    if options.calibrate:
        print(f"margins: {calibrate(options.calibrate, found)}")


if __name__ == "__main__":
    main()
