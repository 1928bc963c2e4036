"""A run's `summary.json`: its policy, and its metrics."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel

from evaluation.intervals import bootstrap, wilson
from evaluation.metrics import Metric, Run, rate, show_mean, show_percent
from services.contracts.episode import Episode

LINEAR = frozenset({"io", "cot", "react"})
"""Methods that walk one path: they use no `num_branch`, `num_path` or `num_subtasks`."""
PLACES = ("model", "environment", "orchestration", "queueing")
"""Where an episode's time goes."""


class Intervals(BaseModel):
    """95% intervals, `[low, high]`; None without episodes."""

    success_rate: tuple[float, float] | None
    """Wilson score."""
    mean_reward: tuple[float, float] | None
    """Percentile bootstrap."""


def measure_intervals(run: Run) -> Intervals:
    """Return the 95% intervals of a run's rates."""
    return Intervals(success_rate=wilson(run.successes, len(run.results)), mean_reward=bootstrap(run.rewards))


def measure_wall(run: Run) -> float:
    """Return the seconds from the first creation to the last end; 0 where no episode has ended."""
    ended = [episode.ended_at for episode in run.episodes if episode.ended_at is not None]
    return max(ended) - min(episode.created_at for episode in run.episodes) if ended else 0.0


class Summary(BaseModel):
    """`summary.json`: rates are over `n - failed`. Each field with a `Metric` is a metric."""

    env: str
    split: str
    method: str
    model: str
    adapter: str | None
    profile: str
    feedback: str
    num_branch: int | None
    """The request's value; None for io, cot and react, as are the next two."""
    num_path: int | None
    num_subtasks: int | None = None
    max_steps: int | None
    seed: int
    version: str
    n: Annotated[int, Metric(lambda run: len(run.episodes), "n (failed)", beside="failed")]
    failed: Annotated[int, Metric(lambda run: len(run.episodes) - len(run.results))]
    """Episodes that infrastructure broke: no score, not a zero."""
    success_rate: Annotated[
        float | None,
        Metric(
            lambda run: rate(run.successes, len(run.results)), "success, 95%", show_percent, "success_rate"
        ),
    ]
    success_rate_failed_as_zero: Annotated[
        float | None, Metric(lambda run: rate(run.successes, len(run.episodes)))
    ]
    mean_reward: Annotated[
        float | None,
        Metric(
            lambda run: rate(sum(run.rewards), len(run.results)),
            "mean reward, 95%",
            show_percent,
            "mean_reward",
        ),
    ]
    ci95: Annotated[Intervals, Metric(measure_intervals)]
    format_error_rate: Annotated[
        float | None,
        Metric(
            lambda run: rate(run.total("malformed"), run.total("candidates")), "format errors", show_percent
        ),
    ]
    """Of the actor's answers."""
    invalid_action_rate: Annotated[
        float | None,
        Metric(
            lambda run: rate(run.total("invalid_actions"), run.total("steps")),
            "invalid actions",
            show_percent,
        ),
    ]
    """Of environment steps."""
    loop_rate: Annotated[
        float | None,
        Metric(lambda run: rate(run.total("repeated"), run.total("steps")), "loops", show_percent),
    ]
    """Of environment steps: the same action and observation as before on the path."""
    repeat_after_refusal_rate: Annotated[
        float | None,
        Metric(
            lambda run: rate(run.total("refused_repeated"), run.total("refused_followed")),
            "repeats after a refusal",
            show_percent,
        ),
    ] = None
    """Of refused steps that another one followed: those that the same action followed at once."""
    steps_mean: Annotated[
        float | None,
        Metric(
            lambda run: rate(sum(result.steps for result in run.results), len(run.results)),
            "steps",
            show_mean,
        ),
    ]
    """Environment steps of the committed path."""
    env_steps: Annotated[int, Metric(lambda run: run.total("steps"))] = 0
    """Environment steps of all paths."""
    forks: Annotated[int, Metric(lambda run: run.total("forks"))] = 0
    """Sessions that began in the state of another one."""
    llm_calls: Annotated[int, Metric(lambda run: run.usage.calls, "model calls")]
    prompt_tokens: Annotated[int, Metric(lambda run: run.usage.prompt_tokens)]
    cached_tokens: Annotated[int, Metric(lambda run: run.usage.cached_tokens)]
    completion_tokens: Annotated[int, Metric(lambda run: run.usage.completion_tokens)]
    wall_s: Annotated[float, Metric(measure_wall)]
    """From the first creation to the last end."""
    wall_split: Annotated[
        dict[str, float],
        Metric(
            lambda run: {place: sum(getattr(item.wall, place) for item in run.figures) for place in PLACES}
        ),
    ]
    """Seconds of all episodes: model, environment, orchestration, queueing."""


def list_metrics() -> dict[str, Metric]:
    """Return the metrics of a run by the names of their fields, in the order in which tables show them."""
    return {
        name: metric
        for name, info in Summary.model_fields.items()
        for metric in info.metadata
        if isinstance(metric, Metric)
    }


def summarise(episodes: Sequence[Episode], split: str) -> Summary:
    """Return the summary of the ended episodes of one policy on one split.

    Raises:
        ValueError: There are none.
    """
    if not episodes:
        raise ValueError("no episodes to sum up")
    first = episodes[0]
    request = first.request
    searches = request.method not in LINEAR
    run = Run(episodes)
    return Summary(
        env=request.environment,
        split=split,
        method=request.method,
        model=first.model,
        adapter=first.adapter,
        profile=first.profile,
        feedback=request.feedback.value,
        num_branch=request.num_branch if searches else None,
        num_path=request.num_path if searches else None,
        num_subtasks=request.num_subtasks if searches else None,
        max_steps=request.max_steps,
        seed=request.seed,
        version=first.version,
        **{name: metric.measure(run) for name, metric in list_metrics().items()},
    )
