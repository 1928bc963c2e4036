"""How much of the prompts engine replicas serve from their prefix caches, by the router's policy.

    python -m benchmarks.routing [--engines 3] [--episodes 24] [--cache 2048]

Scripted engines, each with a prefix cache of so many blocks, stand behind the real vllm-router. A real
stack (roles, orchestrator, worker, ALFWorld) plays the same tmbr episodes, 12 at once, with each policy. The
share is what the engines report as cached of all prompt tokens; the balance is the busiest engine's share of
the prompt tokens, times the number of engines (1: even).
"""

import argparse
import asyncio
import json
import os
import tempfile
from contextlib import AbstractContextManager, ExitStack
from typing import Any, get_args

import httpx
from rich.console import Console

from benchmarks.engine import SPLIT, TOGETHER, play, split_of
from benchmarks.overhead_http import process
from espalier.client import AsyncEspalier
from espalier.stack.settings import StackSettings
from espalier.stack.up import running_stack
from services.router.settings import RouterSettings

OFFSET = 2000
FIRST = 18_300
"""The router's port; its others and those of the engines follow."""
PATIENCE = 120.0
POLICIES = get_args(RouterSettings.model_fields["router_policy"].annotation)


def serving(part: str, port: int, **environment: str) -> AbstractContextManager[str]:
    """Run one part of the stack as a process, which answers inside the block."""
    return process(part, "espalier", "serve", part, "--port", str(port), port=port, environment=environment)


async def wait_for_engines(engines: int) -> None:
    """Wait until the router has so many engines."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False) as http:
        while True:
            answer = await http.get(f"http://127.0.0.1:{FIRST + 1}/readyz")
            if len(answer.json()["replicas"]) == engines:
                return
            await asyncio.sleep(0.2)


async def count_prompt_tokens(ports: list[int]) -> list[int]:
    """Return the prompt tokens that each engine has read."""
    name = "vllm:prompt_tokens_total"
    counts: list[int] = []
    async with httpx.AsyncClient(trust_env=False) as http:
        for port in ports:
            lines = (await http.get(f"http://127.0.0.1:{port}/metrics")).text.splitlines()
            counts.append(int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))))
    return counts


async def measure_policy(
    policy: str, client: AsyncEspalier, tasks: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Play the tasks with one policy, on engines whose caches are empty."""
    ports = [FIRST + 10 + number for number in range(options.engines)]
    with ExitStack() as parts:
        for port in ports:
            parts.enter_context(serving("scripted-model", port, ESPALIER_SCRIPTED_CACHE=str(options.cache)))
        parts.enter_context(
            serving(
                "router",
                FIRST + 1,
                ESPALIER_ROUTER_ENGINES=",".join(f"http://127.0.0.1:{port}" for port in ports),
                ESPALIER_ROUTER_PORT=str(FIRST),
                ESPALIER_ROUTER_METRICS_PORT=str(FIRST + 2),
                ESPALIER_ROUTER_POLICY=policy,
            )
        )
        await wait_for_engines(len(ports))
        figures = split_of(await play(client, "tmbr", tasks, TOGETHER, options.steps))
        read = await count_prompt_tokens(ports)
    cached = figures["cached_share_of_prompt_tokens"]
    return {
        "cached_share": cached,
        "computed_share": round(1 - cached, 4),
        "balance": round(max(read) / sum(read) * len(read), 2),
        "model_calls": figures["model_calls"],
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every policy on the same tasks."""
    os.environ["ESPALIER_MODEL_URL"] = f"http://127.0.0.1:{FIRST}"
    os.environ["ESPALIER_START_ENVIRONMENTS"] = '["alfworld"]'
    with tempfile.TemporaryDirectory() as home:
        os.environ["ESPALIER_HOME"] = home
        settings = StackSettings(port_offset=OFFSET)
        with ExitStack() as first:
            # The roles are ready once an engine is: this one only lets the stack come up.
            first.enter_context(serving("scripted-model", FIRST))
            async with (
                running_stack(settings, Console(stderr=True)),
                AsyncEspalier(settings.url("orchestrator")) as client,
            ):
                page = await client.tasks("alfworld", split=SPLIT, limit=options.episodes)
                first.close()
                tasks = [task.id for task in page.tasks]
                return {policy: await measure_policy(policy, client, tasks, options) for policy in POLICIES}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=24)
    parser.add_argument("--steps", type=int, default=12, help="steps of a path")
    parser.add_argument("--cache", type=int, default=2048, help="blocks of 16 tokens of an engine's cache")
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
