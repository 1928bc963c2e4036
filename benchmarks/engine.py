"""On the real engine: where an episode's wall time goes, and what the prefix cache serves.

    make bench        (or: python -m benchmarks.engine [--episodes 24] [--beside 2])

Brings a stack of its own up on this machine (embedded model, ports of its own), runs react on ALFWorld
alone, with 12 episodes at once, and so once more beside processes that keep the cores busy, then tmbr, and
takes it down.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from espalier.client import AsyncEspalier
from espalier.stack.settings import StackSettings
from espalier.stack.up import running_stack
from services.contracts.episode import Episode, EpisodeCreate, Figures, State

SPLIT = "generated_valid"
OFFSET = 1000
TOGETHER = 12


async def play(
    client: AsyncEspalier, method: str, tasks: list[str], together: int, steps: int
) -> list[Episode]:
    """Play tasks, so many at once."""
    places = asyncio.Semaphore(together)

    async def one(task: str) -> Episode:
        async with places:
            body = EpisodeCreate(environment="alfworld", task_id=task, method=method, max_steps=steps)
            return await client.wait((await client.create(body)).id)

    return list(await asyncio.gather(*(one(task) for task in tasks)))


def split_of(episodes: list[Episode]) -> dict[str, Any]:
    """The shares of the wall time, of all episodes together."""
    assert all(episode.state is State.COMPLETED for episode in episodes), [
        episode.failure for episode in episodes
    ]
    figures = [episode.figures or Figures() for episode in episodes]
    total = sum(item.wall.total for item in figures)
    seconds = {
        place: sum(getattr(item.wall, place) for item in figures)
        for place in ("model", "environment", "orchestration", "queueing")
    }
    prompt = sum(item.usage.prompt_tokens for item in figures)
    cached = sum(item.usage.cached_tokens for item in figures)
    return {
        "episodes": len(episodes),
        "steps": sum(item.steps for item in figures),
        "model_calls": sum(item.usage.calls for item in figures),
        "wall_seconds_an_episode": round(total / len(episodes), 2),
        **{f"{place}_share": round(spent / total, 4) for place, spent in seconds.items()},
        "cached_share_of_prompt_tokens": round(cached / prompt, 4),
    }


@contextmanager
def busy_processes(count: int) -> Generator[None]:
    """Keep so many cores busy with ordinary processes inside the block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


async def measure(episodes: int, steps: int, beside: int) -> dict[str, Any]:
    """The four measurements."""
    settings = StackSettings(port_offset=OFFSET)
    async with (
        running_stack(settings, Console(stderr=True)),
        AsyncEspalier(settings.url("orchestrator")) as client,
    ):
        page = await client.tasks("alfworld", split=SPLIT, limit=3 * episodes)
        tasks = [task.id for task in page.tasks]
        await play(client, "react", tasks[:1], 1, 2)
        # Every case has its own tasks: none finds another's prompts in the cache.
        rest = tasks[episodes // 4 :]
        found = {
            "react, alone": split_of(await play(client, "react", tasks[: episodes // 4], 1, steps)),
            f"react, {TOGETHER} at once": split_of(
                await play(client, "react", rest[:episodes], TOGETHER, steps)
            ),
        }
        with busy_processes(beside):
            found[f"react, {TOGETHER} at once, beside {beside} busy processes"] = split_of(
                await play(client, "react", rest[episodes:][:episodes], TOGETHER, steps)
            )
        return found | {
            "tmbr, alone": split_of(await play(client, "tmbr", tasks[: max(2, episodes // 8)], 1, steps)),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=24)
    parser.add_argument("--steps", type=int, default=20, help="steps of a path")
    parser.add_argument("--beside", type=int, default=2, help="busy processes beside the stack")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.episodes, options.steps, options.beside)), indent=2))


if __name__ == "__main__":
    main()
