"""WebShop by a rule, beside which an agent's reward is to be read: `python -m benchmarks.webshop_rule`.

Searches for the instruction's words, opens the first result, chooses what is wanted and buys. Plays the first
tasks of a split, the same that `espalier eval --limit` takes.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from envs.webshop.expert import FirstHit
from espalier.client import AsyncSessions
from evaluation.intervals import bootstrap
from training.construct.collect import task_names
from training.construct.experts import Move, Play
from training.construct.play import play
from training.construct.servers import server


def first_hit(observation: str, instruction: str) -> Play:
    """The rule as a player."""
    policy = FirstHit(observation, instruction).play()
    action = next(policy, None)
    while action is not None:
        shown = yield Move("", action)
        try:
            action = policy.send(shown)
        except StopIteration:
            return


async def rewards(url: str, split: str, limit: int) -> list[float]:
    """The rewards of the first tasks of a split."""
    async with AsyncSessions(url, timeout=120) as sessions:
        metadata = await sessions.metadata()
        names = (await task_names(sessions, split))[:limit]
        runs = [await play(sessions, metadata, name, first_hit) for name in names]
    return [run.reward if run else 0.0 for run in runs]


def main() -> None:
    """Play, and print the mean reward with its 95% interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="held_out")
    parser.add_argument("--limit", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as logs, server("webshop", "", Path(logs)) as url:
        found = asyncio.run(rewards(url, options.split, options.limit))
    interval = bootstrap(found)
    mean = 100 * sum(found) / len(found)
    assert interval is not None, "a split is never empty"
    low, high = (100 * bound for bound in interval)
    print(f"{options.split}: mean reward {mean:.1f} [{low:.1f}, {high:.1f}], n = {len(found)}")


if __name__ == "__main__":
    main()
