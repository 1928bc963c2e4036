"""How many workers, engines and environment servers so many branches need: a simulator, and its check.

    python -m benchmarks.capacity --branches 10000 --step 8     # what is needed for a step in 8 s
    python -m benchmarks.capacity --check                       # predicted beside measured, at small scale

A closed system: each branch takes its steps one after another, and a step is a model call, an environment
step and the worker's own work. An engine shares its throughput, which depends on how many calls it has,
among them; a worker has one core and so many slots; an environment server takes one step at a time. An
episode's calls go to one engine, as the router sends them.
"""

import argparse
import asyncio
import heapq
import json
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Curve = Sequence[tuple[int, float]]
"""Tokens a second of one engine by the calls that it has at once, rising in the calls."""
CPU_ENGINE: Curve = ((1, 35.0), (4, 110.0), (12, 247.0), (64, 300.0))
"""SmolLM2-135M, merged, two cores with AMX: measured at 1 and 12 calls, assumed to flatten after."""
WORKER_STEP = 1 / 265
"""Seconds of a worker's core a step, over HTTP (`benchmarks.overhead_http`)."""
REDIS_BYTES = 930
"""Bytes to Redis a step beyond the texts (`benchmarks.branches`)."""
REDIS_TRIPS = 1.35
UTILISATION = 0.7
"""The busiest share of a part that is planned for."""


@dataclass(frozen=True)
class Load:
    """What runs."""

    branches: int
    steps: int = 20
    """Of a branch."""
    branches_an_episode: int = 4
    tokens: float = 40.0
    """Of a step's model calls together, generated ones and computed prompt tokens weighed as such."""
    latency: float = 0.0
    """What a call takes besides its tokens, whatever else the engine does, seconds."""
    environment: float = 0.002
    """An environment step on a server's core, seconds."""
    worker: float = WORKER_STEP
    """A step on a worker's core, seconds."""


@dataclass(frozen=True)
class Cluster:
    """What it runs on."""

    workers: int
    slots: int
    """Branches that a worker runs at once."""
    engines: int
    servers: int
    curve: Curve = CPU_ENGINE


@dataclass(frozen=True)
class Prediction:
    """What the simulation gives."""

    seconds: float
    steps_per_second: float
    step_median: float
    step_p99: float


def find_throughput(curve: Curve, calls: int) -> float:
    """Return an engine's tokens a second with so many calls at once: linear between what is known."""
    before = (0, 0.0)
    for point in curve:
        if calls <= point[0]:
            share = (calls - before[0]) / (point[0] - before[0])
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]


@dataclass
class Clock:
    """Runs what is due in the order of its times."""

    now: float = 0.0
    _due: list[tuple[float, int, Callable[[], None]]] = field(
        default_factory=list[tuple[float, int, Callable[[], None]]]
    )
    _count: int = 0

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action in so many seconds."""
        self._count += 1
        heapq.heappush(self._due, (self.now + seconds, self._count, action))

    def run(self) -> None:
        """Run until nothing is due."""
        while self._due:
            self.now, _, action = heapq.heappop(self._due)
            action()


class Core:
    """Does one thing after another."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free = 0.0

    def do(self, seconds: float, then: Callable[[], None]) -> None:
        """Do work of so many seconds after what is waiting already."""
        self._free = max(self._free, self._clock.now) + seconds
        self._clock.after(self._free - self._clock.now, then)


class Engine:
    """Shares its throughput evenly among its calls.

    A call is done when the tokens that each call has got since it came reach its own number. So calls end in
    the order of that mark, and only the first of them needs to be due.
    """

    def __init__(self, clock: Clock, curve: Curve) -> None:
        self._clock = clock
        self._curve = curve
        self._got = 0.0
        self._seen = 0.0
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._turn = 0

    def call(self, tokens: float, then: Callable[[], None]) -> None:
        """Begin a call of so many tokens."""
        self._advance()
        self._count += 1
        heapq.heappush(self._calls, (self._got + tokens, self._count, then))
        self._plan()

    def _rate(self) -> float:
        return find_throughput(self._curve, len(self._calls)) / len(self._calls)

    def _advance(self) -> None:
        if self._calls:
            self._got += (self._clock.now - self._seen) * self._rate()
        self._seen = self._clock.now

    def _plan(self) -> None:
        self._turn += 1
        if self._calls:
            turn = self._turn
            left = max(0.0, self._calls[0][0] - self._got) / self._rate()
            self._clock.after(left, lambda: self._end(turn))

    def _end(self, turn: int) -> None:
        if turn == self._turn:  # else another call came or ended, and this was planned before
            self._advance()
            _, _, then = heapq.heappop(self._calls)
            self._plan()
            then()


def predict(load: Load, cluster: Cluster, seed: int = 0) -> Prediction:
    """Simulate a load on a cluster, from an empty one until the last branch has ended."""
    drawn = random.Random(seed)
    clock = Clock()
    engines = [Engine(clock, cluster.curve) for _ in range(cluster.engines)]
    servers = [Core(clock) for _ in range(cluster.servers)]
    cores = [Core(clock) for _ in range(cluster.workers)]
    waiting = deque(range(load.branches))
    episodes = math.ceil(load.branches / load.branches_an_episode)
    placed = [drawn.randrange(cluster.engines) for _ in range(episodes)]
    times: list[float] = []

    def take(worker: int) -> None:
        if waiting:
            step(worker, waiting.popleft(), load.steps)

    def step(worker: int, branch: int, left: int) -> None:
        if not left:
            take(worker)
            return
        began = clock.now
        engine = engines[placed[branch // load.branches_an_episode]]

        def end() -> None:
            times.append(clock.now - began)
            step(worker, branch, left - 1)

        def act() -> None:
            drawn.choice(servers).do(load.environment, lambda: cores[worker].do(load.worker, end))

        def call() -> None:
            engine.call(load.tokens, act) if load.tokens else act()

        clock.after(load.latency, call)

    for _ in range(cluster.slots):
        for worker in range(cluster.workers):
            take(worker)
    clock.run()
    times.sort()
    return Prediction(
        round(clock.now, 2),
        round(len(times) / clock.now, 1),
        round(times[len(times) // 2], 3),
        round(times[len(times) * 99 // 100], 3),
    )


def size(load: Load, step: float, curve: Curve, slots: int) -> Cluster:
    """Return the cluster in which, at so many seconds a step, every part is at most 70% busy.

    All branches run at once, and the engines are at their highest throughput.
    """
    rate = load.branches / step
    best = max(curve, key=lambda point: point[1])[1]
    return Cluster(
        workers=max(1, math.ceil(rate * load.worker / UTILISATION), math.ceil(load.branches / slots)),
        slots=slots,
        engines=max(1, math.ceil(rate * load.tokens / (best * UTILISATION))),
        servers=max(1, math.ceil(rate * load.environment / UTILISATION)),
        curve=curve,
    )


def plan(load: Load, step: float, curve: Curve, slots: int) -> dict[str, Any]:
    """Return what a load needs for a median step within so many seconds, checked by simulation."""
    cluster = size(load, step, curve, slots)
    while (found := predict(load, cluster)).step_median > step:
        cluster = replace(cluster, engines=math.ceil(cluster.engines * 1.1) + 1)
    rate = load.branches / step
    return {
        "branches": load.branches,
        "workers": cluster.workers,
        "engines": cluster.engines,
        "environment_servers": cluster.servers,
        "redis_round_trips_per_second": round(rate * REDIS_TRIPS),
        "redis_mib_per_second": round(rate * REDIS_BYTES / 2**20, 2),
        "predicted": vars(found),
    }


async def check(branches: int, steps: int) -> dict[str, Any]:
    """Predict and measure the same branches on 1, 2 and 4 workers, at an engine of fixed latency."""
    from benchmarks.branches import LATENCY, PLACES, measure_spread
    from benchmarks.valkey import running_valkey

    found: dict[str, Any] = {}
    load = Load(branches, steps + 1, tokens=0.0, latency=LATENCY, environment=0.0, worker=1 / 2354)
    with running_valkey() as url:
        for workers in (1, 2, 4):
            predicted = predict(load, Cluster(workers, PLACES, 1, 1)).seconds
            measured = (await measure_spread(url, branches, steps, workers))["wall"]
            ratio = round(measured / predicted, 2)
            found[f"{workers} workers"] = {"predicted": predicted, "measured": measured, "ratio": ratio}
    return found


def main() -> None:
    """Plan, or check, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--branches", type=int, default=1000)
    parser.add_argument("--step", type=float, default=8.0, help="seconds that a step may take")
    parser.add_argument("--slots", type=int, default=64, help="branches that a worker runs at once")
    parser.add_argument("--tokens", type=float, default=Load.tokens, help="tokens of a step")
    parser.add_argument("--environment", type=float, default=Load.environment, help="its step, seconds")
    parser.add_argument(
        "--curve", type=json.loads, default=CPU_ENGINE, help="[[calls, tokens a second], ...]"
    )
    parser.add_argument("--check", action="store_true", help="predict and measure at small scale instead")
    options = parser.parse_args()
    if options.check:
        print(json.dumps(asyncio.run(check(64, 20)), indent=2))
        return
    load = Load(options.branches, tokens=options.tokens, environment=options.environment)
    print(json.dumps(plan(load, options.step, options.curve, options.slots), indent=2))


if __name__ == "__main__":
    main()
