"""The port between the environment and what runs SQL, and what passes through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Row = tuple[str | None, ...]
DATABASE = "dbbench"
"""What an agent's database is called, whatever its engine calls it."""
MAX_NAME = 64
"""The longest name of a table or a column, characters (MySQL's limit)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is made: all columns are TEXT, as the benchmark has them."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> "Table":
        """A table whose names MySQL takes.

        A column without a name is called `column_<n>`, a second one of the same name gets a number, and names
        are cut at 64 characters. Rows are cut or filled with NULL to the columns' number; values become text.
        """
        width = len(columns)
        filled = [(*row, *[None] * width)[:width] for row in rows]
        texts = tuple(tuple(None if value is None else _text(value) for value in row) for row in filled)
        return cls(_text(name).strip()[:MAX_NAME] or "table_1", _distinct(list(map(_text, columns))), texts)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement did."""

    text: str
    """What is shown."""
    ok: bool
    """False where it is an error's text."""


class Engine(Protocol):
    """What runs SQL, a database a session. Unknown handles raise `InstanceLostError`."""

    @property
    def name(self) -> str:
        """What runs, with its version."""
        ...

    async def open(self) -> None:
        """Start what is needed."""
        ...

    async def close(self) -> None:
        """Stop it, and drop every database that is left."""
        ...

    async def trouble(self) -> str | None:
        """None where databases can be made, else why not."""
        ...

    async def create(self, tables: Sequence[Table]) -> str:
        """A new database with these tables; its handle.

        Raises:
            BadTaskError: The tables cannot be made, or are too large.
            EngineUnavailableError: The engine does not answer.
        """
        ...

    async def run(self, handle: str, sql: str) -> Outcome:
        """Run one statement."""
        ...

    async def contents(self, handle: str, table: Table) -> list[Row] | None:
        """The rows that a table has now; None where it or a column of it is gone."""
        ...

    async def fork(self, handle: str) -> str:
        """The handle of a copy."""
        ...

    async def end(self, handle: str) -> None:
        """Drop a database; a handle that is not known is no error."""
        ...


def _text(value: object) -> str:
    """A value as text that can be stored: half of a surrogate pair and U+FFFF are no characters."""
    return str(value).encode("utf-8", "replace").decode().replace("\uffff", "\ufffd")


def _distinct(columns: Sequence[str]) -> tuple[str, ...]:
    taken: set[str] = set()
    names: list[str] = []
    for number, column in enumerate(columns, start=1):
        plain = column.strip()[:MAX_NAME] or f"column_{number}"
        name, again = plain, 2
        while name.lower() in taken:
            tail = f"_{again}"
            name, again = plain[: MAX_NAME - len(tail)] + tail, again + 1
        taken.add(name.lower())
        names.append(name)
    return tuple(names)
