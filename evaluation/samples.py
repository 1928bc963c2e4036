"""Several episodes of each task at a temperature: how often one succeeds, and how often any does.

Each sample is a run of its own, in `<out>/sample-<n>`, with a seed of its own; `samples.json` sums them up.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from evaluation.intervals import bootstrap, wilson
from evaluation.metrics import Run, rate
from evaluation.run import EvaluationError, run_split
from evaluation.summary import measure_wall
from services.contracts.episode import Episode, EpisodeCreate, Result, State

SEED_STRIDE = 100_003
"""Between the seeds of two samples: far more than the steps of an episode."""
SEEDS = 2**31


class SampleIntervals(BaseModel):
    """95% intervals, `[low, high]`; None where there is nothing to measure."""

    success_rate: tuple[float, float] | None
    """Percentile bootstrap over tasks, as the samples of one task are not independent."""
    mean_reward: tuple[float, float] | None
    """The same."""
    pass_at_k: tuple[float, float] | None
    """Wilson score."""
    majority_rate: tuple[float, float] | None
    """Wilson score."""
    pass_all_rate: tuple[float, float] | None
    """Wilson score."""


class Samples(BaseModel):
    """`samples.json`: rates are over the tasks of which every sample has a result."""

    env: str
    split: str
    method: str
    model: str
    adapter: str | None
    temperature: float
    seed: int
    """The first sample's."""
    samples: int
    """k, episodes of each task."""
    n: int
    """Tasks."""
    incomplete: int
    """Of them, tasks with a sample that infrastructure broke: no score, not a zero."""
    success_rate: float | None
    """The mean over tasks of the share of samples that succeed."""
    mean_reward: float | None
    pass_at_k: float | None
    """The share of tasks that at least one sample solves."""
    majority_rate: float | None
    """The share of tasks that more than half of the samples solve."""
    pass_all_rate: float | None
    """The share of tasks that every sample solves."""
    ci95: SampleIntervals
    llm_calls: int
    """Of all samples, as are the tokens."""
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    wall_s: float
    """Seconds of the runs, one after the other."""


async def run_samples(
    body: EpisodeCreate,
    *,
    samples: int,
    split: str,
    out: Path,
    limit: int | None,
    concurrency: int,
    url: str,
) -> Samples:
    """Run every task of a split several times, write the results, and sum them up.

    Args:
        body: The policy; `params` has the temperature, and its seed is the first sample's.
        samples: Episodes of each task.
        split: The tasks to take.
        out: Folder of `sample-<n>` and `samples.json`.
        limit: Take only the first tasks.
        concurrency: Episodes at once.
        url: The orchestrator's address.

    Raises:
        EvaluationError: The temperature is missing or 0, a folder holds another run, or there are no tasks.
        EspalierError: The orchestrator refuses the policy or does not answer.
    """
    temperature = body.params.get("temperature") or 0.0
    if not temperature:
        raise EvaluationError("Samples at temperature 0 are all the same: give a temperature above 0.")
    runs: list[list[Episode]] = []
    for number in range(samples):
        seed = (body.seed + number * SEED_STRIDE) % SEEDS
        where = {"split": split, "out": out / f"sample-{number}", "limit": limit}
        sampled = body.model_copy(update={"seed": seed})
        runs.append(await run_split(sampled, **where, concurrency=concurrency, url=url))
    found = summarise_samples(runs, split, temperature)
    (out / "samples.json").write_text(found.model_dump_json(indent=2) + "\n")
    return found


def summarise_samples(runs: Sequence[Sequence[Episode]], split: str, temperature: float) -> Samples:
    """Return the summary of runs of one policy on the same tasks with different seeds.

    Args:
        runs: The ended episodes of each run.
        split: The tasks.
        temperature: The actor's.

    Raises:
        ValueError: There are no episodes.
    """
    if not runs or not runs[0]:
        raise ValueError("no episodes to sum up")
    by_task: defaultdict[str, list[Result]] = defaultdict(list)
    for episode in (one for run in runs for one in run):
        results = by_task[episode.request.task_id or ""]
        if episode.state is State.COMPLETED and episode.result is not None:
            results.append(episode.result)
    whole = [results for results in by_task.values() if len(results) == len(runs)]
    solved = [sum(result.success for result in results) for results in whole]
    shares = [count / len(runs) for count in solved]
    rewards = [sum(result.score for result in results) / len(runs) for results in whole]
    counts = {
        "pass_at_k": sum(count > 0 for count in solved),
        "majority_rate": sum(2 * count > len(runs) for count in solved),
        "pass_all_rate": sum(count == len(runs) for count in solved),
    }
    first, measured = runs[0][0], [Run(run) for run in runs]
    usage = Run([one for run in runs for one in run]).usage
    return Samples(
        env=first.request.environment,
        split=split,
        method=first.request.method,
        model=first.model,
        adapter=first.adapter,
        temperature=temperature,
        seed=first.request.seed,
        samples=len(runs),
        n=len(by_task),
        incomplete=len(by_task) - len(whole),
        success_rate=rate(sum(shares), len(whole)),
        mean_reward=rate(sum(rewards), len(whole)),
        ci95=SampleIntervals(
            success_rate=bootstrap(shares),
            mean_reward=bootstrap(rewards),
            **{name: wilson(count, len(whole)) for name, count in counts.items()},
        ),
        llm_calls=usage.calls,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        wall_s=sum(map(measure_wall, measured)),
        **{name: rate(count, len(whole)) for name, count in counts.items()},
    )
