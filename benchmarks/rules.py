"""Rules without a model, beside which an agent's figures are to be read: one shape for all of them.

A rule sees what an agent sees and yields its actions. It plays the first tasks of a split in process, the
same that `espalier eval --limit` takes; what it earns is printed with 95% intervals.
"""

import argparse
import asyncio
from collections.abc import Callable, Generator, Sequence

from envs.serving.environment import Environment
from evaluation.intervals import bootstrap, wilson
from services.contracts.task import Task

Rule = Callable[[str, str], Generator[str, str, None]]
"""Makes a player out of the first observation and the instruction; it is sent what each action showed."""
Rewards = Callable[[str, int | None], Sequence[float]]
"""Returns the rewards of the first tasks of a split, of all where the limit is None."""


class RuleError(RuntimeError):
    """Raised when a split cannot be played; the message has the reason."""


def play_with(make: Callable[[], Environment], rule: Rule) -> Rewards:
    """Return the rewards of a rule in an environment that is made for the run."""
    return lambda split, limit: asyncio.run(play_split(make(), split, limit, rule))


async def play_split(environment: Environment, split: str, limit: int | None, rule: Rule) -> list[float]:
    """Play the first tasks of a split, and return their rewards.

    Raises:
        RuleError: The environment is not ready, or has no tasks in the split.
    """
    await environment.open()
    try:
        trouble = await environment.ready()
        if trouble:
            raise RuleError(f"the environment is not ready: {trouble}")
        count = environment.count(split)
        if not count:
            known = ", ".join(environment.metadata.splits)
            raise RuleError(f"there are no tasks in split {split!r}; splits are {known}")
        tasks = await environment.page(split, 0, count if limit is None else min(limit, count))
        return [await _play(environment, task, rule) for task in tasks]
    finally:
        await environment.close()


async def _play(environment: Environment, task: Task, rule: Rule) -> float:
    opening = await environment.start(task, 0)
    frame = opening.frame
    try:
        player = rule(frame.observation, opening.instruction)
        action = next(player, None)
        for _ in range(environment.metadata.max_steps):
            if action is None or frame.done:
                break
            frame = await environment.step(opening.handle, action)
            try:
                action = player.send(frame.observation)
            except StopIteration:
                break
    finally:
        await environment.end(opening.handle)
    return frame.reward


def render_report(split: str, rewards: Sequence[float]) -> str:
    """Return a line with the number of tasks, success and mean reward in per cent, and their intervals."""
    success = [float(reward >= 1) for reward in rewards]
    shown = [
        f"{name} {100 * sum(values) / len(values):.1f}" + _render_interval(interval)
        for name, values, interval in (
            ("success", success, wilson(int(sum(success)), len(success))),
            ("mean reward", rewards, bootstrap(rewards)),
        )
    ]
    return f"{split}: n = {len(rewards)}, {', '.join(shown)}"


def _render_interval(interval: tuple[float, float] | None) -> str:
    return " [{:.1f}, {:.1f}]".format(*(100 * bound for bound in interval)) if interval else ""


def run_rule(about: str | None, rewards: Rewards, *, split: str, limit: int | None = None) -> None:
    """Read the command line, play, and print what the rule earns.

    Args:
        about: What the rule does.
        rewards: Plays it.
        split: The split by default.
        limit: How many tasks by default; None for all.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--split", default=split)
    parser.add_argument("--limit", type=int, default=limit, help="only the first tasks")
    chosen = parser.parse_args()
    if chosen.limit is not None and chosen.limit < 1:
        parser.error("--limit is at least 1")
    try:
        found = rewards(chosen.split, chosen.limit)
    except RuleError as error:
        raise SystemExit(str(error)) from error
    print(render_report(chosen.split, found))
