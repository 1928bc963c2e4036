"""Plays a corridor with OpenEnv's own client. Run in OpenEnv's environment with a server's address."""

# pyright: reportMissingImports=false
import asyncio
import sys

from openenv.core.generic_client import GenericEnvClient


async def main(address: str) -> None:
    async with GenericEnvClient(base_url=address) as env:
        first = await env.reset(task_id="corridors/0")
        print(first.observation["instruction"])
        result = await env.step({"action": "north"})
        print(result.done, result.reward)
        print((await env.state())["step_count"])


asyncio.run(main(sys.argv[1]))
