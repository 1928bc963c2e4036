"""Agent steps per second of one worker process, durable in a real Valkey, beside LangGraph.

    make bench        (or: python -m benchmarks.overhead [--steps 2000] [--repeats 3])

The loop is the same for all: act, observe, checkpoint; model and environment answer at once. Espalier
writes every answer to a Valkey with AOF (everysec) before the next step, fenced, and replayable.
LangGraph checkpoints to memory and to SQLite. The rounds alternate, and the best of each is compared.
"""

import argparse
import asyncio
import json
import operator
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from redis.asyncio import Redis

from benchmarks.valkey import running_valkey
from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import Brief
from services.contracts.episode import EpisodeCreate
from services.kit.metrics import Metrics
from services.orchestrator.search import METHODS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore, Record
from services.orchestrator.store.jobs import JobStore
from services.orchestrator.twins import ScriptedEnvironment, ScriptedRoles
from services.orchestrator.worker.worker import Parts, Worker

PATH_STEPS = 35
"""Steps of an episode: ALFWorld's limit."""
TOGETHER = 12
"""Episodes at once in the one process, as a worker runs them."""


def look(_request: ActionRequest) -> list[Candidate]:
    """Always look, so that a path takes all its steps."""
    return [Candidate(action="look", thought="nothing better", well_formed=True)]


def react_in_a_corridor(task: str) -> Record:
    """An episode of react that takes `PATH_STEPS` steps at most."""
    return Record(
        request=EpisodeCreate(environment="twin", task_id=task, method="react", max_steps=PATH_STEPS),
        instruction="Go north.",
        brief=Brief(name="twin", description="A corridor."),
        max_steps=PATH_STEPS,
        needs_submit=False,
        version=METHODS["react"].version,
        done_means_success=True,
    )


async def run_all(
    parts: Parts,
    settings: OrchestratorSettings,
    records: list[Record],
    *,
    beside: int = 0,
    look: float = 0.005,
) -> float:
    """Run episodes by one worker and return the seconds that it took.

    Args:
        parts: What the worker works with.
        settings: The worker's.
        records: The episodes.
        beside: Episodes that live and do not end.
        look: Between two looks whether all have ended, seconds.
    """
    worker = Worker(parts, settings, Metrics("worker"))
    began = time.perf_counter()
    for record in records:
        await parts.episodes.create(record, None)
    worker.start()
    try:
        while (await parts.episodes.count_live())[0] > beside:  # noqa: ASYNC110 (the end is in Redis)
            await asyncio.sleep(look)
        return time.perf_counter() - began
    finally:
        await worker.stop()


async def espalier_rate(url: str, steps: int, together: int) -> float:
    """Steps per second of a worker that runs `together` react episodes at once."""
    settings = OrchestratorSettings(redis_url=url, worker_concurrency=together)  # pyright: ignore[reportArgumentType]
    redis = Redis.from_url(url)
    await redis.flushall()
    environment = ScriptedEnvironment(length=10**9)
    parts = Parts(
        JobStore(redis, settings),
        EpisodeStore(redis, settings),
        ScriptedRoles(act_by=look),
        {"twin": environment},
    )
    records = [react_in_a_corridor("t")] * max(1, steps // PATH_STEPS)
    elapsed = await run_all(parts, settings, records)
    await redis.aclose()
    assert environment.steps == len(records) * PATH_STEPS
    return environment.steps / elapsed


class AgentState(TypedDict):
    """What the peer's loop carries: the transcript, and how far it is."""

    turns: Annotated[list[dict[str, str]], operator.add]
    count: int


async def langgraph_rate(saver: Any, steps: int, durability: Literal["async", "sync"]) -> float:
    """Steps per second of the same loop on LangGraph: act and observe are nodes, checkpointed.

    With `sync` durability a checkpoint is written before the next node runs, as ours is before the
    next environment step; with `async`, LangGraph's default, beside it.
    """
    from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingImports]

    async def act(_state: AgentState) -> dict[str, Any]:
        return {"turns": [{"role": "assistant", "content": "THOUGHT: nothing better\nACTION: look"}]}

    async def observe(state: AgentState) -> dict[str, Any]:
        return {"turns": [{"role": "user", "content": "You are in cell 0."}], "count": state["count"] + 1}

    def more(state: AgentState) -> str:
        return "act" if state["count"] < PATH_STEPS else END

    builder = StateGraph(AgentState)
    builder.add_node("act", act)  # pyright: ignore[reportArgumentType]
    builder.add_node("observe", observe)
    builder.add_edge(START, "act")
    builder.add_edge("act", "observe")
    builder.add_conditional_edges("observe", more)
    graph = builder.compile(checkpointer=saver)
    episodes = max(1, steps // PATH_STEPS)
    began = time.perf_counter()
    for number in range(episodes):
        config: Any = {"configurable": {"thread_id": str(number)}, "recursion_limit": 3 * PATH_STEPS}
        start: Any = {"turns": [{"role": "user", "content": "Go north."}], "count": 0}
        ended = await graph.ainvoke(start, config, durability=durability)
        assert ended["count"] == PATH_STEPS
    return episodes * PATH_STEPS / (time.perf_counter() - began)


async def langgraph_memory(steps: int) -> float:
    """LangGraph with its in-memory checkpointer."""
    from langgraph.checkpoint.memory import InMemorySaver  # pyright: ignore[reportMissingImports]

    return await langgraph_rate(InMemorySaver(), steps, "async")


async def langgraph_sqlite(steps: int, durability: Literal["async", "sync"]) -> float:
    """LangGraph with its SQLite checkpointer."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        async with AsyncSqliteSaver.from_conn_string(str(Path(folder) / "checkpoints.sqlite")) as saver:
            return await langgraph_rate(saver, steps, durability)


async def measure(steps: int, repeats: int) -> dict[str, Any]:
    """All in one run, the rounds alternating."""
    rates: dict[str, list[float]] = {}
    with running_valkey() as url:
        cases: dict[str, Callable[[], Awaitable[float]]] = {
            "espalier, Valkey (12 episodes at once)": lambda: espalier_rate(url, steps, TOGETHER),
            "espalier, Valkey (1 episode at once)": lambda: espalier_rate(url, steps, 1),
            "LangGraph, memory": lambda: langgraph_memory(steps),
            "LangGraph, SQLite (sync)": lambda: langgraph_sqlite(steps // 6, "sync"),
            "LangGraph, SQLite (async)": lambda: langgraph_sqlite(steps // 6, "async"),
        }
        for _ in range(repeats):
            for name, case in cases.items():
                rates.setdefault(name, []).append(await case())
    best = {name: max(found) for name, found in rates.items()}
    ours = best["espalier, Valkey (12 episodes at once)"]
    return {
        "steps_per_second": {name: round(rate, 1) for name, rate in best.items()},
        "all_rounds": {name: [round(rate, 1) for rate in found] for name, found in rates.items()},
        "ratio_to_langgraph_memory": round(ours / best["LangGraph, memory"], 2),
        "ratio_to_langgraph_sqlite_sync": round(ours / best["LangGraph, SQLite (sync)"], 1),
        "ratio_to_langgraph_sqlite_async": round(ours / best["LangGraph, SQLite (async)"], 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4200, help="agent steps a round")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found = asyncio.run(measure(options.steps, options.repeats))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
