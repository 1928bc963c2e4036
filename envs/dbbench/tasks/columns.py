"""Columns of generated tables: how their values are drawn, written, and read as numbers."""

import random
from dataclasses import dataclass

from envs.dbbench.tasks.pools import Pools

LETTERS = "ABCDEFGHJKLMNPRSTVWXZ"
_MONTHS = """January February March April May June July August September October November
December"""
MONTHS = tuple(_MONTHS.split())
MISSING = ("", "-", "N/A", "—", "Unknown")
NUMBERS = ("int", "decimal", "thousands", "year", "serial")
_NAMES = """person artist town team place title words company ship species mountain model designation host
first last country region animal product subject dish word"""
NAMES = frozenset(_NAMES.split())
DASH = "\u2013"
STYLES = 6
"""In how many ways a date, a score or a sum of money can be written."""


@dataclass(frozen=True)
class Column:
    """A column."""

    name: str
    kind: str
    key: bool = False
    """Whether it names a row."""
    blank: float = 0.0
    """How often a value is missing."""
    low: int = 0
    high: int = 0
    digits: int = 0
    choices: tuple[str, ...] = ()
    """Of `one`: the values; of a name: words after it."""
    modifier: str = ""
    """How the value stands after a noun: `against {v}`."""
    style: int = 0

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers."""
        return self.kind in NUMBERS

    @property
    def counts(self) -> bool:
        """Whether its numbers may be added up and ranked."""
        return self.kind in ("int", "decimal", "thousands")

    @property
    def dated(self) -> bool:
        """Whether its values are days with a year in it."""
        return self.kind == "date" and self.style not in (2, 5)

    def number(self, value: str) -> float | None:
        """Return a value as a number; None where it is not a number."""
        try:
            return float(value.replace(",", "")) if self.ordered else None
        except ValueError:
            return None

    def form(self, number: float) -> str:
        """A number as it is written here."""
        if self.kind == "decimal":
            return f"{number:.{self.digits}f}"
        return f"{int(number):,}" if self.kind == "thousands" else str(int(number))

    def beyond(self, draw: random.Random, number: float, relation: str) -> str:
        """A bound that a number is on the wanted side of."""
        least = 10**-self.digits if self.kind == "decimal" else 1.0
        step = max(least, round((self.high - self.low) * draw.choice((0.03, 0.1, 0.25)), self.digits))
        moved = number + step if relation.startswith("<") else max(0.0, number - step)
        if self.kind == "thousands":
            written = self.form(moved)
            return written if draw.random() < 0.5 else written.replace(",", "")
        return self.form(moved)

    def value(self, draw: random.Random, pools: Pools, row: int) -> str:
        """A value of one row."""
        if self.blank and draw.random() < self.blank:
            return MISSING[self.style % len(MISSING)]
        if self.kind in NAMES:
            make = pools.distinct if self.key else pools.joined
            return make(self.kind, self.choices)
        match self.kind:
            case "serial":
                return str(row + 1)
            case "int" | "thousands" | "year":
                return self.form(draw.randint(self.low, self.high))
            case "decimal":
                return self.form(draw.uniform(self.low, self.high))
            case "one":
                return draw.choice(self.choices)
            case "season":
                year = (2019 - row) % 100 + 1900 if row > 18 else 2019 - row
                return (f"{year}", f"{year}{DASH}{(year + 1) % 100:02}", f"{year}-{(year + 1) % 100:02}")[
                    self.style % 3
                ]
        return _written(self.kind, draw, self.style, row)


def _written(kind: str, draw: random.Random, style: int, row: int) -> str:
    number = draw.randint
    two = draw.choice(LETTERS) + draw.choice(LETTERS)
    match kind:
        case "date":
            return _date(draw, style)
        case "score":
            one, two = number(0, 48), number(0, 45)
            goals = f"{number(0, 6)}{DASH}{number(0, 5)}"
            return (goals, f"{one}-{two}", f"W {one}-{two}", f"L {one}{DASH}{two}", f"{one} - {two}", goals)[
                style
            ]
        case "record":
            return f"{number(0, 30)}-{number(0, 30)}" + ("" if style < 3 else f"-{number(0, 4)}")
        case "sets":
            return ", ".join(f"{number(0, 7)}{DASH}{number(3, 7)}" for _ in range(number(2, 3)))
        case "money":
            return draw.choice((f"£{number(1, 40) / 2:g}m", f"£{number(50, 900)}k", "Free", "Undisclosed"))
        case "percent":
            return f"{number(0, 999) / 10}%" if style % 2 else f"{number(0, 99)}.{number(0, 99):02}%"
        case "time":
            return (
                f"{number(0, 9)}:{number(0, 59):02}.{number(0, 99):02}"
                if style % 2
                else f"{number(1, 9)}:{number(0, 59):02}"
            )
        case "clock":
            return f"{number(0, 23):02}:{number(0, 59):02}"
        case "ordinal":
            place = number(1, 20)
            return f"{place}{'th' if place > 3 else ('st', 'nd', 'rd')[place - 1]}"
        case "ref":
            return f"[{number(1, 40)}]"
        case "years":
            year = number(1890, 2010)
            return f"{year}{DASH}{year + number(1, 14)}" if style % 2 else f"{year}, {year + number(1, 9)}"
        case "dims":
            return f"{number(20, 200)} x {number(20, 200)}"
        case "numbers":
            first = number(10, 900)
            return f"{first}{DASH}{first + number(1, 60)}"
        case "ticker":
            return "".join(draw.choice(LETTERS) for _ in range(3 + style % 2))
        case "flight":
            return f"{two} {100 + row * 7 + number(0, 6)}"
        case "ip":
            return f"10.{number(0, 40)}.{number(0, 255)}.{number(1, 254)}"
        case "code":
            return f"{two}{'-' * (style % 2)}{100 + row * 9 + number(0, 8)}"
    raise ValueError(f"no values of the kind {kind!r}")


def _date(draw: random.Random, style: int) -> str:
    month, day, year = draw.randint(1, 12), draw.randint(1, 28), draw.randint(1951, 2022)
    name = MONTHS[month - 1]
    return (
        f"{name} {day}, {year}",
        f"{day} {name} {year}",
        f"{name} {day}",
        f"{year}-{month:02}-{day:02}",
        f"{day} {name[:3]} {year}",
        f"{name[:3]} {day}",
    )[style]
