"""Makes questions over real tables in everyday words; their answers are worked out from the rows."""

import operator
import random
import re
from collections.abc import Callable, Mapping, Sequence

from envs.dbbench.engines.port import Table
from envs.dbbench.tasks import plan as plans
from envs.dbbench.tasks.plan import Condition, Plan
from envs.dbbench.tasks.reading import bare
from envs.dbbench.tasks.wiki import everyday
from envs.dbbench.tasks.wiki.made import (
    Made,
    fill,
    is_number,
    is_plain,
    make_question,
    name_table,
    read_number,
    say_header,
)
from envs.dbbench.tasks.wiki.mentions import fold, mention, name_noun
from envs.dbbench.tasks.wiki.sources import WikiTable

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
NO_SUMS = re.compile(
    r"rank|year|season|pos|no|no\.|#|number|round|week|place|bib|game|grid|lane|seed", re.IGNORECASE
)
"""Headers whose numbers are not added up."""
MOST_ROWS, LONGEST_ANSWER = 12, 300
"""Of an answer: rows, and characters."""
COUNTS = {"two": 2, "three": 3, "3": 3, "four": 4, "5": 5}


class QuestionMaker:
    """Questions over one real table.

    Args:
        draw: Chance.
        table: The table.
    """

    def __init__(self, draw: random.Random, table: WikiTable) -> None:
        self._draw = draw
        self._name = name_table(draw, table.title)
        self._headers = table.headers
        self._rows = [dict(zip(table.headers, row, strict=True)) for row in table.rows]
        self._numbers = [one for one in self._headers if all(is_number(row[one]) for row in self._rows)]
        self._texts = [one for one in self._headers if one not in self._numbers]
        self._key = self._texts[0] if self._texts else self._headers[0]

    def make(self) -> Made | None:
        """Return a question of a kind that is drawn, or None if this table gives none."""
        makers = (self._look_up, self._look_up, self._list, self._count, self._count, self._aggregate)
        return self._draw.choice((*makers, self._aggregate, self._rank, self._rank, self._distinct))()

    def _look_up(self) -> Made | None:
        style, _, form = self._draw.choice(everyday.LOOK_UP).partition("|")
        row = self._draw.choice(self._rows)
        column = self._key if style == "key" else self._draw.choice(self._headers)
        wants = self._draw_wants({column}, 2 if style == "key" and self._draw.random() < 0.15 else 1)
        condition = Condition(column, "=", row[column])
        if not wants or not is_plain(row[column]) or len(self._meeting((condition,))) > 1:
            return None
        words = {"want": " and ".join(map(self._header, wants))}
        if style == "key":
            quotes = "{key}'" in form
            words["key"], condition = mention(self._draw, condition, self._cells(column), alone=not quotes)
        else:
            words["where"], (condition,) = self._describe((condition,), style)
        plan = Plan(plans.ROWS, self._name, wants, (condition,))
        return self._answer("other", form, words, plan)

    def _list(self) -> Made | None:
        style, _, form = self._draw.choice(everyday.LIST).partition("|")
        conditions = self._draw_conditions()
        if conditions is None:
            return None
        wants = self._draw_wants({one.column for one in conditions}, 1)
        where, conditions = self._describe(conditions, style)
        plan = Plan(plans.ROWS, self._name, wants, conditions)
        return self._answer("comparison", form, self._words(plan, where), plan) if wants else None

    def _count(self) -> Made | None:
        style, _, form = self._draw.choice(everyday.COUNT).partition("|")
        conditions = self._draw_conditions()
        if conditions is None:
            return None
        where, conditions = self._describe(conditions, style)
        plan = Plan(plans.COUNT, self._name, conditions=conditions)
        return self._answer("counting", form, self._words(plan, where), plan)

    def _distinct(self) -> Made | None:
        wants = self._draw_wants(set(), 1)
        values = [row[wants[0]] for row in self._rows] if wants else []
        if not all(map(is_plain, values)) or len({fold(one) for one in values}) == len(values):
            return None
        plan = Plan(plans.DISTINCT, self._name, wants)
        return self._answer("counting", self._draw.choice(everyday.DISTINCT), self._words(plan, ""), plan)

    def _aggregate(self) -> Made | None:
        function = self._draw.choice(tuple(everyday.AGGREGATE))
        adds = function in ("SUM", "AVG")
        numbers = [one for one in self._numbers if not (adds and NO_SUMS.fullmatch(bare(one)))]
        if not numbers:
            return None
        number = self._draw.choice(numbers)
        style = self._draw.choice(("", "having", "is"))
        conditions: tuple[Condition, ...] | None = ()
        where = ""
        if style:
            conditions = self._draw_conditions({number})
            if conditions is None:
                return None
            where, conditions = self._describe(conditions, style)
        form = self._draw.choice(everyday.AGGREGATE[function])
        form = form.replace("{of}", self._draw.choice(everyday.OF[style]))
        plan = Plan(plans.AGGREGATE, self._name, (number,), conditions, function)
        words = self._words(plan, where) | {"number": self._header(number)}
        return self._answer(f"aggregation-{function}", form, words, plan)

    def _rank(self) -> Made | None:
        if not self._numbers:
            return None
        number = self._draw.choice(self._numbers)
        wants = self._draw_wants({number}, 1)
        direction = self._draw.choice(("DESC", "DESC", "ASC"))
        shown, limit = self._draw.choice(tuple(COUNTS.items())) if self._draw.random() < 0.3 else ("", 1)
        form = self._draw.choice((everyday.RANKINGS if shown else everyday.RANKING)[direction])
        values = sorted((read_number(row[number]) for row in self._rows), reverse=direction == "DESC")
        if not wants or len(values) <= limit or values[limit - 1] == values[limit]:
            return None
        plan = Plan(plans.ROWS, self._name, wants, (), "", number, direction, limit)
        words = self._words(plan, "") | {"number": self._header(number), "count": shown}
        return self._answer("ranking", form, words, plan)

    def _draw_wants(self, avoid: set[str], count: int) -> tuple[str, ...]:
        """Return columns to ask for, none of those to avoid; empty if there are too few."""
        left = [one for one in self._headers if one not in avoid]
        return tuple(self._draw.sample(left, count)) if len(left) >= count else ()

    def _draw_conditions(self, avoid: set[str] | None = None) -> tuple[Condition, ...] | None:
        """Return one or two conditions that some rows meet, and not all; None if none are found."""
        columns = [one for one in self._headers if one not in (avoid or ())]
        count = self._draw.choice((1, 1, 1, 2))
        if len(columns) < count:
            return None
        row = self._draw.choice(self._rows)
        conditions: list[Condition] = []
        for column in self._draw.sample(columns, count):
            value = row[column]
            if not is_plain(value):
                return None
            relation = "="
            if column in self._numbers and self._draw.random() < 0.75:
                relation = self._draw.choice((">", ">", "<", "<", ">=", "<="))
            conditions.append(Condition(column, relation, value))
        found = self._meeting(conditions)
        each = [len(self._meeting([one])) for one in conditions]
        useful = len(conditions) == 1 or len(found) < min(each)
        return tuple(conditions) if useful and 0 < len(found) < len(self._rows) else None

    def _meeting(self, conditions: Sequence[Condition]) -> list[dict[str, str]]:
        return [row for row in self._rows if all(_holds(row[one.column], one) for one in conditions)]

    def _describe(self, conditions: Sequence[Condition], style: str) -> tuple[str, tuple[Condition, ...]]:
        """Return conditions in words, and as they follow from the words."""
        forms = everyday.HAVING if style == "having" else everyday.IS
        items: list[str] = []
        meant: list[Condition] = []
        for one in conditions:
            shown, condition = one.value, one
            if one.relation == "=":
                shown, condition = mention(self._draw, one, self._cells(one.column), alone=False)
            form = self._draw.choice(forms[one.relation])
            items.append(form.replace("{column}", self._header(one.column)).replace("{value}", shown))
            meant.append(condition)
        return " and ".join(items), tuple(meant)

    def _cells(self, column: str) -> list[str]:
        return [row[column] for row in self._rows]

    def _header(self, header: str) -> str:
        return say_header(self._draw, header)

    def _words(self, plan: Plan, where: str) -> dict[str, str]:
        noun = name_noun(self._key)
        rows = [f"{noun}s"] if noun and re.search("[^sy]$", noun) else []
        words = {
            "where": where,
            "rows": self._draw.choice(("rows", "entries", "records", *rows, *rows, *rows)),
        }
        return words | ({"want": " and ".join(map(self._header, plan.wants))} if plan.wants else {})

    def _answer(self, kind: str, form: str, words: Mapping[str, str], plan: Plan) -> Made | None:
        label = self._work_out(plan)
        if label is None or len(label) > MOST_ROWS or sum(map(len, label)) > LONGEST_ANSWER:
            return None
        text = fill(form, {"table": self._name, **words})
        table = Table.of(self._name, self._headers, [list(row.values()) for row in self._rows])
        return make_question(kind, text, table, label, plan)

    def _work_out(self, plan: Plan) -> list[str] | None:
        """Return the answer of a plan, or None if it has no clear one."""
        rows = self._meeting(plan.conditions)
        if plan.shape == plans.COUNT:
            return [str(len(rows))]
        found = [[row[want] for want in plan.wants] for row in rows]
        if plan.shape == plans.DISTINCT:
            return [str(len({fold(value) for (value,) in found}))]
        if plan.shape == plans.AGGREGATE:
            numbers = [read_number(value) for (value,) in found]
            reckon = {"SUM": sum, "MIN": min, "MAX": max, "AVG": lambda them: sum(them) / len(them)}
            return [f"{round(reckon[plan.function](numbers), 4):.12g}"]
        if plan.number:
            rows = sorted(
                rows, key=lambda row: read_number(row[plan.number]), reverse=plan.direction == "DESC"
            )
            found = [[row[want] for want in plan.wants] for row in rows[: plan.limit]]
        label = [value for values in found for value in values]
        return label if all(map(is_plain, label)) else None


def _holds(cell: str, condition: Condition) -> bool:
    if condition.relation == "=":
        return fold(cell) == fold(condition.value)
    return COMPARE[condition.relation](read_number(cell), read_number(condition.value))
