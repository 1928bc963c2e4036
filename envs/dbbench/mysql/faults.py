"""Errors out of functions that SQLite calls: SQLite itself reports no more than that there was one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NoReturn

from envs.dbbench.mysql.statements import SqlError


class Faults:
    """The first error of a statement."""

    def __init__(self) -> None:
        self.first: SqlError | None = None


_CURRENT: ContextVar[Faults | None] = ContextVar("faults", default=None)


@contextmanager
def collected() -> Iterator[Faults]:
    """Within this, `fail` leaves its error in what is given."""
    faults = Faults()
    token = _CURRENT.set(faults)
    try:
        yield faults
    finally:
        _CURRENT.reset(token)


def fail(code: int, message: str) -> NoReturn:
    """End the statement with an error.

    Raises:
        SqlError: Always.
    """
    error = SqlError(code, message)
    faults = _CURRENT.get()
    if faults is not None and faults.first is None:
        faults.first = error
    raise error
