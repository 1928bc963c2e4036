"""The words of one generated question: columns and values as it words them, conditions, pairs."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from envs.dbbench.tasks import phrases
from envs.dbbench.tasks.columns import MISSING
from envs.dbbench.tasks.forms import PLACE, chosen, filled
from envs.dbbench.tasks.plan import CONTAINS, Condition
from envs.dbbench.tasks.reading import bare, needed
from envs.dbbench.tasks.sheets import Row, Sheet

PLAIN_SHARE = 0.68
"""The share of columns that are worded as in the header."""
NONE_SHARE = 0.05
"""The share of questions whose conditions no row meets."""


@dataclass(frozen=True)
class Worded:
    """Conditions that a form has words for."""

    conditions: tuple[Condition, ...]
    rows: list[Row]


class Wording:
    """Puts a question about a table into words.

    Args:
        draw: The task's chance.
        sheet: The table.
        exact: Whether columns are worded as in headers, mostly, and values always.
    """

    def __init__(self, draw: random.Random, sheet: Sheet, *, exact: bool = False) -> None:
        self._draw = draw
        self._sheet = sheet
        self._exact = exact

    def column(self, place: int) -> str:
        """Return a column as the question words it."""
        name = self._sheet.table.columns[place]
        chance = self._draw.random()
        if chance < PLAIN_SHARE + (0.2 if self._exact else 0):
            return name
        return name.lower() if chance < 0.9 else bare(name).lower()

    def value(self, place: int, value: str) -> str:
        """Return a value as the question words it: titles without quotes, some places without country."""
        column = self._sheet.columns[place]
        if column.kind == "title":
            return value.strip('"')
        if column.kind == "place" and not self._exact and self._draw.random() < 0.4:
            return value.partition(",")[0]
        return value

    def form(self, forms: Sequence[str], place: int | None = None) -> str | None:
        """Return a form for a column of the answer, with its choices made."""
        fits = [form for form in forms if self._fits(needed(form)[0], place)]
        return chosen(needed(self._draw.choice(fits))[1], self._draw) if fits else None

    def _fits(self, need: str, place: int | None) -> bool:
        if not need or place is None:
            return not need
        column = self._sheet.columns[place]
        return {
            "key": column.key,
            "number": column.kind in ("int", "thousands"),
        }.get(need, column.kind == need)

    def conditions(
        self, form: str, avoid: set[int], many: Sequence[int] = (1, 1, 1, 2, 2, 3, 4)
    ) -> Worded | None:
        """Conditions for a form that at least one row meets; seldom, none."""
        row = self._draw.choice(self._sheet.table.rows)
        key = self._sheet.key
        conditions: list[Condition] = []
        if "{key}" in form:
            conditions.append(Condition(self._sheet.table.columns[key], "=", self.value(key, row[key] or "")))
        if "{conds_" in form:
            places = [at for at in range(len(self._sheet.columns)) if at not in avoid and at != key]
            count = min(len(places), self._draw.choice(many))
            found = [self._condition(at, row[at] or "") for at in self._draw.sample(places, count)]
            conditions += [condition for condition in found if condition is not None]
            if not any(condition is not None for condition in found):
                return None
        if self._draw.random() < NONE_SHARE and not self._exact:
            conditions = [self._impossible(condition) for condition in conditions]
        kept = tuple(conditions)
        return Worded(kept, self._sheet.met(kept))

    def _condition(self, place: int, value: str) -> Condition | None:
        column, name = self._sheet.columns[place], self._sheet.table.columns[place]
        number = column.number(value)
        if not value or value in MISSING:
            return None
        if column.ordered and number is not None and not self._exact and self._draw.random() < 0.6:
            if not self._sheet.whole(place):
                return None
            relation = self._draw.choice(("<", ">", "<", ">", "<=", ">="))
            return Condition(name, relation, column.beyond(self._draw, number, relation))
        if column.dated and not self._exact and self._draw.random() < 0.3:
            year = next(
                (
                    part
                    for part in value.replace(",", "").replace("-", " ").split()
                    if len(part) == 4 and part.isdigit()
                ),
                "",
            )
            return Condition(name, CONTAINS, year) if year else None
        return Condition(name, "=", self.value(place, value))

    def _impossible(self, condition: Condition) -> Condition:
        place = self._sheet.table.columns.index(condition.column)
        column = self._sheet.columns[place]
        if condition.relation not in ("<", ">"):
            return condition
        numbers = [
            found for row in self._sheet.table.rows if (found := column.number(row[place] or "")) is not None
        ]
        bound = min(numbers) if condition.relation == "<" else max(numbers)
        return Condition(condition.column, condition.relation, column.form(bound))

    def fill_places(self, form: str, worded: Worded) -> dict[str, str] | None:
        """What stands at the places of a form for conditions; None where there are no words for one."""
        key = self._sheet.table.columns[self._sheet.key]
        places: dict[str, str] = {}
        conditions = list(worded.conditions)
        if "{key}" in form:
            places["key"] = conditions.pop(0).value
        for place in PLACE.findall(form):
            if place.startswith("conds_"):
                style = place.removeprefix("conds_")
                parts = [self._phrase(style.replace("cut", "with"), condition) for condition in conditions]
                filled_places = [part for part in parts if part]
                if len(filled_places) < len(parts) or key in [condition.column for condition in conditions]:
                    return None
                places[place] = self._joined(style, filled_places)
        return places

    def _joined(self, style: str, parts: list[str]) -> str:
        if style == "cut":
            parts[0] = parts[0].removeprefix("an ").removeprefix("a ").removeprefix("the ")
        between = self._draw.choice((" ", " and ") if style == "mod" else (", and ", " and ", ", "))
        return between.join(parts)

    def _phrase(self, style: str, condition: Condition) -> str | None:
        place = self._sheet.table.columns.index(condition.column)
        column = self._sheet.columns[place]
        if condition.relation == CONTAINS:
            return f"in {condition.value}" if style == "mod" else None
        forms = phrases.CONDITIONS[style][condition.relation]
        if style == "mod" and column.modifier and condition.relation == "=" and self._draw.random() < 0.75:
            form = column.modifier.replace("{v}", "{value}")
        else:
            form = self._draw.choice(forms)
        worded = self.column(place)
        return filled(
            chosen(form, self._draw), {"column": worded, "value": condition.value} | self.articles(worded)
        )

    def articles(self, worded: str) -> dict[str, str]:
        """Words before a column."""
        one = "an " if worded[0].lower() in "aeiou" else "a "
        return {"a": self._draw.choice((one, one, one, "")), "the": self._draw.choice(("", "", "the "))}

    def pairs(self, style: str, pairs: Sequence[tuple[int, str]]) -> str:
        """Columns with their values, as a form's style words them."""
        form = chosen(self._draw.choice(phrases.PAIRS[style]), self._draw)
        parts: list[str] = []
        for place, value in pairs:
            worded = self.column(place)
            article = self.articles(worded) | {"a": "an " if worded[0].lower() in "aeiou" else "a "}
            parts.append(filled(form, {"column": worded, "value": value} | article))
        return joined(parts, self._draw.choice((" and ", " and ", ", and ", ", ")))


def joined(parts: Sequence[str], last: str = " and ") -> str:
    """A list in words."""
    return ", ".join(parts[:-1]) + f"{last}{parts[-1]}" if len(parts) > 1 else parts[0]
