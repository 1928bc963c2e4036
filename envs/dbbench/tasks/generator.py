"""Generated tasks: tables like AgentBench's and a question of each of its kinds, made from a seed.

The same seed, split and number make the same task. The names of people, towns and titles are parted
between the splits, so that no table of one is in the other. Every question can be read back: a sentence
that the expert would understand otherwise is drawn anew.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

from envs.dbbench.tasks import phrases
from envs.dbbench.tasks import plan as plans
from envs.dbbench.tasks.columns import MISSING
from envs.dbbench.tasks.forms import PLACE, filled
from envs.dbbench.tasks.plan import Condition, Plan
from envs.dbbench.tasks.pools import Pools
from envs.dbbench.tasks.questions import Question, described
from envs.dbbench.tasks.reading import understood
from envs.dbbench.tasks.sheets import Row, Sheet, draw_sheet
from envs.dbbench.tasks.wording import Worded, Wording, joined

_ROUND = """INSERT UPDATE comparison INSERT UPDATE counting INSERT UPDATE ranking INSERT UPDATE other
INSERT UPDATE aggregation-SUM comparison INSERT UPDATE aggregation-MAX other INSERT UPDATE
aggregation-MIN counting INSERT UPDATE aggregation-AVG ranking comparison other DELETE UPDATE"""
ROUND = tuple(_ROUND.split())
"""The kinds in turn: like the benchmark's, two of three change the table."""
KINDS = frozenset(ROUND)
TRIES = 400
SMALL_SHARE = 0.12
"""How many questions are written without capitals."""
ANSWERS, LETTERS = 12, 160
"""The most rows and letters that an answer has."""
Made = tuple[str, Plan, list[str] | None, Plan] | None
"""The sentence, its plan, the right answer, and the plan of the right statement."""


class Generator:
    """Makes tasks.

    Args:
        seed: What they are made from.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def question(self, split: str, number: int) -> Question:
        """One task."""
        draw = random.Random(f"dbbench/{self._seed}/{split}/{number}")  # noqa: S311
        pools = Pools(draw, side=int("valid" in split))
        kind = ROUND[number % len(ROUND)]
        for _ in range(TRIES):
            sheet = draw_sheet(draw, pools)
            made = _Maker(draw, sheet, pools).make(kind)
            if made is None:
                continue
            text, plan, label, gold = made
            small = not plan.changes and draw.random() < SMALL_SHARE
            shown = text.lower() if small else text
            table = sheet.table
            read = understood(table.name, table.columns, shown)
            if read is not None and read.folded() == plan.folded():
                given = None if label is None else tuple(label)
                return Question(kind, shown, (table,), described((table,)), given, gold.sql())
        raise AssertionError(f"no task {split}/{number} in {TRIES} tries")


class _Maker:
    """A question about one table."""

    def __init__(self, draw: random.Random, sheet: Sheet, pools: Pools) -> None:
        self._draw = draw
        self._sheet = sheet
        self._pools = pools
        self._names = sheet.table.columns
        self._fixed = {"table": sheet.table.name, "thing": sheet.topic.thing, "things": sheet.topic.things}

    def make(self, kind: str) -> Made:
        """A question of a kind; None where this table has none."""
        maker: dict[str, Callable[[], Made]] = {
            "INSERT": self._insert,
            "UPDATE": self._update,
            "DELETE": self._delete,
            "counting": self._count,
            "ranking": self._rank,
            "comparison": self._compare,
            "other": self._other,
        }
        return maker[kind]() if kind in maker else self._aggregate(kind.partition("-")[2])

    def _question(
        self, forms: Sequence[str], shape: str, places: Sequence[int] = (), **more: object
    ) -> tuple[str, Plan, Worded] | None:
        """A sentence and its plan, for the columns of the answer."""
        wording = Wording(self._draw, self._sheet, exact=shape == plans.DELETE)
        form = wording.form(forms, places[0] if places else None)
        if form is None:
            return None
        worded = wording.conditions(form, set(places))
        words = wording.fill_places(form, worded) if worded is not None else None
        if worded is None or words is None:
            return None
        wanted = {"column": wording.column(places[0])} if places else {}
        if len(places) > 1:
            wanted["column2"] = wording.column(places[1])
        text = filled(form, self._fixed | words | wanted)
        wants = tuple(self._names[place] for place in places)
        if shape in (plans.COUNT, plans.DELETE):
            wants = ()
        return text, Plan(shape, self._sheet.table.name, wants, worded.conditions, **more), worded  # type: ignore[arg-type]

    def _values(self, rows: Sequence[Row], places: Sequence[int]) -> list[str] | None:
        """An answer; None where it is too long, or has no value in it."""
        values = [row[place] or "" for row in rows for place in places]
        if len(rows) > ANSWERS or sum(map(len, values)) > LETTERS or any(one in MISSING for one in values):
            return None
        return values or ["none"]

    def _any(self) -> list[int]:
        return list(range(len(self._names)))

    def _compare(self) -> Made:
        place = self._draw.choice([self._sheet.key, self._sheet.key, *self._any()])
        return self._rows(phrases.ROWS, (place,))

    def _rows(self, forms: Sequence[str], places: tuple[int, ...]) -> Made:
        drawn = self._question(forms, plans.ROWS, places)
        label = self._values(drawn[2].rows, places) if drawn else None
        return (drawn[0], drawn[1], label, drawn[1]) if drawn and label else None

    def _other(self) -> Made:
        chance = self._draw.random()
        others = [place for place in self._any() if place != self._sheet.key]
        if chance < 0.62:
            return self._rows(phrases.LOOK_UP, (self._draw.choice(others),))
        if chance < 0.74:
            one, other = self._draw.sample(others, 2)
            return self._rows(phrases.TWO, (one, other))
        if chance < 0.86:
            return self._neighbour()
        return self._gap() if chance < 0.93 else self._frequent()

    def _count(self) -> Made:
        if self._draw.random() < 0.12:
            return self._distinct()
        place = self._draw.choice(self._any())
        drawn = self._question(phrases.COUNT, plans.COUNT, (place,))
        return (drawn[0], drawn[1], [str(len(drawn[2].rows))], drawn[1]) if drawn else None

    def _distinct(self) -> Made:
        place = self._draw.choice(self._sheet.places(lambda column: not column.ordered and not column.blank))
        values = {(row[place] or "").lower() for row in self._sheet.table.rows}
        drawn = self._question(phrases.DISTINCT, plans.DISTINCT, (place,))
        return (drawn[0], drawn[1], [str(len(values))], drawn[1]) if drawn else None

    def _frequent(self) -> Made:
        place = self._draw.choice(self._sheet.places(lambda column: not column.ordered and not column.blank))
        values = Counter(row[place] or "" for row in self._sheet.table.rows).most_common(2)
        if len(values) < 2 or values[0][1] == values[1][1]:
            return None
        drawn = self._question(phrases.FREQUENT, plans.FREQUENT, (place,))
        return (drawn[0], drawn[1], [values[0][0]], drawn[1]) if drawn else None

    def _numbers(self, *, years: bool = False) -> list[int]:
        kinds = ("int", "decimal", "thousands", *(("year", "serial") if years else ()))
        return [at for at in self._sheet.places(lambda column: column.kind in kinds) if self._sheet.whole(at)]

    def _aggregate(self, function: str) -> Made:
        places = self._numbers(years=function in ("MIN", "MAX"))
        if not places:
            return None
        place = self._draw.choice(places)
        drawn = self._question(phrases.AGGREGATES[function], plans.AGGREGATE, (place,), function=function)
        if drawn is None:
            return None
        column = self._sheet.columns[place]
        numbers = [number for row in drawn[2].rows if (number := column.number(row[place] or "")) is not None]
        if not numbers:
            return drawn[0], drawn[1], ["none"], drawn[1]
        value = {"SUM": sum, "MIN": min, "MAX": max, "AVG": lambda them: sum(them) / len(them)}[function](
            numbers
        )
        return drawn[0], drawn[1], [f"{round(value, 4):.12g}"], drawn[1]

    def _rank(self) -> Made:
        places = self._numbers()
        if not places:
            return None
        if self._draw.random() < 0.2:
            return self._either()
        place = self._draw.choice(places)
        direction, limit = self._draw.choice(("DESC", "DESC", "ASC")), 1
        forms: Sequence[str] = phrases.RANK[direction]
        if self._draw.random() < 0.12:
            limit = self._draw.choice((2, 3))
            forms = phrases.TOP[direction, limit]
        wording = Wording(self._draw, self._sheet)
        form = wording.form(forms)
        worded = wording.conditions(form, {place}, (1, 1, 2)) if form else None
        words = wording.fill_places(form, worded) if form and worded else None
        if form is None or worded is None or words is None:
            return None
        words |= {"number": wording.column(place)}
        text = filled(
            form.replace("{key_column}", "{column}"),
            self._fixed | words | {"column": wording.column(self._sheet.key)},
        )
        rows = self._sorted(worded.rows, place, direction)
        if rows is None or len(rows) <= limit:
            return None
        key = self._names[self._sheet.key]
        plan = Plan(
            plans.ROWS,
            self._sheet.table.name,
            (key,),
            worded.conditions,
            "",
            self._names[place],
            direction,
            limit,
        )
        label = self._values(rows[:limit], (self._sheet.key,))
        return (text, plan, label, plan) if label else None

    def _sorted(self, rows: Sequence[Row], place: int, direction: str) -> list[Row] | None:
        """Rows in order of a number; None where two have the same."""
        column = self._sheet.columns[place]
        known = sorted(
            rows, key=lambda row: column.number(row[place] or "") or 0, reverse=direction == "DESC"
        )
        numbers = {column.number(row[place] or "") for row in known}
        return known if len(numbers) == len(known) else None

    def _pair(self) -> tuple[Row, Row] | None:
        if self._sheet.columns[self._sheet.key].kind == "title":
            return None
        one, other = self._draw.sample(self._sheet.table.rows, 2)
        return one, other

    def _either(self) -> Made:
        pair, places = self._pair(), self._numbers()
        if pair is None or not places:
            return None
        place, direction = self._draw.choice(places), self._draw.choice(("DESC", "ASC"))
        rows = self._sorted(pair, place, direction)
        if rows is None:
            return None
        key = self._sheet.key
        names = tuple(row[key] or "" for row in pair)
        text = self._compared(phrases.EITHER[direction], names, place)
        plan = Plan(
            plans.EITHER,
            self._sheet.table.name,
            (self._names[key],),
            number=self._names[place],
            direction=direction,
            limit=1,
            key=self._names[key],
            names=names,
        )
        return text, plan, [rows[0][key] or ""], plan

    def _compared(self, forms: Sequence[str], names: Sequence[str], place: int) -> str:
        wording = Wording(self._draw, self._sheet)
        form = wording.form(forms) or ""
        words = dict(zip(("key", "key2"), names, strict=False)) | {"number": wording.column(place)}
        return filled(form, self._fixed | words)

    def _gap(self) -> Made:
        pair, places = self._pair(), self._numbers()
        if pair is None or not places:
            return None
        place, key = self._draw.choice(places), self._sheet.key
        one, other = (self._sheet.columns[place].number(row[place] or "") or 0 for row in pair)
        names = tuple(row[key] or "" for row in pair)
        plan = Plan(
            plans.GAP, self._sheet.table.name, number=self._names[place], key=self._names[key], names=names
        )
        label = [f"{round(abs(one - other), 4):.12g}"]
        return self._compared(phrases.GAP, names, place), plan, label, plan

    def _neighbour(self) -> Made:
        serial = self._sheet.places(lambda column: column.kind == "serial")
        key = self._sheet.key
        if not serial or self._sheet.columns[key].kind == "title":
            return None
        rows = self._sheet.table.rows
        at = self._draw.randrange(1, len(rows) - 1)
        shape, step = self._draw.choice(((plans.AFTER, 1), (plans.BEFORE, -1)))
        names = (rows[at][key] or "",)
        text = self._compared(phrases.AFTER if step > 0 else phrases.BEFORE, names, serial[0])
        number = self._names[serial[0]]
        plan = Plan(shape, self._sheet.table.name, number=number, key=self._names[key], names=names)
        return text, plan, [rows[at + step][key] or ""], plan

    def _insert(self) -> Made:
        values = [
            column.value(self._draw, self._pools, len(self._sheet.table.rows))
            for column in self._sheet.columns
        ]
        if self._draw.random() < 0.65:
            return self._record(values)
        wording = Wording(self._draw, self._sheet, exact=True)
        form = wording.form(phrases.INSERT) or ""
        first = "{first}" in form
        key = self._sheet.key
        share = self._draw.choice((1.0, 1.0, 0.75))
        kept = [at for at in self._any() if values[at] and (at == key or self._draw.random() < share)]
        kept = [key, *(at for at in kept if at != key)] if first else kept
        style = next(
            (place.removeprefix("pairs_") for place in PLACE.findall(form) if place.startswith("pairs_")), ""
        )
        pairs = [(at, values[at]) for at in kept]
        words = self._fixed | {"first": values[key]}
        if style:
            words[f"pairs_{style}"] = (
                wording.pairs(style, pairs[1:] if first else pairs) if len(pairs) > 1 else ""
            )
        else:
            mark = self._draw.choice(("'", ""))
            words["names"] = joined([f"{mark}{wording.column(at)}{mark}" for at in kept])
            words["values"] = joined([f"'{value}'" for _, value in pairs])
        plan = Plan(
            plans.INSERT, self._sheet.table.name, pairs=tuple((self._names[at], value) for at, value in pairs)
        )
        return filled(form, words), plan, None, plan

    def _record(self, values: Sequence[str]) -> Made:
        """A sentence of the topic holds the row."""
        topic = self._sheet.topic
        places = {topic.place(name): at for at, name in enumerate(self._names)}
        wording = Wording(self._draw, self._sheet, exact=True)
        sentences = [
            template
            for template in topic.sentences
            if {int(one) for one in re.findall(r"<(\d+)>", template)} <= set(places)
        ]
        if not sentences:
            return None
        template = wording.form([self._draw.choice(sentences)]) or ""
        needed = {places[int(one)] for one in re.findall(r"<(\d+)>", template)}
        if any(not values[at] or values[at] in MISSING for at in needed):
            return None
        sentence = re.sub(r"<(\d+)>", lambda found: values[places[int(found[1])]].strip('"'), template)
        text = filled(wording.form(phrases.TELLS) or "", self._fixed | {"tell": sentence})
        pairs = tuple((self._names[at], values[at].strip('"')) for at in self._any() if at in needed)
        plan = Plan(plans.INSERT, self._sheet.table.name, pairs=pairs)
        return text, plan, None, plan

    def _update(self) -> Made:
        wording = Wording(self._draw, self._sheet, exact=True)
        form = wording.form(phrases.UPDATE) or ""
        style = next(
            (place.removeprefix("pairs_") for place in PLACE.findall(form) if place.startswith("pairs_")), ""
        )
        key = self._sheet.key
        others = [at for at in self._any() if at != key]
        if style == "count":
            others = [at for at in others if self._sheet.columns[at].kind in ("int", "thousands")]
        count = min(len(others), self._draw.choice((1, 1, 2, 2, 3, 4) if style else (1,)))
        if not count:
            return None
        places = sorted(self._draw.sample(others, count))
        values = [
            self._sheet.columns[at].value(self._draw, self._pools, self._draw.randint(0, 40)) for at in places
        ]
        worded = self._condition(wording, form, set(places))
        words = wording.fill_places(form, worded) if worded else None
        if worded is None or words is None or not all(values):
            return None
        if style:
            words[f"pairs_{style}"] = wording.pairs(style, list(zip(places, values, strict=True)))
        else:
            words |= {"column": wording.column(places[0]), "value": values[0]}
        pairs = tuple((self._names[at], value) for at, value in zip(places, values, strict=True))
        if all(
            dict(zip(self._names, row, strict=True))[name] == value
            for row in worded.rows
            for name, value in pairs
        ):
            return None
        plan = Plan(plans.UPDATE, self._sheet.table.name, conditions=worded.conditions, pairs=pairs)
        return filled(form, self._fixed | words), plan, None, self._gold(plan, worded)

    def _condition(self, wording: Wording, form: str, avoid: set[int]) -> Worded | None:
        """The rows to change: mostly the one of a name."""
        key = self._sheet.key
        if "{key}" in form or ("{conds_mod}" in form or self._draw.random() < 0.35):
            return wording.conditions(form, avoid, (1, 1, 1, 2))
        row = self._draw.choice(self._sheet.table.rows)
        condition = (Condition(self._names[key], "=", wording.value(key, row[key] or "")),)
        return Worded(condition, self._sheet.met(condition))

    def _gold(self, plan: Plan, worded: Worded) -> Plan:
        """The right statement: with texts as the table writes them."""
        exact: list[Condition] = []
        for condition in plan.conditions:
            values = {row[self._names.index(condition.column)] or "" for row in worded.rows}
            exact.append(Condition(condition.column, "=", values.pop()) if len(values) == 1 else condition)
        return Plan(plan.shape, plan.table, conditions=tuple(exact), pairs=plan.pairs)

    def _delete(self) -> Made:
        drawn = self._question(phrases.DELETE, plans.DELETE)
        if drawn is None or not drawn[2].rows or len(drawn[2].rows) == len(self._sheet.table.rows):
            return None
        return drawn[0], drawn[1], None, self._gold(drawn[1], drawn[2])
