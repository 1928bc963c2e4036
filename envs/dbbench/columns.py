"""Columns of generated tables: how their values are drawn, written, and read as numbers."""

import random
from dataclasses import dataclass
from typing import Any

LETTERS = "ABCDEFGHJKLMNPRSTVWXZ"
MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
HOUSES = ("Tower", "House", "Center", "Building", "Plaza")
MISSING = ("", "-", "N/A")
NUMBERS = ("int", "decimal", "thousands", "year", "serial")


class Pools:
    """Words to draw from; a split has half of them.

    Args:
        draw: The task's chance.
        words: Every pool.
        side: Which half, 0 or 1.
    """

    def __init__(self, draw: random.Random, words: dict[str, list[str]], side: int) -> None:
        self._draw = draw
        self._words = {name: pool[side::2] if name != "country" else pool for name, pool in words.items()}
        self._used: set[str] = set()

    def fresh(self) -> None:
        """Begin another table: a name may be drawn again."""
        self._used.clear()

    def word(self, pool: str) -> str:
        """A word of a pool."""
        return self._draw.choice(self._words[pool])

    def value(self, kind: str) -> str:
        """A name of a kind."""
        match kind:
            case "person":
                return f"{self.word('first')} {self.word('last')}"
            case "team":
                return f"{self.word('city')} {self.word('team')}"
            case "title":
                return f'"{self.word("word")} {self.word("thing")}"'
            case "building":
                return f"{self.word('last')} {self._draw.choice(HOUSES)}"
            case "school":
                return (
                    f"{self.word('city')} {self._draw.choice(('Primary School', 'High School', 'Academy'))}"
                )
            case "ship":
                return (
                    f"{self._draw.choice(('', '', 'SS ', 'HMS '))}{self.word('first')} {self.word('thing')}"
                )
            case "circuit":
                return f"{self.word('city')} {self._draw.choice(('Circuit', 'Speedway', 'Raceway', 'Park'))}"
            case _:
                return self.word(kind)

    def distinct(self, kind: str) -> str:
        """A name that the table does not have yet, where there is one."""
        for _ in range(50):
            value = self.value(kind)
            if value.lower() not in self._used:
                self._used.add(value.lower())
                return value
        return f"{self.value(kind)} {self._draw.randint(2, 99)}"


@dataclass(frozen=True)
class Column:
    """A column."""

    name: str
    kind: str
    key: bool
    blank: float
    """The share of values that are missing."""
    low: int
    high: int
    digits: int
    choices: tuple[str, ...]

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers."""
        return self.kind in NUMBERS

    @property
    def counts(self) -> bool:
        """Whether its numbers may be added up and ranked."""
        return self.kind in ("int", "decimal", "thousands")

    @property
    def commas(self) -> bool:
        """Whether its numbers have commas between the thousands."""
        return self.kind == "thousands"

    def number(self, value: str) -> float | None:
        """A value as a number; None where it is none."""
        try:
            return float(value.replace(",", "")) if self.ordered else None
        except ValueError:
            return None

    def form(self, number: float) -> str:
        """A number as it is written here."""
        if self.kind == "decimal":
            return f"{number:.{self.digits}f}"
        return f"{int(number):,}" if self.commas else str(int(number))

    def beyond(self, draw: random.Random, number: float, relation: str) -> str:
        """A bound that a number is on the wanted side of."""
        step = max(10**-self.digits if self.kind == "decimal" else 1.0, round((self.high - self.low) / 8))
        moved = number + step if relation == "<" else max(0.0, number - step)
        if self.kind == "thousands" and draw.random() < 0.5:
            return str(int(moved))
        return self.form(moved)

    def spoken(self, value: str) -> str:
        """A value as a question says it: titles without their quotes."""
        return value.strip('"') if self.kind == "title" else value

    def written(self, value: str) -> str:
        """A value that a question says, as it is written here."""
        return f'"{value}"' if self.kind == "title" else value

    def value(self, draw: random.Random, pools: Pools, row: int) -> str:
        """A value of one row."""
        if self.blank and draw.random() < self.blank:
            return draw.choice(MISSING)
        match self.kind:
            case "serial":
                return str(row + 1)
            case "int" | "thousands" | "year":
                return self.form(draw.randint(self.low, self.high))
            case "decimal":
                return self.form(draw.uniform(self.low, self.high))
            case "one":
                return draw.choice(self.choices)
            case "date":
                return f"{draw.choice(MONTHS)} {draw.randint(1, 28)}, {draw.randint(1961, 2019)}"
            case "score":
                return f"{draw.randint(0, 5)}\u2013{draw.randint(0, 4)}"
            case "record":
                return f"{draw.randint(0, 12)}-{draw.randint(0, 12)}-{draw.randint(0, 3)}"
            case "money":
                return draw.choice(
                    ("Undisclosed", "Free", f"£{draw.randint(1, 40) / 2:g}m", f"£{draw.randint(50, 900)}k")
                )
            case "code":
                return "K" + "".join(draw.choice(LETTERS) for _ in range(3)) + str(draw.randint(100, 299))
        return pools.distinct(self.kind) if self.key else pools.value(self.kind)


def draw_column(draw: random.Random, told: dict[str, Any]) -> Column:
    """A column as a topic tells of it, under one of its names."""
    return Column(
        name=draw.choice(told["names"]),
        kind=told["is"],
        key=bool(told.get("key")),
        blank=float(told.get("blank", 0)),
        low=int(told.get("low", 0)),
        high=int(told.get("high", 0)),
        digits=int(told.get("digits", 0)),
        choices=tuple(told.get("of", ())),
    )
