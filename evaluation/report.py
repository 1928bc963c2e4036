"""The numbers of a report: runs side by side, in pairs, by cost and by how they end.

`report.json` is `Report` as it stands; the page shows the same.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evaluation.intervals import bootstrap, wilson
from evaluation.metrics import Run, rate
from evaluation.paired import Outcome, Paired, pair
from evaluation.run import read_episodes
from services.contracts.episode import Episode, State

MOST_EPISODES = 5_000
"""Rows of the list of episodes."""
NOT_POLICY = frozenset({"environment", "task_id", "task", "seed", "priority"})
"""Of a request: what one column may have many of."""


@dataclass(frozen=True)
class Recorded:
    """A folder of a run, read."""

    folder: Path
    env: str
    split: str
    column: str
    """The policy's name: a cell's, or the method."""
    seed: int
    policy: str
    """The settings of every task and seed, the model and the version, as one text."""
    finished: bool
    """Whether it has a summary: otherwise tasks may be missing."""
    episodes: list[Episode]
    """The last one of each task."""


class RunEntry(BaseModel):
    """A run that the report was made of."""

    folder: str
    env: str
    split: str
    column: str
    seed: int
    n: int
    finished: bool


class Score(BaseModel):
    """A policy on a split, all seeds together: a row's cell in the main table."""

    env: str
    split: str
    column: str
    seeds: int
    tasks: int
    n: int
    """Episodes."""
    failed: int
    """Of them, those that infrastructure broke or that were cancelled: no score, not a zero."""
    success_rate: float | None
    success_ci95: tuple[float, float] | None
    """Wilson's; with several seeds a bootstrap over tasks."""
    mean_reward: float | None
    reward_ci95: tuple[float, float] | None
    """A bootstrap over tasks."""
    graded: bool
    """Whether a reward lies between 0 and 1: success alone would hide it."""
    llm_calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    env_steps: int
    forks: int
    calls_per_episode: float
    pareto: bool = False
    """Whether no other policy of the split earns as much with fewer calls, or more with as many."""

    @property
    def value(self) -> float | None:
        """What it earns: mean reward where rewards are graded, else success, which is then the same."""
        return self.mean_reward


class Comparison(Paired):
    """A policy beside the baseline on a split."""

    env: str
    split: str
    column: str


class End(BaseModel):
    """How many episodes of a policy ended in one way."""

    env: str
    split: str
    column: str
    success: bool | None
    """None: failed."""
    ended: str
    """Why the committed path ended, or what broke."""
    good_enough: bool | None
    """The judge's verdict; None without one."""
    count: int


class EpisodeRow(BaseModel):
    """An episode in the list."""

    id: str
    env: str
    split: str
    column: str
    seed: int
    task: str
    score: float | None
    success: bool | None
    steps: int | None
    calls: int
    ended: str


class Report(BaseModel):
    """`report.json`."""

    baseline: str
    runs: list[RunEntry]
    scores: list[Score]
    comparisons: list[Comparison]
    ends: list[End]
    episode_count: int
    episodes: list[EpisodeRow]
    """At most so many that a browser can sort them; `episode_count` has all."""

    @property
    def splits(self) -> list[tuple[str, str]]:
        """The environments' splits, in the order of the runs."""
        return list(dict.fromkeys((score.env, score.split) for score in self.scores))

    @property
    def columns(self) -> list[str]:
        """The policies, in the order of the runs, the baseline first."""
        found = dict.fromkeys(score.column for score in self.scores)
        return sorted(found, key=lambda column: column != self.baseline)


def read_runs(folders: Iterable[Path]) -> list[Recorded]:
    """Return the runs in folders: each is a run, or holds runs at any depth.

    Raises:
        ValueError: One holds none, or a run's files cannot be read.
    """
    paths: dict[Path, None] = {}
    for folder in folders:
        found = sorted(folder.rglob("episodes.jsonl"))
        if not found:
            raise ValueError(f"{folder} holds no run (no episodes.jsonl); give a folder of `espalier eval`")
        paths.update(dict.fromkeys(path.parent.resolve() for path in found))
    runs = [run for path in paths if (run := _read_run(path)) is not None]
    if not runs:
        raise ValueError("the runs have no episode that ended yet")
    return _separate(runs)


def _read_run(folder: Path) -> Recorded | None:
    episodes = [attempts[-1] for attempts in read_episodes(folder / "episodes.jsonl").values()]
    if not episodes:
        return None
    first = episodes[0]
    split = _read_object(folder / "run.json").get("policy", {}).get("split")
    if not isinstance(split, str):
        raise ValueError(f"{folder}/run.json names no split; it is no run of `espalier eval`")
    cell = folder / "cell.json"
    column = _read_object(cell).get("column") if cell.is_file() else None
    policy = first.request.model_dump(mode="json", exclude=set(NOT_POLICY))
    policy |= {"model": first.model, "version": first.version, "profile": first.profile}
    return Recorded(
        folder=folder,
        env=first.request.environment,
        split=split,
        column=str(column or first.request.method),
        seed=first.request.seed,
        policy=json.dumps({**policy, "adapter": first.adapter}, sort_keys=True),
        finished=(folder / "summary.json").is_file(),
        episodes=episodes,
    )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _separate(runs: Sequence[Recorded]) -> list[Recorded]:
    """Name columns apart where one name stands for several policies, or for the same seed twice."""
    policies: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    seeds: Counter[tuple[str, str, str, int]] = Counter()
    for run in runs:
        place = (run.env, run.split, run.column)
        policies[place].add(run.policy)
        seeds[*place, run.seed] += 1
    unclear = {place[2] for place, found in policies.items() if len(found) > 1}
    unclear |= {place[2] for place, count in seeds.items() if count > 1}
    return [
        run
        if run.column not in unclear
        else Recorded(**{**vars(run), "column": f"{run.column} ({run.folder.parent.name}/{run.folder.name})"})
        for run in runs
    ]


def make_report(runs: Sequence[Recorded], baseline: str) -> Report:
    """Return the report of runs.

    Args:
        runs: What to compare.
        baseline: The column that the others are paired with; without it there are no comparisons.
    """
    groups: defaultdict[tuple[str, str, str], list[Recorded]] = defaultdict(list)
    for run in runs:
        groups[run.env, run.split, run.column].append(run)
    scores = _mark_pareto([_score(place, group) for place, group in groups.items()])
    rows = [_row(run, episode) for run in runs for episode in run.episodes]
    return Report(
        baseline=baseline,
        runs=[
            RunEntry(
                folder=run.folder.name,
                env=run.env,
                split=run.split,
                column=run.column,
                seed=run.seed,
                n=len(run.episodes),
                finished=run.finished,
            )
            for run in runs
        ],
        scores=scores,
        comparisons=list(_compare(groups, baseline)),
        ends=[end for place, group in groups.items() for end in _count_ends(place, group)],
        episode_count=len(rows),
        episodes=rows[:MOST_EPISODES],
    )


def _outcomes(group: Sequence[Recorded]) -> dict[str, list[Outcome]]:
    """Return the results of each task, one for each seed that has one."""
    found: defaultdict[str, list[Outcome]] = defaultdict(list)
    for run in group:
        for episode in run.episodes:
            if episode.state is State.COMPLETED and episode.result is not None:
                outcome = Outcome(episode.result.success, episode.result.score)
                found[episode.request.task_id or ""].append(outcome)
    return found


def _score(place: tuple[str, str, str], group: Sequence[Recorded]) -> Score:
    run = Run([episode for one in group for episode in one.episodes])
    by_task = _outcomes(group).values()
    means = [sum(one.score for one in each) / len(each) for each in by_task]
    shares = [sum(one.success for one in each) / len(each) for each in by_task]
    seeds, n, results = len({one.seed for one in group}), len(run.episodes), len(run.results)
    env, split, column = place
    return Score(
        env=env,
        split=split,
        column=column,
        seeds=seeds,
        tasks=len({episode.request.task_id for episode in run.episodes}),
        n=n,
        failed=n - results,
        # With several seeds a mean over tasks, so that it lies in its interval and agrees with the pairs.
        success_rate=rate(sum(shares), len(shares)),
        success_ci95=wilson(run.successes, results) if seeds == 1 else bootstrap(shares),
        mean_reward=rate(sum(means), len(means)),
        reward_ci95=bootstrap(means),
        graded=any(0 < reward < 1 for reward in run.rewards),
        llm_calls=run.usage.calls,
        prompt_tokens=run.usage.prompt_tokens,
        cached_tokens=run.usage.cached_tokens,
        completion_tokens=run.usage.completion_tokens,
        env_steps=run.total("steps"),
        forks=run.total("forks"),
        calls_per_episode=run.usage.calls / n,
    )


def _mark_pareto(scores: Sequence[Score]) -> list[Score]:
    def beaten(one: Score) -> bool:
        return one.value is None or any(
            other.value is not None
            and other.calls_per_episode <= one.calls_per_episode
            and other.value >= one.value
            and (other.calls_per_episode < one.calls_per_episode or other.value > one.value)
            for other in scores
            if (other.env, other.split) == (one.env, one.split)
        )

    return [one.model_copy(update={"pareto": not beaten(one)}) for one in scores]


def _compare(groups: dict[tuple[str, str, str], list[Recorded]], baseline: str) -> Iterable[Comparison]:
    for (env, split, column), group in groups.items():
        before = groups.get((env, split, baseline))
        if before is not None and column != baseline:
            found = pair(_outcomes(before), _outcomes(group))
            yield Comparison(env=env, split=split, column=column, **found.model_dump())


def _describe_end(episode: Episode) -> tuple[bool | None, str, bool | None]:
    if episode.state is State.COMPLETED and episode.result is not None:
        return episode.result.success, episode.result.ended, episode.result.good_enough
    return None, episode.failure.reason if episode.failure else episode.state.value, None


def _count_ends(place: tuple[str, str, str], group: Sequence[Recorded]) -> list[End]:
    counts = Counter(_describe_end(episode) for run in group for episode in run.episodes)
    env, split, column = place
    return [
        End(
            env=env,
            split=split,
            column=column,
            success=success,
            ended=ended,
            good_enough=good_enough,
            count=count,
        )
        for (success, ended, good_enough), count in counts.most_common()
    ]


def _row(run: Recorded, episode: Episode) -> EpisodeRow:
    success, ended, _ = _describe_end(episode)
    result = episode.result if success is not None else None
    return EpisodeRow(
        id=episode.id,
        env=run.env,
        split=run.split,
        column=run.column,
        seed=run.seed,
        task=episode.request.task_id or "",
        score=result.score if result else None,
        success=success,
        steps=result.steps if result else None,
        calls=episode.figures.usage.calls if episode.figures else 0,
        ended=ended if result else f"failed: {ended}",
    )
