"""Which names an expression sees, and the types of what they name."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlglot import exp

from envs.dbbench.mysql.kinds import Kind
from envs.dbbench.mysql.statements import UNKNOWN_COLUMN, SqlError

Columns = tuple[tuple[str, Kind], ...]
"""The columns of a table or a query, with their types."""


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression for SQLite, and its type in MySQL."""

    sql: exp.Expr
    kind: Kind


@dataclass(slots=True)
class Source:
    """A table, a derived table or a common table expression, as a query names it."""

    name: str
    columns: Columns

    def find(self, name: str) -> Kind | None:
        """Return the type of a column; None where it is missing."""
        return next((kind for column, kind in self.columns if column.lower() == name), None)


@dataclass(slots=True)
class Scope:
    """The names of a query, within those of the queries around it."""

    outer: "Scope | None" = None
    sources: list[Source] = field(default_factory=list)
    aliases: dict[str, Kind] = field(default_factory=dict)
    """What the query calls its own columns; filled once they are typed."""
    tables: dict[str, Columns] = field(default_factory=dict)
    """Common table expressions by name."""
    merged: bool = False
    """Whether joins merge columns, so that a `*` has not every column of every source."""

    def table(self, name: str) -> Columns | None:
        """A common table expression; None where there is none of this name."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.tables:
                return scope.tables[name]
            scope = scope.outer
        return None

    def kind(self, column: exp.Column) -> Kind:
        """The type of a column.

        Raises:
            SqlError: No table here or around has it.
        """
        name, table = column.name.lower(), column.table
        scope: Scope | None = self
        while scope is not None:
            found = scope._own(name, table)
            if found is not None:
                return found
            scope = scope.outer
        raise unknown_column(f"{table}.{column.name}" if table else column.name)

    def all_columns(self, tables: Iterable[Source] | None = None) -> list[tuple[str, str, Kind]]:
        """Every column as table, name and type."""
        sources = self.sources if tables is None else tables
        return [(source.name, name, kind) for source in sources for name, kind in source.columns]

    def _own(self, name: str, table: str) -> Kind | None:
        for source in self.sources:
            if not table or source.name == table:
                found = source.find(name)
                if found is not None:
                    return found
        return None if table else self.aliases.get(name)


def unknown_column(name: str) -> SqlError:
    """Return MySQL's error for a missing column."""
    return SqlError(UNKNOWN_COLUMN, f"Unknown column '{name}'")
