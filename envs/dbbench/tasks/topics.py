"""What generated tables are about: read from `topics/*.txt`.

A topic is a line `# thing | things | Table Name; Another`, a line a column, and sentences that hold a row:

    *Name|Other name = kind low high digits @ modifier
    > On <0>, the ship <1> was lost.

The star marks the column that names a row; `one` and names take words parted by `;`; `blank` at the end
means that some values are missing; `@` is how a value stands after a noun; `<n>` is a column by its place,
from 0.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from envs.dbbench.tasks.columns import NAMES, STYLES, Column

FOLDER = Path(__file__).with_name("topics")
BLANK_SHARE = 0.1
"""How many values of a column that may be blank are."""


@dataclass(frozen=True)
class TopicColumn:
    """A column of a topic."""

    names: tuple[str, ...]
    kind: str
    key: bool
    blank: bool
    numbers: tuple[int, ...]
    choices: tuple[str, ...]
    modifier: str

    def column(self, draw: random.Random) -> Column:
        """The column under one of its names."""
        low, high, digits = (*self.numbers, 0, 0, 0)[:3]
        return Column(
            name=draw.choice(self.names),
            kind=self.kind,
            key=self.key,
            blank=BLANK_SHARE if self.blank and draw.random() < 0.5 else 0.0,
            low=low,
            high=high,
            digits=digits,
            choices=self.choices,
            modifier=self.modifier,
            style=draw.randrange(STYLES),
        )


@dataclass(frozen=True)
class Topic:
    """What a table is about."""

    thing: str
    things: str
    tables: tuple[str, ...]
    columns: tuple[TopicColumn, ...]
    sentences: tuple[str, ...]

    def place(self, name: str) -> int | None:
        """Which of the columns has this name, however it is written."""
        return self._names().get(plain(name))

    def _names(self) -> dict[str, int]:
        return _places(self)


@cache
def _places(topic: Topic) -> dict[str, int]:
    return {plain(name): at for at, column in enumerate(topic.columns) for name in column.names}


def plain(name: str) -> str:
    """A name without what is written in several ways: its small letters and digits."""
    return "".join(sign for sign in name.lower().replace("\\n", "") if sign.isalnum() or sign in "#%")


@cache
def topics() -> tuple[Topic, ...]:
    """All topics, in a fixed order."""
    found: list[Topic] = []
    for path in sorted(FOLDER.glob("*.txt")):
        blocks = path.read_text(encoding="utf-8").split("\n# ")
        found += [_topic(block.removeprefix("# ").strip().split("\n")) for block in blocks]
    return tuple(found)


@cache
def about(columns: tuple[str, ...]) -> tuple[Topic, ...]:
    """The topics that a table with these headers may have."""
    return tuple(topic for topic in topics() if all(topic.place(name) is not None for name in columns))


def _topic(lines: Sequence[str]) -> Topic:
    thing, things, tables = (part.strip() for part in lines[0].split("|", 2))
    return Topic(
        thing,
        things,
        tuple(name.strip() for name in tables.split(";")),
        tuple(_parse_column(line) for line in lines[1:] if not line.startswith(">")),
        tuple(line.removeprefix(">").strip() for line in lines[1:] if line.startswith(">")),
    )


def _parse_column(line: str) -> TopicColumn:
    column, _, modifier = line.partition(" @ ")
    names, _, what = column.partition(" = ")
    kind, _, rest = what.removesuffix(" blank").strip().partition(" ")
    plus = kind.endswith("+")
    words = tuple(rest.split(";")) if plus or kind == "one" else ()
    kind = kind.removesuffix("+")
    if plus and kind not in NAMES | {"word"}:
        raise ValueError(f"no names of the kind {kind!r}: {line}")
    return TopicColumn(
        names=tuple(names.removeprefix("*").split("|")),
        kind=kind,
        key=names.startswith("*"),
        blank=what.endswith(" blank"),
        numbers=() if words or not rest else tuple(int(number) for number in rest.split()),
        choices=words,
        modifier=modifier.strip(),
    )
