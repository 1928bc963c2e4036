"""MySQL's aggregates, for SQLite."""

import math
from typing import Any

from envs.dbbench.functions import exact_round
from envs.dbbench.values import Value, compare, number, text, weight, whole

LONGEST_LIST = 1024
"""Where GROUP_CONCAT is cut, characters (MySQL's default)."""
MOST_MEMBERS = 100_000
"""How many values an aggregate keeps."""


class Sum:
    """SUM: NULL of nothing; texts are added as doubles, in their order."""

    def __init__(self) -> None:
        self.total: int | float | None = None

    def step(self, value: Value) -> None:
        """Add one value."""
        if value is not None:
            self.total = number(value) + (self.total or 0)

    def finalize(self) -> Value:
        """The sum."""
        return _fitting(self.total)


class Average(Sum):
    """AVG; with a scale, rounded to it, as an average of exact numbers is."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._scale: Value = None

    def step(self, value: Value, scale: Value = None) -> None:  # type: ignore[override]
        """Take one value."""
        super().step(value)
        self._count += value is not None
        self._scale = scale

    def finalize(self) -> Value:
        """The average."""
        if self.total is None:
            return None
        mean = self.total / self._count
        return whole(mean) if self._scale is None else exact_round(mean, self._scale)


class Spread:
    """STDDEV and VARIANCE, by their names' rules."""

    def __init__(self) -> None:
        self._name = ""
        self._count, self._mean, self._sum = 0, 0.0, 0.0

    def step(self, name: str, value: Value) -> None:
        """Take one value."""
        self._name = name
        if value is not None:
            self._count += 1
            off = number(value) - self._mean
            self._mean += off / self._count
            self._sum += off * (number(value) - self._mean)

    def finalize(self) -> Value:
        """The spread."""
        free = self._count - self._name.endswith("SAMP")
        if free < 1:
            return None
        variance = self._sum / free
        return variance if self._name.startswith("VAR") else math.sqrt(variance)


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

    def step(self, operator: str, one: Value, other: Value) -> None:
        """Take one row of the subquery."""
        order = compare(one, other)
        self._found.add(None if order is None else OPERATORS[operator](order))

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


class _Key:
    """A value in the order of the collation, NULL first."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def __lt__(self, other: "_Key") -> bool:
        if self._value is None or other._value is None:
            return self._value is None and other._value is not None
        return (compare(self._value, other._value) or 0) < 0


def _fitting(total: int | float | None) -> Value:
    if total is None:
        return None
    return whole(total) if isinstance(total, float) or abs(total) < 2**63 else float(total)


OPERATORS: dict[str, Any] = {
    "EQ": lambda order: order == 0,
    "NEQ": lambda order: order != 0,
    "LT": lambda order: order < 0,
    "LTE": lambda order: order <= 0,
    "GT": lambda order: order > 0,
    "GTE": lambda order: order >= 0,
}
"""What a comparison says of the order of two values."""
SPREADS = ("STD", "STDDEV", "STDDEV_POP", "STDDEV_SAMP", "VARIANCE", "VAR_POP", "VAR_SAMP")
AGGREGATES = frozenset(("COUNT", "SUM", "AVG", "MIN", "MAX", "GROUP_CONCAT", "ANY_VALUE", *SPREADS))
"""The aggregates that an agent may call."""
