"""The five environments: start, step and fork, memory after many episodes; ALFWorld beside TextWorld.

    python -m benchmarks.environments [--episodes 10000] [--sandboxes 300] [--sessions 500]

In process, through the port that the session server uses, the environments' own experts playing generated
tasks; then ALFWorld through HTTP with many sessions at once. ALFWorld is measured beside the `alfworld`
package's own engine on the same games.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from benchmarks.overhead_http import process
from benchmarks.valkey import free_port
from envs.alfworld.environment import AlfworldEnvironment
from envs.alfworld.settings import AlfworldSettings, EngineKind
from envs.dbbench.environment import DbEnvironment
from envs.dbbench.settings import DbSettings
from envs.mind2web.environment import Mind2webEnvironment
from envs.mind2web.settings import Mind2webSettings
from envs.os_interaction.environment import OsEnvironment
from envs.os_interaction.settings import OsSettings
from envs.serving.environment import Environment
from envs.webshop.environment import WebshopEnvironment
from envs.webshop.settings import WebshopSettings
from training.construct.experts import Player, players

SPLIT = "generated_train"
FORKS = 200
TASKS = 400
"""Tasks that are gone through again and again."""


@dataclass
class Times:
    """Seconds by what was done."""

    start: list[float] = field(default_factory=list[float])
    step: list[float] = field(default_factory=list[float])
    fork: list[float] = field(default_factory=list[float])

    def describe(self) -> dict[str, Any]:
        """Medians and 99th percentiles, milliseconds, with how many."""
        return {
            name: {"p50_ms": _ms(seconds, 0.5), "p99_ms": _ms(seconds, 0.99), "n": len(seconds)}
            for name, seconds in (("start", self.start), ("step", self.step), ("fork", self.fork))
            if seconds
        }


def _ms(seconds: list[float], share: float) -> float:
    return round(1000 * sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))], 4)


def _memory() -> float:
    """Memory of this process and all below it that no other process has, MiB."""
    gc.collect()
    own = psutil.Process()
    total = 0
    for one in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += one.memory_full_info().uss
    return total / 2**20


async def _timed(times: list[float], call: Awaitable[Any]) -> Any:
    began = time.perf_counter()
    answer = await call
    times.append(time.perf_counter() - began)
    return answer


async def _episode(environment: Environment, task_id: str, player: Player, times: Times, fork: bool) -> float:
    """One episode, played by the expert; its reward."""
    task = await environment.task(task_id)
    opening = await _timed(times.start, environment.start(task, 0))
    moves = player(opening.frame.observation, opening.instruction, None)
    frame, reward = opening.frame, 0.0
    move = next(moves, None)
    try:
        while move is not None and not frame.done:
            frame = await _timed(times.step, environment.step(opening.handle, move.action))
            reward = frame.reward
            if fork and not frame.done and len(times.fork) < FORKS:
                await environment.end(await _timed(times.fork, environment.fork(opening.handle)))
            try:
                move = moves.send(frame.observation)
            except StopIteration:
                break
    finally:
        await environment.end(opening.handle)
    return reward


async def measure(make: Callable[[], Environment], name: str, episodes: int) -> dict[str, Any]:
    """One environment: times, throughput, memory after a tenth of the episodes and after all."""
    environment, player = make(), players()[name]
    began = time.perf_counter()
    await environment.open()
    ready = time.perf_counter() - began
    times, memory, rewards = Times(), [0.0, 0.0], 0.0
    try:
        fork = environment.metadata.fork == "native"
        tasks = min(TASKS, environment.count(SPLIT))
        began = time.perf_counter()
        for number in range(episodes):
            rewards += await _episode(environment, f"{SPLIT}/{number % tasks}", player, times, fork)
            if number + 1 == max(1, episodes // 10):
                memory[0] = _memory()
        wall = time.perf_counter() - began
        memory[1] = _memory()
    finally:
        await environment.close()
    return {
        "ready_s": round(ready, 2),
        "episodes": episodes,
        "mean_reward": round(rewards / episodes, 3),
        "steps_per_s": round(len(times.step) / sum(times.step), 1),
        "episodes_per_s": round(episodes / wall, 1),
        **times.describe(),
        "memory_mib": {"after_a_tenth": round(memory[0], 1), "after_all": round(memory[1], 1)},
    }


async def crowd(sessions: int, rounds: int = 10) -> dict[str, Any]:
    """ALFWorld over HTTP: so many sessions at once, each stepped so many times; errors and step times."""
    port = free_port()
    variables = {"ESPALIER_MAX_SESSIONS": str(sessions)}
    with process(
        "espalier", "serve", "alfworld", "--port", str(port), port=port, environment=variables
    ) as url:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as http:
            places = asyncio.Semaphore(64)
            times = Times()
            errors = 0

            async def call(times: list[float], path: str, body: dict[str, Any]) -> dict[str, Any]:
                nonlocal errors
                async with places:
                    answer = await _timed(times, http.post(path, json=body))
                if not answer.is_success:
                    errors += 1
                return answer.json()

            names = [{"task_id": f"{SPLIT}/{number}"} for number in range(sessions)]
            made = await asyncio.gather(*(call(times.start, "/v1/sessions", body) for body in names))
            ids = [state["session_id"] for state in made]
            began = time.perf_counter()
            for number in range(rounds):
                body = {"action": ("look", "inventory")[number % 2]}
                await asyncio.gather(*(call(times.step, f"/v1/sessions/{one}/steps", body) for one in ids))
            wall = time.perf_counter() - began
    return {
        "sessions": sessions,
        "in_flight": 64,
        "errors": errors,
        "steps_per_s": round(sessions * rounds / wall, 1),
        **times.describe(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--sandboxes", type=int, default=300, help="episodes of os_interaction")
    parser.add_argument("--peer", type=int, default=20, help="episodes of ALFWorld on TextWorld")
    parser.add_argument("--sessions", type=int, default=500)
    options = parser.parse_args()
    many = options.episodes
    made: list[tuple[str, str, Callable[[], Environment], int]] = [
        ("alfworld", "alfworld", lambda: AlfworldEnvironment(AlfworldSettings()), many),
        (
            "alfworld on textworld",
            "alfworld",
            lambda: AlfworldEnvironment(AlfworldSettings(alfworld_engine=EngineKind.TEXTWORLD)),
            options.peer,
        ),
        ("webshop", "webshop", lambda: WebshopEnvironment(WebshopSettings()), many),
        ("mind2web", "mind2web", lambda: Mind2webEnvironment(Mind2webSettings()), many),
        ("dbbench", "dbbench", lambda: DbEnvironment(DbSettings()), many),
        ("os_interaction", "os_interaction", lambda: OsEnvironment(OsSettings()), options.sandboxes),
    ]
    found = {label: asyncio.run(measure(make, name, episodes)) for label, name, make, episodes in made}
    found["alfworld over HTTP"] = asyncio.run(crowd(options.sessions))
    native, peer = found["alfworld"], found["alfworld on textworld"]
    found["alfworld"]["times_textworld"] = round(native["steps_per_s"] / peer["steps_per_s"], 1)
    print(json.dumps({"cores": os.cpu_count(), **found}, indent=2))


if __name__ == "__main__":
    main()
