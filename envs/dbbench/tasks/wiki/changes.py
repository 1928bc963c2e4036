"""Makes INSERT, UPDATE and DELETE tasks over real tables, in many wordings."""

import random
from collections.abc import Sequence

from envs.dbbench.engines.port import Table
from envs.dbbench.tasks import plan as plans
from envs.dbbench.tasks.plan import Condition, Plan
from envs.dbbench.tasks.wiki import everyday, wordings
from envs.dbbench.tasks.wiki.made import (
    Made,
    fill,
    is_number,
    is_plain,
    join_list,
    make_question,
    name_table,
    say_header,
)
from envs.dbbench.tasks.wiki.mentions import mention
from envs.dbbench.tasks.wiki.narration import narrate
from envs.dbbench.tasks.wiki.sources import WikiTable

Pair = tuple[str, str]
NARRATED = 0.6
"""How many INSERTs in everyday words are narrated."""


class ChangeMaker:
    """Changes of one real table.

    Args:
        draw: Chance.
        table: The table.
        freely: Whether in everyday words too (`everyday.py`): rows are narrated, and values are mentioned in
            other letters, in part, or with a noun.
    """

    def __init__(self, draw: random.Random, table: WikiTable, *, freely: bool = False) -> None:
        self._draw = draw
        self._freely = freely
        self._name = name_table(draw, table.title)
        self._headers = table.headers
        self._rows = list(table.rows)
        self._draw.shuffle(self._rows)
        self._key = next((place for place in range(len(self._headers)) if not self._is_numeric(place)), 0)

    def make(self, kind: str) -> Made | None:
        """Return a task of a kind, INSERT, UPDATE or DELETE; None if this table gives none."""
        match kind:
            case plans.INSERT:
                return self._insert()
            case plans.UPDATE:
                return self._update()
            case _:
                return self._delete()

    def _is_numeric(self, place: int) -> bool:
        return sum(is_number(row[place]) for row in self._rows) * 2 > len(self._rows)

    def _insert(self) -> Made | None:
        if self._freely and self._draw.random() < NARRATED:
            return self._narrate()
        wording = self._draw.choice(self._forms(wordings.INSERT, everyday.INSERT))
        style, _, form = wording.partition("|")
        row, other = self._rows[0], self._rows[1]
        values = [self._draw.choice((value, value, value, other[at])) for at, value in enumerate(row)]
        places = [at for at, value in enumerate(values) if is_plain(value)]
        if len(places) > 3 and self._draw.random() < 0.15:
            places.remove(self._draw.choice(places))
        words: dict[str, str] = {}
        if style.startswith("key "):
            if self._key not in places:
                return None
            words["key"] = values[self._key]
        if len(places) < 3:
            return None
        pairs = [(self._headers[at], values[at]) for at in places]
        described = [pair for pair in pairs if "key" not in words or pair[0] != self._headers[self._key]]
        words |= self._words(style.removeprefix("key "), described)
        text = self._fill(form, words | {"count": str(len(described))})
        plan = Plan(plans.INSERT, self._name, pairs=tuple(pairs))
        return make_question(plans.INSERT, text, self._table(self._rows[1:]), None, plan)

    def _narrate(self) -> Made | None:
        """Return an INSERT whose sentence names few columns or none."""
        row, other = self._rows[0], self._rows[1]
        values = [self._draw.choice((value, value, value, other[at])) for at, value in enumerate(row)]
        plain = [value if is_plain(value) else None for value in values]
        narrated = narrate(self._draw, self._headers, plain, self._key)
        if narrated is None:
            return None
        plan = Plan(plans.INSERT, self._name, pairs=narrated.pairs)
        text = self._fill(narrated.form, narrated.words)
        return make_question(plans.INSERT, text, self._table(self._rows[1:]), None, plan)

    def _update(self) -> Made | None:
        style, _, form = self._draw.choice(self._forms(wordings.UPDATE, everyday.UPDATE)).partition("|")
        pairs_style, _, where_style = style.removesuffix(" old").partition(" ")
        row = self._rows[0]
        conditions = self._conditions(row, where_style)
        if conditions is None:
            return None
        named = {condition.column for condition in conditions}
        left = [at for at, header in enumerate(self._headers) if header not in named]
        count = 1 if pairs_style == "of" else min(len(left), self._draw.choice((1, 1, 1, 2, 2, 3)))
        pairs: list[Pair] = []
        for at in sorted(self._draw.sample(left, count)):
            value = self._new_value(at, row[at])
            if value is None:
                return None
            pairs.append((self._headers[at], value))
        words, conditions = self._describe_where(where_style, conditions, form)
        if style.endswith(" old"):
            words["old"] = row[self._headers.index(pairs[0][0])]
            if not is_plain(words["old"]) or words["old"] == pairs[0][1]:
                return None
        if pairs_style == "of":
            words |= {"column": self._header(pairs[0][0]), "value": pairs[0][1]}
        else:
            words |= self._words(pairs_style, pairs)
        plan = Plan(plans.UPDATE, self._name, conditions=conditions, pairs=tuple(pairs))
        return make_question(plans.UPDATE, self._fill(form, words), self._table(self._rows), None, plan)

    def _delete(self) -> Made | None:
        style, _, form = self._draw.choice(self._forms(wordings.DELETE, everyday.DELETE)).partition("|")
        conditions = self._conditions(self._rows[0], style)
        if conditions is None:
            return None
        words, conditions = self._describe_where(style, conditions, form)
        plan = Plan(plans.DELETE, self._name, conditions=conditions)
        text = self._fill(form, words)
        return make_question(plans.DELETE, text, self._table(self._rows), None, plan)

    def _conditions(self, row: Sequence[str], style: str) -> tuple[Condition, ...] | None:
        """Return what names the row: its key alone where the sentence names no column."""
        if style == "key":
            places = [self._key]
            same = [one for one in self._rows if one[self._key].lower() == row[self._key].lower()]
            if len(same) > 1:
                return None
        else:
            usable = [at for at, value in enumerate(row) if is_plain(value)]
            count = self._draw.choice((1, 1, 1, 2))
            if len(usable) <= count:
                return None
            first = [self._key] if self._key in usable and self._draw.random() < 0.6 else []
            rest = [at for at in usable if at not in first]
            places = [*first, *self._draw.sample(rest, count - len(first))]
        if not all(is_plain(row[at]) for at in places):
            return None
        return tuple(Condition(self._headers[at], "=", row[at]) for at in places)

    def _new_value(self, place: int, old: str) -> str | None:
        """Return another value for a column: another row's, or a number near its own."""
        if is_number(old) and self._draw.random() < 0.6:
            return str(self._draw.randint(0, 3000 if "," in old or len(old) > 3 else 99))
        values = [row[place] for row in self._rows[1:] if is_plain(row[place]) and row[place] != old]
        return self._draw.choice(values) if values else None

    def _words(self, style: str, pairs: Sequence[Pair]) -> dict[str, str]:
        """Return what fills `{pairs}`, `{names}` and `{values}`."""
        quote = self._draw.choice(("", "'"))
        if self._freely and any(", " in value for _, value in pairs):
            # A comma in a value looks like one between values.
            quote = "" if any("'" in value for _, value in pairs) else "'"
        names = [self._header(header) for header, _ in pairs]
        shown = [f"{quote}{value}{quote}" for _, value in pairs]
        words = {
            "names": join_list(self._draw, [f"{quote}{one}{quote}" for one in names], wordings.JOINS[:3]),
            "values": join_list(self._draw, shown, wordings.JOINS[:3]),
        }
        if style in wordings.PAIRS:
            form = self._draw.choice(wordings.PAIRS[style])
            items = [
                form.replace("{column}", name).replace("{value}", value)
                for name, (_, value) in zip(names, pairs, strict=True)
            ]
            words["pairs"] = join_list(self._draw, items, wordings.JOINS)
        return words

    def _describe_where(
        self, style: str, conditions: tuple[Condition, ...], form: str
    ) -> tuple[dict[str, str], tuple[Condition, ...]]:
        """Return conditions in words, and as they follow from the words."""
        shown = [one.value for one in conditions]
        if self._freely:
            alone = style == "key" and "{key}'" not in form
            cells = [[row[self._headers.index(one.column)] for row in self._rows] for one in conditions]
            found = [
                mention(self._draw, one, column, alone=alone)
                for one, column in zip(conditions, cells, strict=True)
            ]
            shown, conditions = [text for text, _ in found], tuple(one for _, one in found)
        if style == "key":
            return {"key": shown[0]}, conditions
        item = self._draw.choice(wordings.WHERES[style])
        items = [
            item.replace("{column}", self._header(one.column)).replace("{value}", value)
            for one, value in zip(conditions, shown, strict=True)
        ]
        return {"where": " and ".join(items)}, conditions

    def _forms(self, plain: Sequence[str], free: Sequence[str]) -> Sequence[str]:
        return (*plain, *free) if self._freely else plain

    def _header(self, header: str) -> str:
        return say_header(self._draw, header)

    def _fill(self, form: str, words: dict[str, str]) -> str:
        if self._freely:
            return fill(form, {"table": self._name} | words)
        text = form
        for place, value in ({"table": self._name} | words).items():
            text = text.replace(f"{{{place}}}", value)
        return f"{text[0].upper()}{text[1:]}"

    def _table(self, rows: Sequence[Sequence[str]]) -> Table:
        order = list(rows)
        self._draw.shuffle(order)
        return Table.of(self._name, self._headers, order)
