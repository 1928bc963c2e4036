"""The words that names in generated tables are made of; a split has half of them."""

import json
import random
from functools import cache
from pathlib import Path

POOLS = Path(__file__).with_name("pools.json")
SHARED = frozenset(("country", "region", "state", "ending", "townend", "epithet"))
"""Pools that both splits have whole."""


@cache
def _words() -> dict[str, tuple[str, ...]]:
    pools: dict[str, str] = json.loads(POOLS.read_text(encoding="utf-8"))
    return {name: tuple(text.split(";") if ";" in text else text.split()) for name, text in pools.items()}


class Pools:
    """Words to draw from.

    Args:
        draw: The task's chance.
        side: Which half, 0 or 1.
    """

    def __init__(self, draw: random.Random, side: int) -> None:
        self._draw = draw
        self._words = {name: pool if name in SHARED else pool[side::2] for name, pool in _words().items()}
        self._used: set[str] = set()

    def fresh(self) -> None:
        """Begin another table: a name may be drawn again."""
        self._used.clear()

    def word(self, pool: str) -> str:
        """A word of a pool."""
        return self._draw.choice(self._words[pool])

    def one(self, values: tuple[str, ...] | str) -> str:
        """One of some values."""
        return self._draw.choice(values)

    def name(self, kind: str) -> str:
        """A name of a kind."""
        word = self.word
        match kind:
            case "person":
                return f"{word('first')} {word('last')}"
            case "artist":
                return self.one(
                    (self.name("person"), f"The {word('thing')}s", f"{word('word')} {word('thing')}")
                )
            case "town":
                return word("townstart") + word("townend")
            case "team":
                return f"{self.name('town')} {word('team')}"
            case "place":
                return f"{self.name('town')}, {self.one((word('state'), word('country')))}"
            case "title":
                return f'"{word("word")} {word("thing")}"'
            case "words":
                return self.one(("The {} {}", "{} {}", "{} {} II", "A {} {}")).format(
                    word("word"), word("thing")
                )
            case "company":
                return f"{word('company')} {word('ending')}"
            case "ship":
                return f"{self.one(('', '', '', 'SS ', 'HMS ', 'USS '))}{word('word')} {word('thing')}"
            case "species":
                return f"{word('genus')} {word('epithet')}"
            case "mountain":
                return self.one(("Mount {}", "{} Peak", "{} Hill", "Pic {}")).format(word("last"))
            case "model":
                return f"{word('company')} {self.one('ABCDFMXZ')}-{self._draw.randint(2, 99)}"
            case "designation":
                return f"{self._draw.randint(1200, 99000)} {word('first')}"
            case "host":
                role = self.one(("web", "db", "mail", "cache", "app"))
                return f"{role}-{word('company').lower()}{self._draw.randint(1, 40)}"
            case _:
                return word(kind)

    def distinct(self, make: str, suffix: tuple[str, ...] = ()) -> str:
        """A name that the table does not have yet, where there is one."""
        value = ""
        for _ in range(60):
            value = self.joined(make, suffix)
            if value.lower() not in self._used:
                break
        else:
            value = f"{value} {self._draw.randint(2, 99)}"
        self._used.add(value.lower())
        return value

    def joined(self, make: str, suffix: tuple[str, ...] = ()) -> str:
        """A name, with one of some words after it."""
        return f"{self.name(make)} {self.one(suffix)}" if suffix else self.name(make)
