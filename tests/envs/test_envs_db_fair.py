"""Sessions that keep every worker busy do not starve another."""

import asyncio
from pathlib import Path

from envs.dbbench.engines.port import Table
from envs.dbbench.engines.sqlite_engine import SqliteEngine
from envs.dbbench.settings import DbSettings

HEAVY = 6
SLOW = "SELECT COUNT(*) FROM `t` a, `t` b, `t` c, `t` d, `t` e, `t` f, `t` g, `t` h"
"""More rows than can be counted within the deadline."""


async def test_a_light_session_is_served_before_the_heavy_ones_that_wait(tmp_path: Path) -> None:
    settings = DbSettings(home=tmp_path, dbbench_workers=1, dbbench_statement_seconds=0.5)
    engine = SqliteEngine(settings)
    await engine.open()
    order: list[str] = []
    try:
        rows = tuple((str(number),) for number in range(60))
        table = Table("t", ("a",), rows)
        heavy = [await engine.create([table]) for _ in range(HEAVY)]
        light = await engine.create([table])

        async def run(handle: str, sql: str) -> None:
            await engine.run(handle, sql)
            order.append(handle)

        for handle in heavy:
            await run(handle, SLOW)
        order.clear()
        tasks = [asyncio.create_task(run(handle, SLOW)) for handle in heavy]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(run(light, "SELECT COUNT(*) FROM `t`")))
        await asyncio.gather(*tasks)
    finally:
        await engine.close()
    assert order.index(light) <= 1
