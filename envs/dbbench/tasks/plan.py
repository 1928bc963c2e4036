"""The plan of a generated question, and the statement that answers it."""
# ruff: noqa: S608 - writing SQL is what it does

from dataclasses import dataclass, replace

ROWS, COUNT, DISTINCT, AGGREGATE, FREQUENT = "rows", "count", "distinct", "aggregate", "frequent"
EITHER, GAP, AFTER, BEFORE = "either", "gap", "after", "before"
INSERT, UPDATE, DELETE = "INSERT", "UPDATE", "DELETE"
CHANGES = (INSERT, UPDATE, DELETE)
CONTAINS = "~"


@dataclass(frozen=True)
class Condition:
    """A condition, as the question words it."""

    column: str
    relation: str
    """`=`, `<`, `>`, `<=`, `>=`, or `~`: the text has the value in it."""
    value: str
    mention: str = ""
    """How the question has the value, where that is only a part of it or has other signs."""

    @property
    def look_for(self) -> str:
        """What the mention is like: a hyphen stands for any dash."""
        return f"%{self.mention.replace('-', '_')}%"

    def sql(self, *, exactly: bool = True) -> str:
        """The condition in SQL; where not exactly, equal texts are looked for inside others."""
        if self.relation == "=" and exactly:
            return f"{name(self.column)} = {quoted(self.value)}"
        if self.relation in ("=", CONTAINS):
            return f"{name(self.column)} LIKE {quoted(f'%{self.value}%')}"
        return f"{number(self.column)} {self.relation} {self.value.replace(',', '')}"


@dataclass(frozen=True)
class Plan:
    """A question that was understood."""

    shape: str
    table: str
    wants: tuple[str, ...] = ()
    """The columns of the answer."""
    conditions: tuple[Condition, ...] = ()
    function: str = ""
    """Of an aggregate: SUM, AVG, MIN, MAX."""
    number: str = ""
    """The column that rows are ordered by, or reckoned with."""
    direction: str = ""
    limit: int = 0
    pairs: tuple[tuple[str, str], ...] = ()
    """Columns with their new values."""
    key: str = ""
    """The column that names a row, where rows are compared."""
    names: tuple[str, ...] = ()
    """The rows that are compared."""

    @property
    def changes(self) -> bool:
        """Whether the table is to be changed."""
        return self.shape in CHANGES

    @property
    def texts(self) -> bool:
        """Whether a text must be found."""
        return any(condition.relation == "=" for condition in self.conditions)

    @property
    def unsure(self) -> tuple[Condition, ...]:
        """The conditions whose values the question does not have as the table writes them."""
        return tuple(condition for condition in self.conditions if condition.mention)

    def as_mentioned(self) -> "Plan":
        """Return the same with values as the question has them."""
        conditions = tuple(
            replace(condition, value=condition.mention or condition.value) for condition in self.conditions
        )
        return replace(self, conditions=conditions)

    def folded(self) -> "Plan":
        """The same whatever letters' case values have; a change keeps its new values."""
        conditions = tuple(replace(condition, value=condition.value.lower()) for condition in self.conditions)
        return replace(self, conditions=conditions, names=tuple(one.lower() for one in self.names))

    def sql(self, *, exactly: bool = True) -> str:
        """The statement; where not exactly, equal texts are looked for inside others."""
        table = name(self.table)
        parts = [condition.sql(exactly=exactly) for condition in self.conditions]
        where = f" WHERE {' AND '.join(parts)}" if parts else ""
        match self.shape:
            case "INSERT":
                # Each value beside its column: in two long lists a small model loses its place.
                sets = ", ".join(f"{name(column)} = {quoted(value)}" for column, value in self.pairs)
                return f"INSERT INTO {table} SET {sets}"
            case "UPDATE":
                sets = ", ".join(f"{name(column)} = {quoted(value)}" for column, value in self.pairs)
                return f"UPDATE {table} SET {sets}{where}"
            case "DELETE":
                return f"DELETE FROM {table}{where}"
            case "gap":
                one, other = (
                    f"(SELECT {number(self.number)} FROM {table} WHERE {name(self.key)} = {quoted(value)})"
                    for value in self.names
                )
                return f"SELECT ABS({one} - {other})"
            case "after" | "before":
                step = "+ 1" if self.shape == AFTER else "- 1"
                place = f"SELECT {name(self.number)} {step} FROM {table}"
                inner = f"{place} WHERE {name(self.key)} = {quoted(self.names[0])}"
                return f"SELECT {name(self.key)} FROM {table} WHERE {name(self.number)} + 0 = ({inner})"
            case "either":
                where = f" WHERE {name(self.key)} IN ({', '.join(map(quoted, self.names))})"
            case "frequent":
                want = name(self.wants[0])
                return f"SELECT {want} FROM {table}{where} GROUP BY {want} ORDER BY COUNT(*) DESC LIMIT 1"
            case _:
                pass
        order = f" ORDER BY {number(self.number)} {self.direction} LIMIT {self.limit}" if self.number else ""
        return f"SELECT {self._selected()} FROM {table}{where}{order}"

    def _selected(self) -> str:
        wants = ", ".join(map(name, self.wants))
        match self.shape:
            case "count":
                return "COUNT(*)"
            case "distinct":
                return f"COUNT(DISTINCT {wants})"
            case "aggregate":
                return f"{self.function}({number(self.wants[0])})"
            case _:
                return wants


def name(column: str) -> str:
    """A name in backticks."""
    return f"`{column}`"


def quoted(value: str) -> str:
    """A text in SQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def number(column: str) -> str:
    """A column's texts as numbers, with or without commas between the thousands."""
    return f"REPLACE({name(column)}, ',', '') + 0"
