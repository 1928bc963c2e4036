"""A MySQL or MariaDB server: its address, and connections to it.

Every call blocks; `mysql_engine` runs them in threads.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor

from envs.serving.environment import EngineUnavailableError, InstanceLostError

CONNECT_SECONDS = 5
ADMIN_SECONDS = 30
GONE = frozenset((1044, 1045, 1049, 1698))
"""The server's errors where a session's database or account is missing."""
COLLATION = "utf8mb4_general_ci"


@dataclass(frozen=True, slots=True)
class Account:
    """Who connects, and to which database."""

    user: str
    password: str = field(repr=False)
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is, and its administrator."""

    host: str
    port: int
    socket: str | None
    admin: Account

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        return self.socket is not None or self.host in ("127.0.0.1", "localhost", "::1")

    @classmethod
    def parse(cls, url: str) -> "Server":
        """Read `mysql://user:password@host:port`, with `?socket=` for one.

        Raises:
            ValueError: It is not such an address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("mysql", "mariadb") or not parts.username:
            raise ValueError("ESPALIER_DBBENCH_URL is mysql://user:password@host:port")
        admin = Account(unquote(parts.username), unquote(parts.password or ""))
        socket = parse_qs(parts.query).get("socket", [None])[0]
        return cls(parts.hostname or "127.0.0.1", parts.port or 3306, socket, admin)

    @contextmanager
    def connect(self, account: Account, seconds: float) -> Iterator[Any]:
        """A connection, closed at the end whatever is still to be read from it.

        Args:
            account: Who.
            seconds: How long the client waits for an answer.

        Raises:
            EngineUnavailableError: The server does not answer.
            InstanceLostError: The account or the database is missing.
        """
        try:
            connection = pymysql.connect(
                host=self.host,
                port=self.port,
                unix_socket=self.socket,
                user=account.user,
                password=account.password,
                database=account.database,
                charset="utf8mb4",
                collation=COLLATION,
                connect_timeout=CONNECT_SECONDS,
                read_timeout=seconds,
                write_timeout=seconds,
                local_infile=False,
                # Making a TLS context takes a hundred times as long as all the rest.
                ssl_disabled=self.local,
                client_flag=CLIENT.FOUND_ROWS,
                cursorclass=SSCursor,
            )
        except pymysql.Error as error:
            if error.args and error.args[0] in GONE and account is not self.admin:
                raise InstanceLostError(str(error)) from error
            raise EngineUnavailableError(f"The MySQL server does not let us in: {error}") from error
        with closing(connection):
            yield connection

    def administer(self, *statements: tuple[str, Sequence[object]] | str) -> list[tuple[Any, ...]]:
        """Run statements as the administrator; the last one's rows."""
        rows: list[tuple[Any, ...]] = []
        with self.connect(self.admin, ADMIN_SECONDS) as connection:
            for statement in statements:
                sql, values = (statement, ()) if isinstance(statement, str) else statement
                with connection.cursor() as cursor:
                    cursor.execute(sql, values or None)
                    rows = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
        return rows


def quoted(name: str) -> str:
    """A name in backticks."""
    return "`" + name.replace("`", "``") + "`"
