"""No clock runs and no chance is taken on either engine; a change that answers with rows is refused."""

import asyncio

import pytest

from envs.dbbench.engines.mysql_clock import freeze_clock
from envs.dbbench.engines.mysql_engine import MysqlEngine
from envs.dbbench.engines.port import Engine, Table
from envs.dbbench.engines.sqlite_engine import SqliteEngine
from envs.dbbench.mysql.statements import SqlError
from envs.dbbench.settings import DbSettings
from tests.envs.test_envs_db_support import mariadb

TABLE = Table.of("t", ["a"], [["1"]])
CLOCKS = [
    "SYSDATE()",
    "NOW()",
    "CURRENT_TIMESTAMP",
    "CURRENT_TIMESTAMP()",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_TIMESTAMP()",
    "sysdate()",
]
REFUSED = (
    "UUID()",
    "UUID_SHORT()",
    "CONNECTION_ID()",
    "@@timestamp",
    "@@version",
    "SYS_GUID()",
    "RANDOM_BYTES(3)",
)


def test_sysdate_becomes_now_outside_of_texts_and_names() -> None:
    assert freeze_clock("SELECT SYSDATE(), sysdate(3)") == "SELECT NOW(), NOW(3)"
    for kept in (
        "SELECT 'SYSDATE()', `SYSDATE`",
        "SELECT sysdate FROM t",
        'SELECT "it\'s sysdate()"',
        "SELECT 1",
    ):
        assert freeze_clock(kept) == kept
    assert freeze_clock("SELECT 'é' , 1--SYSDATE()") == "SELECT 'é' , 1--NOW()"
    for sql in (
        "SELECT 1 /* SYSDATE() */",
        "SELECT 1 # uuid()",
        "SELECT UUID()",
        "SELECT * FROM `information_schema`.tables",
        "SELECT @@x",
    ):
        with pytest.raises(SqlError):
            freeze_clock(sql)


async def _all(engine: Engine) -> None:
    await engine.open()
    handle = await engine.create([TABLE])
    try:
        for clock in CLOCKS:
            shown = await engine.run(handle, f"SELECT {clock}")
            assert shown.text == "[('2024-01-01 12:00:00',)]", (engine.name, clock)
        later = await engine.run(handle, "SELECT DATEDIFF(SYSDATE(), '2023-12-31'), YEAR(SYSDATE())")
        assert later.text == "[(1, 2024)]"
        for call in REFUSED:
            assert not (await engine.run(handle, f"SELECT {call}")).ok, (engine.name, call)
        for sql in (
            "SELECT create_time FROM information_schema.tables",
            "SELECT * FROM `INFORMATION_SCHEMA`.`TABLES`",
            "INSERT INTO t VALUES ('2') RETURNING a",
            "DELETE FROM t RETURNING a",
            "WITH x AS (SELECT 1) DELETE FROM t",
        ):
            assert not (await engine.run(handle, sql)).ok, (engine.name, sql)
        assert await engine.contents(handle, TABLE) == [("1",)]
    finally:
        await engine.end(handle)
        await engine.close()


def test_every_clock_stands_still_in_sqlite() -> None:
    asyncio.run(_all(SqliteEngine(DbSettings(dbbench_workers=1, agentbench_data=None))))


def test_every_clock_stands_still_on_mariadb() -> None:
    with mariadb() as url:
        asyncio.run(_all(MysqlEngine(DbSettings(dbbench_url=url, agentbench_data=None))))  # type: ignore[arg-type]
