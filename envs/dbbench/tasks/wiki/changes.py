"""Makes INSERT, UPDATE and DELETE tasks over real tables, in many wordings."""

import random
from collections.abc import Sequence

from envs.dbbench.engines.port import Table
from envs.dbbench.tasks import plan as plans
from envs.dbbench.tasks.plan import Condition, Plan
from envs.dbbench.tasks.reading import bare
from envs.dbbench.tasks.wiki import wordings
from envs.dbbench.tasks.wiki.made import Made, is_number, join_list, make_question, name_table
from envs.dbbench.tasks.wiki.sources import WikiTable

Pair = tuple[str, str]
SIMPLE = frozenset('\\`"')
"""Characters of cells that are not put into a sentence."""


class ChangeMaker:
    """Changes of one real table.

    Args:
        draw: Chance.
        table: The table.
    """

    def __init__(self, draw: random.Random, table: WikiTable) -> None:
        self._draw = draw
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
        wording = self._draw.choice(wordings.INSERT)
        style, _, form = wording.partition("|")
        row, other = self._rows[0], self._rows[1]
        values = [self._draw.choice((value, value, value, other[at])) for at, value in enumerate(row)]
        places = [at for at, value in enumerate(values) if _is_plain(value)]
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

    def _update(self) -> Made | None:
        style, _, form = self._draw.choice(wordings.UPDATE).partition("|")
        pairs_style, _, where_style = style.partition(" ")
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
        words = self._describe_where(where_style, conditions)
        if pairs_style == "of":
            words |= {"column": self._header(pairs[0][0]), "value": pairs[0][1]}
        else:
            words |= self._words(pairs_style, pairs)
        plan = Plan(plans.UPDATE, self._name, conditions=conditions, pairs=tuple(pairs))
        return make_question(plans.UPDATE, self._fill(form, words), self._table(self._rows), None, plan)

    def _delete(self) -> Made | None:
        style, _, form = self._draw.choice(wordings.DELETE).partition("|")
        conditions = self._conditions(self._rows[0], style)
        if conditions is None:
            return None
        plan = Plan(plans.DELETE, self._name, conditions=conditions)
        text = self._fill(form, self._describe_where(style, conditions))
        return make_question(plans.DELETE, text, self._table(self._rows), None, plan)

    def _conditions(self, row: Sequence[str], style: str) -> tuple[Condition, ...] | None:
        """Return what names the row: its key alone where the sentence names no column."""
        if style == "key":
            places = [self._key]
            same = [one for one in self._rows if one[self._key].lower() == row[self._key].lower()]
            if len(same) > 1:
                return None
        else:
            usable = [at for at, value in enumerate(row) if _is_plain(value)]
            count = self._draw.choice((1, 1, 1, 2))
            if len(usable) <= count:
                return None
            first = [self._key] if self._key in usable and self._draw.random() < 0.6 else []
            rest = [at for at in usable if at not in first]
            places = [*first, *self._draw.sample(rest, count - len(first))]
        if not all(_is_plain(row[at]) for at in places):
            return None
        return tuple(Condition(self._headers[at], "=", row[at]) for at in places)

    def _new_value(self, place: int, old: str) -> str | None:
        """Return another value for a column: another row's, or a number near its own."""
        if is_number(old) and self._draw.random() < 0.6:
            return str(self._draw.randint(0, 3000 if "," in old or len(old) > 3 else 99))
        values = [row[place] for row in self._rows[1:] if _is_plain(row[place]) and row[place] != old]
        return self._draw.choice(values) if values else None

    def _words(self, style: str, pairs: Sequence[Pair]) -> dict[str, str]:
        """Return what fills `{pairs}`, `{names}` and `{values}`."""
        quote = self._draw.choice(("", "'"))
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

    def _describe_where(self, style: str, conditions: Sequence[Condition]) -> dict[str, str]:
        if style == "key":
            return {"key": conditions[0].value}
        form = self._draw.choice(wordings.WHERES[style])
        items = [
            form.replace("{column}", self._header(one.column)).replace("{value}", one.value)
            for one in conditions
        ]
        return {"where": " and ".join(items)}

    def _header(self, header: str) -> str:
        """Return a header as a sentence has it: whole, in lower case, or without its unit."""
        chance = self._draw.random()
        if chance < 0.6:
            return header
        return header.lower() if chance < 0.8 else bare(header)

    def _fill(self, form: str, words: dict[str, str]) -> str:
        text = form
        for place, value in ({"table": self._name} | words).items():
            text = text.replace(f"{{{place}}}", value)
        return f"{text[0].upper()}{text[1:]}"

    def _table(self, rows: Sequence[Sequence[str]]) -> Table:
        order = list(rows)
        self._draw.shuffle(order)
        return Table.of(self._name, self._headers, order)


def _is_plain(value: str) -> bool:
    """Whether a cell can stand in a sentence."""
    return bool(value.strip()) and value == value.strip() and not SIMPLE & set(value) and len(value) <= 60
