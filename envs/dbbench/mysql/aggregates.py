"""MySQL's aggregates, for SQLite."""

import math
from typing import Any

from envs.dbbench.mysql import decimals
from envs.dbbench.mysql.decimals import Number
from envs.dbbench.mysql.faults import fail
from envs.dbbench.mysql.signatures import AGGREGATES as TYPED
from envs.dbbench.mysql.values import Value, compare, integer, number, text, weight

LONGEST_LIST = 1024
"""Where GROUP_CONCAT is cut, characters (MySQL's default)."""
MOST_MEMBERS = 100_000
"""How many values an aggregate keeps."""


class Sum:
    """SUM: NULL of nothing; exact numbers are added exactly, doubles in their order."""

    def __init__(self) -> None:
        self._total: Number = 0
        self._count = 0

    def step(self, value: Value) -> None:
        """Add one value."""
        if value is not None:
            self._total = decimals.add(self._total, number(value))
            self._count += 1

    def inverse(self, value: Value) -> None:
        """Take one value away, where a window moves on."""
        if value is not None:
            self._total = decimals.subtract(self._total, number(value))
            self._count -= 1

    def value(self) -> Value:
        """The sum so far."""
        return decimals.write(self._total) if self._count else None

    def finalize(self) -> Value:
        """The sum."""
        return self.value()


class Average(Sum):
    """AVG."""

    def value(self) -> Value:
        """The average so far."""
        mean = decimals.divide(self._total, self._count) if self._count else None
        return None if mean is None else decimals.write(mean)


class Spread:
    """STDDEV and VARIANCE, by their names' rules."""

    def __init__(self) -> None:
        self._name = ""
        self._scale: Value = None
        self._count, self._mean, self._sum = 0, 0.0, 0.0

    def step(self, name: str, value: Value, scale: Value) -> None:
        """Take one value; with a scale, the spread is shown with so many decimals."""
        self._name, self._scale = name, scale
        if value is not None:
            self._count += 1
            given = decimals.double(number(value))
            off = given - self._mean
            self._mean += off / self._count
            self._sum += off * (given - self._mean)

    def finalize(self) -> Value:
        """The spread."""
        free = self._count - self._name.endswith("SAMP")
        if free < 1:
            return None
        variance = self._sum / free
        spread = variance if self._name.startswith("VAR") else math.sqrt(variance)
        if self._scale is None:
            return spread
        return decimals.write(decimals.fixed(spread, integer(self._scale)))


class GroupConcat:
    """GROUP_CONCAT: `step(separator, distinct, directions, value, *keys)`; a direction, + or -, a key."""

    def __init__(self) -> None:
        self._separator = ","
        self._distinct = False
        self._directions = ""
        self._members: list[tuple[str, tuple[Value, ...]]] = []
        self._seen: set[str] = set()

    def step(self, separator: str, distinct: int, directions: str, value: Value, *keys: Value) -> None:
        """Take one value."""
        self._separator, self._directions = separator, directions
        given = text(value)
        if given is None or len(self._members) >= MOST_MEMBERS:
            return
        if distinct:
            if weight(given) in self._seen:
                return
            self._seen.add(weight(given))
        self._members.append((given, keys))

    def finalize(self) -> Value:
        """The values, joined."""
        if not self._members:
            return None
        for index in reversed(range(len(self._directions))):
            self._members.sort(
                key=lambda member: _Key(member[1][index]), reverse=self._directions[index] == "-"
            )
        joined, length = [], 0
        for value, _ in self._members:
            joined.append(value)
            length += len(value) + len(self._separator)
            if length > LONGEST_LIST:
                break
        return self._separator.join(joined)[:LONGEST_LIST]


class Quantified:
    """`x <op> ANY (subquery)`, `x IN (subquery)` and `x <op> ALL (subquery)`: `step(op, x, value)`.

    Args:
        any_row: Whether one row is enough.
    """

    def __init__(self, any_row: bool) -> None:
        self._any_row = any_row
        self._found: set[bool | None] = set()

    def step(self, operator: str, *pairs: Value) -> None:
        """Take one row of the subquery: each value beside the one it is compared with."""
        holds: set[bool | None] = set()
        for one, other in zip(pairs[::2], pairs[1::2], strict=True):
            order = compare(one, other)
            holds.add(None if order is None else OPERATORS[operator](order))
        self._found.add(False if False in holds else None if None in holds else True)

    def finalize(self) -> Value:
        """1, 0 or NULL; of no row at all, ANY is 0 and ALL is 1."""
        if self._any_row in self._found:
            return int(self._any_row)
        return None if None in self._found else int(not self._any_row)


class AnyValue:
    """ANY_VALUE: the first."""

    def __init__(self) -> None:
        self._values: list[Value] = []

    def step(self, value: Value) -> None:
        """Take one value."""
        if not self._values:
            self._values.append(value)

    def finalize(self) -> Value:
        """The first value."""
        return self._values[0] if self._values else None


class One:
    """The value of a query that has at most one row."""

    def __init__(self) -> None:
        self._values: list[Value] = []

    def step(self, value: Value) -> None:
        """Take one row.

        Raises:
            SqlError: It is the second.
        """
        if self._values:
            fail(1242, "Subquery returns more than 1 row")
        self._values.append(value)

    def finalize(self) -> Value:
        """The value; NULL where there is no row."""
        return self._values[0] if self._values else None


class _Key:
    """A value in the order of the collation, NULL first."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def __lt__(self, other: "_Key") -> bool:
        if self._value is None or other._value is None:
            return self._value is None and other._value is not None
        return (compare(self._value, other._value) or 0) < 0


OPERATORS: dict[str, Any] = {
    "EQ": lambda order: order == 0,
    "NEQ": lambda order: order != 0,
    "LT": lambda order: order < 0,
    "LTE": lambda order: order <= 0,
    "GT": lambda order: order > 0,
    "GTE": lambda order: order >= 0,
}
"""Return the order of two values by a comparison."""
AGGREGATES = frozenset((*TYPED, "GROUP_CONCAT"))
"""The aggregates that an agent may call."""
