"""A run's episodes summed up."""

from collections.abc import Sequence

from pydantic import BaseModel

from evaluation.intervals import bootstrap, wilson
from services.contracts.episode import Episode, Figures, State
from services.contracts.usage import Usage


class Intervals(BaseModel):
    """95% intervals, `[low, high]`; None without episodes."""

    success_rate: tuple[float, float] | None
    """Wilson score."""
    mean_reward: tuple[float, float] | None
    """Percentile bootstrap."""


class Summary(BaseModel):
    """`summary.json`: rates are over `n - failed`."""

    env: str
    split: str
    method: str
    model: str
    adapter: str | None
    profile: str
    feedback: str
    num_branch: int | None
    """None where the method does not use it."""
    num_path: int | None
    num_subtasks: int | None = None
    max_steps: int | None
    seed: int
    version: str
    n: int
    failed: int
    """Episodes that infrastructure broke: no score, not a zero."""
    success_rate: float | None
    success_rate_failed_as_zero: float | None
    mean_reward: float | None
    ci95: Intervals
    steps_mean: float | None
    invalid_action_rate: float | None
    """Of environment steps."""
    format_error_rate: float | None
    """Of the actor's answers."""
    loop_rate: float | None
    """Of environment steps: the same action and observation as before on the path."""
    llm_calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    wall_s: float
    """From the first creation to the last end."""
    wall_split: dict[str, float]
    """Seconds of all episodes: model, environment, orchestration, queueing."""


def _rate(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def summarise(episodes: Sequence[Episode], split: str) -> Summary:
    """Sum up ended episodes of one policy on one split.

    Raises:
        ValueError: There are none.
    """
    if not episodes:
        raise ValueError("no episodes to sum up")
    first = episodes[0]
    scored = [told for told in episodes if told.state is State.COMPLETED and told.result is not None]
    rewards = [told.result.score for told in scored if told.result is not None]
    successes = sum(told.result.success for told in scored if told.result is not None)
    figures = [told.figures or Figures() for told in episodes]
    usage = sum((item.usage for item in figures), Usage())
    steps = sum(item.steps for item in figures)
    ended = [told.ended_at for told in episodes if told.ended_at is not None]
    request = first.request
    searches = request.method == "tmbr"
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
        n=len(episodes),
        failed=len(episodes) - len(scored),
        success_rate=_rate(successes, len(scored)),
        success_rate_failed_as_zero=_rate(successes, len(episodes)),
        mean_reward=_rate(sum(rewards), len(scored)),
        ci95=Intervals(success_rate=wilson(successes, len(scored)), mean_reward=bootstrap(rewards)),
        steps_mean=_rate(sum(told.result.steps for told in scored if told.result), len(scored)),
        invalid_action_rate=_rate(sum(item.invalid_actions for item in figures), steps),
        format_error_rate=_rate(
            sum(item.malformed for item in figures), sum(item.candidates for item in figures)
        ),
        loop_rate=_rate(sum(item.repeated for item in figures), steps),
        llm_calls=usage.calls,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        wall_s=(max(ended) - min(told.created_at for told in episodes)) if ended else 0.0,
        wall_split={
            place: sum(getattr(item.wall, place) for item in figures)
            for place in ("model", "environment", "orchestration", "queueing")
        },
    )
