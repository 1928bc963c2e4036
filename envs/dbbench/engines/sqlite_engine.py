"""SQLite, the default engine: the server holds a database as a value, and a worker runs a statement on it.

Two sessions can share nothing, since a worker has one database at a time; a fork is another name for a value.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from envs.dbbench.engines.port import Outcome, Row, Table
from envs.dbbench.engines.sqlite_process import DiedError, LateError, WorkerPool
from envs.dbbench.mysql.statements import SqlError, too_slow
from envs.dbbench.settings import DbSettings
from envs.serving.environment import BadTaskError, EngineUnavailableError, InstanceLostError
from envs.serving.instances import Instances

READ_SECONDS = 30.0
"""What making and reading a table may take, seconds."""


@dataclass(frozen=True, slots=True)
class _Database:
    content: bytes
    schema: tuple[tuple[str, tuple[str, ...]], ...]


class SqliteEngine:
    """SQLite in worker processes.

    Args:
        settings: The workers, and what a statement may take.
    """

    def __init__(self, settings: DbSettings) -> None:
        self._settings = settings
        self._pool = WorkerPool(settings.dbbench_workers, settings.dbbench_worker_memory)
        self._databases: Instances[_Database] = Instances("sqlite")
        self._trouble: str | None = "the engine is not open yet"

    @property
    def name(self) -> str:
        """SQLite and sqlglot, with their versions."""
        return f"sqlite {sqlite3.sqlite_version}, sqlglot {version('sqlglot')}"

    async def open(self) -> None:
        """Start the workers."""
        try:
            await self._pool.open()
            self._trouble = None
        except EngineUnavailableError as error:
            self._trouble = str(error)

    async def close(self) -> None:
        """End the workers and forget the databases."""
        await self._pool.close()
        self._databases.clear()

    async def trouble(self) -> str | None:
        """None where the workers came up."""
        return self._trouble

    async def create(self, tables: Sequence[Table]) -> str:
        """A new database."""
        answer, content = await self._call(
            "build", b"", READ_SECONDS, tables=[_describe_table(table) for table in tables]
        )
        if not answer["ok"]:
            raise BadTaskError(f"the tables cannot be made: {answer['text']}")
        return self._databases.add(_Database(content, tuple((table.name, table.columns) for table in tables)))

    async def run(self, handle: str, sql: str) -> Outcome:
        """Run one statement; one that takes too long, or a worker's life, is an error."""
        database, seconds = self._databases.get(handle), self._settings.dbbench_statement_seconds
        try:
            answer, content = await self._pool.call(
                {"op": "run", "schema": database.schema, "sql": sql, "bounds": self._bounds()},
                database.content,
                seconds,
                handle,
            )
        except LateError:
            return Outcome(str(too_slow(seconds)), ok=False)
        except DiedError:
            return Outcome(str(SqlError(1041, "Out of memory")), ok=False)
        if answer["changed"]:
            self._databases.put(handle, _Database(content, database.schema))
        return Outcome(answer["text"], answer["ok"])

    async def contents(self, handle: str, table: Table) -> list[Row] | None:
        """The rows that a table has now; tables cannot be dropped here."""
        empty = Table(table.name, table.columns, ())
        answer, _ = await self._call(
            "contents", self._databases.get(handle).content, READ_SECONDS, table=_describe_table(empty)
        )
        return [tuple(row) for row in answer["rows"]]

    async def fork(self, handle: str) -> str:
        """Another name for the same value."""
        return self._databases.add(self._databases.get(handle))

    async def end(self, handle: str) -> None:
        """Forget a database."""
        self._databases.pop(handle)

    async def _call(
        self, op: str, payload: bytes, seconds: float, **arguments: Any
    ) -> tuple[dict[str, Any], bytes]:
        try:
            return await self._pool.call({"op": op, "bounds": self._bounds()} | arguments, payload, seconds)
        except (LateError, DiedError) as error:
            raise InstanceLostError(f"a worker did not answer: {error}") from error

    def _bounds(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "seconds": settings.dbbench_statement_seconds,
            "size": settings.dbbench_database_bytes,
            "shown": settings.dbbench_result_chars,
        }


def _describe_table(table: Table) -> list[Any]:
    return [table.name, table.columns, table.rows]
