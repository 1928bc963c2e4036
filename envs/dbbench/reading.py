"""Reads what an agent sees of a generated task: the table's name and headers, and the question's sentence."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from envs.dbbench import phrases

TOLD = re.compile(
    r"The name of this table is (?P<table>.+?), and the headers of this table are (?P<headers>.+)\.\n"
    r"Question: (?P<text>.+)",
    re.DOTALL,
)
PLACES = re.compile(r"\{(\w+)\}")
JOINED = r"(?:, and | and |, )"


@dataclass(frozen=True)
class Asked:
    """A condition, as the question says it."""

    column: str
    relation: str
    value: str


@dataclass(frozen=True)
class Reading:
    """A question that was understood."""

    kind: str
    table: str
    columns: tuple[str, ...]
    column: str = ""
    """What is asked for."""
    number: str = ""
    """Of a ranking: what decides."""
    key: str = ""
    """The name of a row."""
    where: str = ""
    """The column that has the name."""
    direction: str = ""
    conditions: tuple[Asked, ...] = ()
    pairs: dict[str, str] = field(default_factory=dict[str, str])


def read(observation: str) -> Reading | None:
    """The question of a first observation; None where it is in none of the sentences."""
    told = TOLD.search(observation)
    if told is None:
        return None
    return next(_readings(told["table"], tuple(told["headers"].split(",")), told["text"].strip()), None)


def _readings(table: str, columns: tuple[str, ...], text: str) -> Iterator[Reading]:
    reader = _Reader(table, columns)
    yield from reader.conditional("counting", phrases.COUNT, text)
    for name, forms in phrases.AGGREGATES.items():
        yield from reader.conditional(f"aggregation-{name}", forms, text)
    yield from reader.conditional("DELETE", phrases.DELETE, text)
    for direction, forms in phrases.RANK.items():
        for found in reader.matches(forms, text):
            yield reader.reading("ranking", found, direction=direction)
    yield from reader.conditional("comparison", phrases.COMPARE, text)
    for pair, form in phrases.INSERT:
        for found in reader.matches((form,), text):
            if pairs := reader.row(pair, found["pairs"]):
                yield reader.reading("INSERT", found, pairs=pairs)
    for pair, form in phrases.UPDATE:
        for found in reader.matches((form,), text):
            if pairs := reader.changes(pair, found["pairs"]):
                yield reader.reading("UPDATE", found, pairs=pairs)
    for found in reader.matches(phrases.LOOK_UP, text):
        yield reader.reading("other", found)


class _Reader:
    """Sentences about one table."""

    def __init__(self, table: str, columns: tuple[str, ...]) -> None:
        self._table = table
        self._columns = columns
        self._names = {name.lower(): name for name in columns}
        self._any = "|".join(re.escape(name) for name in sorted(columns, key=len, reverse=True))

    def matches(self, forms: Sequence[str], text: str) -> Iterator[dict[str, str]]:
        """What stands at the places of the forms that a text has."""
        for form in forms:
            found = re.fullmatch(self._pattern(form), text, re.IGNORECASE | re.DOTALL)
            if found:
                yield found.groupdict()

    def conditional(self, kind: str, forms: Sequence[tuple[str, str]], text: str) -> Iterator[Reading]:
        """Questions whose conditions are understood as well."""
        for style, form in forms:
            for found in self.matches((form,), text):
                conditions = self._conditions(style, found["conds"])
                if conditions:
                    yield self.reading(kind, found, conditions=conditions)

    def reading(self, kind: str, found: dict[str, str], **more: object) -> Reading:
        """A question with its columns under their own names."""
        said = {place: found[place] for place in ("column", "number", "where") if found.get(place)}
        known = {place: self._names[name.lower()] for place, name in said.items()}
        return Reading(kind, self._table, self._columns, key=found.get("key", ""), **known, **more)  # type: ignore[arg-type]

    def row(self, pair: str, text: str) -> dict[str, str] | None:
        """Every column with its value, in order."""
        parts = [
            self._pattern(pair, column=re.escape(name), value=f"(?P<value{place}>.*?)")
            for place, name in enumerate(self._columns)
        ]
        found = re.fullmatch(JOINED.join(parts), text, re.DOTALL)
        if found is None:
            return None
        return {name: found[f"value{place}"] for place, name in enumerate(self._columns)}

    def changes(self, pair: str, text: str) -> dict[str, str] | None:
        """Some columns with their new values."""
        start = self._pattern(pair, value="").rstrip("'")
        pattern = self._pattern(pair, value="(?P<value>.*)")
        pairs: dict[str, str] = {}
        for part in re.split(rf" and (?={self._unnamed(start)})", text):
            found = re.fullmatch(pattern, part, re.DOTALL)
            if found is None:
                return None
            pairs[self._names[found["column"].lower()]] = found["value"]
        return pairs

    def _conditions(self, style: str, text: str) -> tuple[Asked, ...] | None:
        forms = [(relation, form) for relation, styles in phrases.RELATIONS.items() for form in styles[style]]
        # The longest first: "is less than" is not "is".
        forms.sort(key=lambda pair: len(pair[1]), reverse=True)
        starts = "|".join(self._unnamed(self._pattern(form, value="")) for _, form in forms)
        conditions: list[Asked] = []
        for part in re.split(rf"{JOINED}(?={starts})", text, flags=re.IGNORECASE):
            found = self._condition(forms, part)
            if found is None:
                return None
            conditions.append(found)
        return tuple(conditions)

    def _condition(self, forms: list[tuple[str, str]], text: str) -> Asked | None:
        for relation, form in forms:
            found = re.fullmatch(self._pattern(form), text, re.IGNORECASE | re.DOTALL)
            if found:
                return Asked(self._names[found["column"].lower()], relation, found["value"])
        return None

    def _pattern(self, form: str, **given: str) -> str:
        """A form as a pattern with a group for each place."""
        places = {
            "a": "an?",
            "table": re.escape(self._table),
            "things": "[a-z]+",
            "column": f"(?P<column>{self._any})",
            "number": f"(?P<number>{self._any})",
            "where": f"(?P<where>{self._any})",
        } | given
        parts = PLACES.split(form)
        texts, names = parts[::2], parts[1::2]
        pattern = re.escape(texts[0])
        for name, text in zip(names, texts[1:], strict=True):
            pattern += places.get(name, f"(?P<{name}>.+)") + re.escape(text)
        return pattern

    @staticmethod
    def _unnamed(pattern: str) -> str:
        return re.sub(r"\?P<\w+>", "?:", pattern)
