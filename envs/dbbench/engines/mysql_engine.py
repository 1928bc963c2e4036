"""MySQL or MariaDB, the reference engine: a database and an account a session.

The account may read and change rows of its own database, and nothing else; it has no FILE, no DDL, no other
database. Every statement has a connection of its own, as the benchmark's have, and is one transaction.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pymysql

from envs.dbbench.engines.mysql_clock import freeze_clock
from envs.dbbench.engines.mysql_server import COLLATION, Account, Server, quoted
from envs.dbbench.engines.port import DATABASE, Outcome, Row, Table
from envs.dbbench.engines.shown import MOST_ROWS, cut, shown
from envs.dbbench.mysql.rules import refuse
from envs.dbbench.mysql.statements import SqlError, checked, done, reads, too_slow
from envs.dbbench.settings import DbSettings
from envs.serving.environment import BadTaskError, EngineUnavailableError, InstanceLostError

PREFIX = "espalier_"
GRACE = 2.0
"""After its own deadline the server has this long to stop a statement before it is killed, seconds."""
LATE = frozenset((1969, 1317, 3024))
"""The server's errors of a statement that was stopped."""
LOST = frozenset((2006, 2013))
"""The client's errors of a connection that went, or did not answer."""
ROWS_AT_ONCE = 200
T = TypeVar("T")
# There is no clock and no chance, so that a session can be rebuilt from its actions.
SESSION = (
    "SET SESSION sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION', group_concat_max_len = 1024, time_zone = '+00:00', timestamp = 1704110400, "
    "rand_seed1 = 1, rand_seed2 = 2, {deadline}"
)


@dataclass(frozen=True, slots=True)
class _Session:
    account: Account
    tables: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def name(self) -> str:
        assert self.account.database is not None
        return self.account.database


class MysqlEngine:
    """Databases on a MySQL or MariaDB server.

    Args:
        settings: Where it is, and what a statement may take.
    """

    def __init__(self, settings: DbSettings) -> None:
        self._settings = settings
        self._server: Server | None = None
        self._version = ""
        self._sessions: dict[str, _Session] = {}
        self._threads = ThreadPoolExecutor(settings.dbbench_connections, thread_name_prefix="dbbench")

    @property
    def name(self) -> str:
        """The server's version, once it is known."""
        return f"mysql {self._version}".strip()

    async def open(self) -> None:
        """Find the server, and drop what one that died long ago has left there."""
        with contextlib.suppress(EngineUnavailableError):
            await self._in_thread(self._meet)
            await self._in_thread(self._sweep)

    async def close(self) -> None:
        """Drop every database that is left."""
        with contextlib.suppress(EngineUnavailableError):
            await asyncio.gather(*(self.end(handle) for handle in list(self._sessions)))
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def trouble(self) -> str | None:
        """None where the server lets us in."""
        try:
            await self._in_thread(self._meet)
        except EngineUnavailableError as error:
            return str(error)
        return None

    async def create(self, tables: Sequence[Table]) -> str:
        """A new database with an account."""
        size = sum(len(value or "") for table in tables for row in table.rows for value in row)
        if size > self._settings.dbbench_database_bytes:
            raise BadTaskError("the tables are larger than ESPALIER_DBBENCH_DATABASE_BYTES")
        fill = [step for table in tables for step in _making(table)]
        return await self._add(tuple((table.name, table.columns) for table in tables), lambda _: fill)

    async def run(self, handle: str, sql: str) -> Outcome:
        """Run one statement."""
        return await self._in_thread(self._run, self._get(handle), sql)

    async def contents(self, handle: str, table: Table) -> list[Row] | None:
        """The rows that a table has now."""
        session = self._get(handle)
        columns = ", ".join(map(quoted, table.columns))
        sql = f"SELECT {columns} FROM {quoted(session.name)}.{quoted(table.name)}"  # noqa: S608
        try:
            return await self._in_thread(lambda: self._known().administer(sql))
        except pymysql.Error as error:
            raise InstanceLostError(str(error)) from error

    async def fork(self, handle: str) -> str:
        """A copy of the tables in a new database."""
        parent = self._get(handle)

        def copying(database: str) -> list[Any]:
            steps: list[Any] = []
            for table, _ in parent.tables:
                old, new = (f"{quoted(name)}.{quoted(table)}" for name in (parent.name, database))
                steps += [f"CREATE TABLE {new} LIKE {old}", f"INSERT INTO {new} SELECT * FROM {old}"]  # noqa: S608
            return steps

        return await self._add(parent.tables, copying)

    async def end(self, handle: str) -> None:
        """Drop a database and its account."""
        session = self._sessions.pop(handle, None)
        if session is not None:
            await self._in_thread(lambda: self._known().administer(*self._dropping(session.name)))

    async def _in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def _add(self, tables: Any, fill: Callable[[str], list[Any]]) -> str:
        name = f"{PREFIX}{secrets.token_hex(8)}"
        account = Account(name, secrets.token_hex(16), name)
        # Known before it is made, so that one whose making was cancelled is dropped at the end.
        self._sessions[name] = _Session(account, tables)
        try:
            await self._in_thread(self._make, account, fill(name))
        except BaseException as error:
            with contextlib.suppress(EngineUnavailableError, pymysql.Error):
                await self.end(name)
            if isinstance(error, pymysql.Error):
                raise BadTaskError(f"the tables cannot be made: {error}") from error
            raise
        return name

    def _make(self, account: Account, fill: list[Any]) -> None:
        database, user = quoted(account.user), self._user(account.user)
        limits = "MAX_USER_CONNECTIONS 4"
        if self._maria:
            limits += f" MAX_STATEMENT_TIME {self._settings.dbbench_statement_seconds:g}"
        self._known().administer(
            f"CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE {COLLATION}",
            f"USE {database}",
            *fill,
            f"CREATE USER {user} IDENTIFIED BY '{account.password}' WITH {limits}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database.replace('_', chr(92) + '_')}.* TO {user}",
        )

    def _run(self, session: _Session, sql: str) -> Outcome:
        limit, seconds = self._settings.dbbench_result_chars, self._settings.dbbench_statement_seconds
        try:
            text = self._executed(session, freeze_clock(checked(sql)), limit, seconds)
            return Outcome(text.replace(session.name, DATABASE), ok=True)
        except SqlError as error:
            return Outcome(cut(str(error), limit), ok=False)
        except pymysql.Error as error:
            code, message = (*error.args, "", "")[:2]
            refusal = too_slow(seconds) if code in LATE | LOST else SqlError(int(code or 0), str(message))
            return Outcome(cut(str(refusal).replace(session.name, DATABASE), limit), ok=False)

    def _executed(self, session: _Session, sql: str, limit: int, seconds: float) -> str:
        server = self._known()
        with server.connect(session.account, seconds + GRACE) as connection:
            try:
                cursor = connection.cursor()
                cursor.execute(SESSION.format(deadline=self._deadline(seconds)))
                cursor.execute(sql)
                rows_back = cursor.description is not None
                if rows_back and not reads(sql):
                    self._leave(connection, cursor)
                    refuse("a change that answers with rows (RETURNING)")
                if rows_back:
                    text = shown(cursor.fetchall_unbuffered(), limit)
                    self._leave(connection, cursor)
                    return text
                rows = cursor.rowcount
                self._fits(cursor, session)
                connection.commit()
                return done(rows)
            except pymysql.Error as error:
                if error.args and error.args[0] in LOST:
                    with contextlib.suppress(pymysql.Error):
                        server.administer(f"KILL {connection.thread_id()}")
                raise

    def _deadline(self, seconds: float) -> str:
        if self._maria:
            return f"max_statement_time = {seconds:g}"
        return f"max_execution_time = {int(seconds * 1000)}"

    def _leave(self, connection: Any, cursor: Any) -> None:
        """Let the server stop sending what is not read."""
        if len(cursor.fetchmany(MOST_ROWS)) == MOST_ROWS:
            self._known().administer(f"KILL QUERY {connection.thread_id()}")
        with contextlib.suppress(pymysql.Error):
            while cursor.fetchmany(MOST_ROWS):
                pass

    def _fits(self, cursor: Any, session: _Session) -> None:
        """Let no statement be committed that makes the database too large."""
        size = 0
        for table, columns in session.tables:
            length = " + ".join(f"COALESCE(OCTET_LENGTH({quoted(column)}), 0)" for column in columns)
            cursor.execute(f"SELECT SUM({length}) FROM {quoted(table)}")  # noqa: S608
            size += int(cursor.fetchall()[0][0] or 0)
        if size > self._settings.dbbench_database_bytes:
            raise SqlError(1114, "The table is full")

    def _meet(self) -> None:
        try:
            server = Server.parse(self._settings.dbbench_url.get_secret_value())
        except ValueError as error:
            raise EngineUnavailableError(str(error)) from error
        self._version = str(server.administer("SELECT VERSION()")[0][0])
        self._server = server

    def _sweep(self) -> None:
        """No session lives so long: these were left by a server that died."""
        age = int(2 * self._settings.session_ttl)
        found = self._known().administer(
            (
                "SELECT table_schema FROM information_schema.tables WHERE table_schema LIKE %s "
                "GROUP BY table_schema HAVING MAX(create_time) < NOW() - INTERVAL %s SECOND",
                (PREFIX.replace("_", r"\_") + "%", age),
            )
        )
        for (name,) in found:
            self._known().administer(*self._dropping(name))

    def _dropping(self, name: str) -> list[str]:
        return [f"DROP USER IF EXISTS {self._user(name)}", f"DROP DATABASE IF EXISTS {quoted(name)}"]

    def _user(self, name: str) -> str:
        return f"{quoted(name)}@{quoted(self._settings.dbbench_client_host)}"

    @property
    def _maria(self) -> bool:
        return "mariadb" in self._version.lower()

    def _known(self) -> Server:
        if self._server is None:
            self._meet()
        assert self._server is not None
        return self._server

    def _get(self, handle: str) -> _Session:
        try:
            return self._sessions[handle]
        except KeyError:
            raise InstanceLostError(handle) from None


def _making(table: Table) -> list[Any]:
    columns = ", ".join(f"{quoted(column)} TEXT" for column in table.columns)
    steps: list[Any] = [f"CREATE TABLE {quoted(table.name)} ({columns})"]
    for start in range(0, len(table.rows), ROWS_AT_ONCE):
        rows = table.rows[start : start + ROWS_AT_ONCE]
        marks = ", ".join(f"({', '.join(['%s'] * len(table.columns))})" for _ in rows)
        values = [value for row in rows for value in row]
        name = quoted(table.name).replace("%", "%%")
        steps.append((f"INSERT INTO {name} VALUES {marks}", values))  # noqa: S608
    return steps
