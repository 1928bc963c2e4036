"""Makes up the rows of WikiSQL's tables, whose questions are real and whose rows are not known.

Some rows meet all of a question's conditions, some all but one, the rest none in particular, so that a
statement that leaves a condition out gives another answer.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from envs.dbbench.engines.port import Table
from envs.dbbench.tasks import plan as plans
from envs.dbbench.tasks.plan import Condition, Plan
from envs.dbbench.tasks.wiki.made import Made, is_number, make_question, name_table, read_number
from envs.dbbench.tasks.wiki.sources import Asked, Sources

FEWEST, MOST = 8, 20
"""Rows of a table."""
NOTHING = 0.05
"""How many questions have no row that meets them."""
ORDERED = ("<", ">")
LEAST_POOL = 3
MOST_SHARED = 400
"""How many values of columns of the same name are kept."""


class RowMaker:
    """Tables and answers for WikiSQL's questions.

    Args:
        sources: The questions, and the values that are known of each column.
    """

    def __init__(self, sources: Sources) -> None:
        self._values = sources.values
        self._shared: defaultdict[str, list[str]] = defaultdict(list)
        for (_, column), values in sources.values.items():
            shared = self._shared[column.lower()]
            if len(shared) < MOST_SHARED:
                shared += values

    def make(self, draw: random.Random, asked: Asked) -> Made | None:
        """Return the task of a question, or None if rows cannot be made up for it."""
        needed = {asked.select, *(one.column for one in asked.conditions)}
        columns = list(dict.fromkeys((*asked.columns, *sorted(needed))))
        if len({one.lower() for one in columns}) < len(columns) or "`" in "".join(columns):
            return None
        draw.shuffle(columns)
        pools = {column: self._pool(draw, asked, column) for column in columns}
        # A column of which too few values are known is left out, unless the question needs it.
        columns = [one for one in columns if len(pools[one]) >= LEAST_POOL]
        if not needed <= set(columns):
            return None
        pools = {column: pools[column] for column in columns}
        rows = _make_rows(draw, asked, pools)
        label = find_answer(rows, asked) if rows else None
        if rows is None or label is None:
            return None
        table = Table.of(self._name(draw, columns), columns, [[row[one] for one in columns] for row in rows])
        function = asked.function
        shape = plans.COUNT if function == "COUNT" else plans.AGGREGATE if function else plans.ROWS
        wants = () if shape == plans.COUNT else (asked.select,)
        plan = Plan(shape, table.name, wants, asked.conditions, function if shape == plans.AGGREGATE else "")
        kind = {plans.COUNT: "counting", plans.ROWS: "comparison"}.get(shape, f"aggregation-{function}")
        return make_question(kind, asked.text, table, label, plan)

    def _pool(self, draw: random.Random, asked: Asked, column: str) -> list[str]:
        """Return values of a column: those that questions have, else those of columns of its name."""
        own = list(dict.fromkeys(self._values.get((asked.table, column), ())))
        numeric = any(one.column == column and one.relation in ORDERED for one in asked.conditions) or (
            column == asked.select and asked.function in ("SUM", "AVG", "MIN", "MAX")
        )
        shared = self._shared[column.lower()]
        if numeric or (own and all(map(is_number, own))):
            known = [read_number(value) for value in (*own, *shared[:50]) if is_number(value)] or [20.0]
            low = int(min(known)) if min(known) > 1000 else min(0, int(min(known)))
            top = max(low, int(max(known))) + 10
            return [str(draw.randint(low, top)) for _ in range(12)] + [one for one in own if is_number(one)]
        extra = draw.sample(shared, min(len(shared), max(0, 12 - len(own))))
        return list(dict.fromkeys((*own, *extra)))

    def _name(self, draw: random.Random, columns: Sequence[str]) -> str:
        words = draw.sample(list(columns), min(2, len(columns)))
        ends = ("Results", "Records", "Statistics", "Data", "List", "History", "Table", "Season", "Overview")
        title = draw.choice(
            (f"{words[0]} {draw.choice(ends)}", f"{' and '.join(words)}", f"{words[-1]}s", "table")
        )
        return name_table(draw, title)


def _make_rows(
    draw: random.Random, asked: Asked, pools: Mapping[str, Sequence[str]]
) -> list[dict[str, str]] | None:
    rows = [
        {column: draw.choice(list(pool)) for column, pool in pools.items()}
        for _ in range(draw.randint(FEWEST, MOST))
    ]
    rows = [row for row in rows if not meets(row, asked.conditions)]
    for number in range(min(4, len(rows))):
        if len(asked.conditions) > 1:
            _meet(draw, rows[number], draw.sample(asked.conditions, len(asked.conditions) - 1))
    rows = [row for row in rows if not meets(row, asked.conditions)]
    several = asked.function in ("COUNT", "SUM", "AVG", "MIN", "MAX")
    count = 0 if draw.random() < NOTHING else draw.choice((2, 3, 4) if several else (1, 1, 1, 1, 2))
    fitting = [{column: draw.choice(list(pool)) for column, pool in pools.items()} for _ in range(count)]
    for row in fitting:
        _meet(draw, row, asked.conditions)
        if not meets(row, asked.conditions):
            return None
    rows += fitting
    draw.shuffle(rows)
    return rows


def _meet(draw: random.Random, row: dict[str, str], conditions: Sequence[Condition]) -> None:
    """Change a row so that it meets conditions."""
    for one in conditions:
        if one.relation == "=":
            row[one.column] = one.value
        elif is_number(one.value):
            bound = int(read_number(one.value))
            step = draw.randint(1, max(2, abs(bound) // 3))
            row[one.column] = str(bound + step if one.relation == ">" else bound - step)


def meets(row: Mapping[str, str], conditions: Sequence[Condition]) -> bool:
    """Whether a row meets all conditions, as the statement compares them."""
    return all(_holds(row[one.column], one) for one in conditions)


def _holds(value: str, condition: Condition) -> bool:
    if condition.relation == "=":
        return value.strip().lower() == condition.value.strip().lower()
    if not (is_number(value) and is_number(condition.value)):
        return False
    one, other = read_number(value), read_number(condition.value)
    return one < other if condition.relation == "<" else one > other


def find_answer(rows: Sequence[Mapping[str, str]], asked: Asked) -> list[str] | None:
    """Return the answer of a question, `none` where no row meets it; None if it has no clear one."""
    found = [row[asked.select] for row in rows if meets(row, asked.conditions)]
    if asked.function == "COUNT":
        return [str(len(found))]
    if not found:
        return ["none"]
    if not asked.function:
        return found if sum(map(len, found)) <= 200 else None
    if not all(map(is_number, found)):
        return None
    numbers = [read_number(value) for value in found]
    value = {"SUM": sum, "MIN": min, "MAX": max, "AVG": lambda them: sum(them) / len(them)}[asked.function](
        numbers
    )
    return [f"{round(value, 4):.12g}"]
