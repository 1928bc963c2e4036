"""Reads what an agent sees of a generated task: the table's name and headers, and the question's sentence."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from envs.dbbench.tasks import phrases
from envs.dbbench.tasks import plan as plans
from envs.dbbench.tasks.forms import pattern
from envs.dbbench.tasks.forms import read as read_form
from envs.dbbench.tasks.plan import Condition, Plan
from envs.dbbench.tasks.topics import Topic, about

TOLD = re.compile(
    r"The name of this table is (?P<table>.+?), and the headers of this table are (?P<headers>.+)\.\n"
    r"Question: (?P<text>.+)",
    re.DOTALL,
)
JOINED = r", and | and |, "
YEAR = r"(?P<value>(?:18|19|20)\d\d)"
WORDS = {"a": "(?:an? |the )?", "the": "(?:the )?"}
FORMS = re.IGNORECASE | re.DOTALL


def bare(name: str) -> str:
    """A header without what stands in brackets, units and signs."""
    short = re.sub(r"\s*\([^)]*\)|\\n.*", "", name).replace("_", " ").strip(" .:#")
    return short or name


def needed(form: str) -> tuple[str, str]:
    """What the column of the answer must be (nothing, mostly), and the sentence."""
    found = re.match(r"(person|date|year|number|key): ", form)
    return (found[1], form[found.end() :]) if found else ("", form)


def read(observation: str) -> Plan | None:
    """The question of a first observation; None where it is in none of the sentences."""
    found = TOLD.search(observation)
    return (
        understood(found["table"], tuple(found["headers"].split(",")), found["text"].strip())
        if found
        else None
    )


def understood(table: str, columns: tuple[str, ...], text: str) -> Plan | None:
    """A question about a table; None where it is in none of the sentences."""
    for topic in about(columns):
        found = next(_Reader(topic, table, columns).plans(text), None)
        if found is not None:
            return found
    return None


@dataclass(frozen=True)
class _Form:
    """A condition's form, read as far as its value."""

    relation: str
    column: str | None
    start: str
    whole: str


class _Reader:
    """Sentences about one table."""

    def __init__(self, topic: Topic, table: str, columns: tuple[str, ...]) -> None:
        self._topic = topic
        self._table = table
        self._columns = columns
        places = [(name, topic.place(name)) for name in columns]
        self._place = {name: place for name, place in places if place is not None}
        self._key = next((name for name, place in self._place.items() if topic.columns[place].key), "")
        self._names: dict[str, str] = {}
        for name in columns:
            for spelling in (name.lower(), bare(name).lower()):
                self._names.setdefault(spelling, name)
        self._any = "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True))

    def plans(self, text: str) -> Iterator[Plan]:
        """What a text can mean, the likeliest first."""
        yield from self._changes(text)
        for function, forms in phrases.AGGREGATES.items():
            for found in self._found(forms, text):
                yield from self._plan(plans.AGGREGATE, found, function=function)
        for shape, forms in ((plans.DISTINCT, phrases.DISTINCT), (plans.FREQUENT, phrases.FREQUENT)):
            for found in self._found(forms, text):
                yield from self._plan(shape, found)
        yield from self._ordered(text)
        for found in self._found(phrases.COUNT, text):
            for plan in self._plan(plans.COUNT, found):
                yield Plan(plans.COUNT, self._table, conditions=plan.conditions)
        for forms in (phrases.TWO, phrases.ROWS, phrases.LOOK_UP):
            for found in self._found(forms, text):
                yield from self._plan(plans.ROWS, found)

    def _ordered(self, text: str) -> Iterator[Plan]:
        ranked: list[tuple[str, int, tuple[str, ...]]] = [
            *((direction, 1, forms) for direction, forms in phrases.RANK.items()),
            *((direction, limit, forms) for (direction, limit), forms in phrases.TOP.items()),
        ]
        for direction, limit, forms in ranked:
            for found in self._found(forms, text):
                yield from self._plan(plans.ROWS, found, direction=direction, limit=limit)
        for direction, forms in phrases.EITHER.items():
            for found in self._found(forms, text):
                yield from self._plan(plans.EITHER, found, direction=direction, limit=1)
        for shape, forms in (
            (plans.GAP, phrases.GAP),
            (plans.AFTER, phrases.AFTER),
            (plans.BEFORE, phrases.BEFORE),
        ):
            for found in self._found(forms, text):
                yield from self._plan(shape, found)

    def _changes(self, text: str) -> Iterator[Plan]:
        wrapped = [form for form in dict.fromkeys(phrases.TELLS) if form != phrases.TELL]
        for found in self._found(wrapped, text):
            yield from self._parse_sentence(found["tell"])
        for found in self._found(phrases.INSERT, text):
            pairs = self._row(found)
            if pairs:
                yield Plan(plans.INSERT, self._table, pairs=pairs)
        for found in self._found(phrases.UPDATE, text):
            pairs = self._pairs(found)
            conditions = self._conditions(found)
            if pairs and conditions:
                yield Plan(plans.UPDATE, self._table, conditions=conditions, pairs=pairs)
        for found in self._found(phrases.DELETE, text):
            yield from self._plan(plans.DELETE, found)
        yield from self._parse_sentence(text)

    def _found(self, forms: Iterable[str], text: str) -> Iterator[dict[str, str]]:
        """What stands at the places of the forms that a text has, about this table and its things."""
        fixed = {"table": self._table, "thing": self._topic.thing, "things": self._topic.things}
        for form in forms:
            found = read_form(needed(form)[1], text)
            if found and all(
                named.lower() == fixed.get(place.partition("__")[0], named).lower()
                for place, named in found.items()
            ):
                yield found

    def _plan(
        self, shape: str, found: dict[str, str], *, function: str = "", direction: str = "", limit: int = 0
    ) -> Iterator[Plan]:
        """A question whose columns and conditions are known."""
        named = {place: self._names.get(found[place].lower()) for place in _COLUMNS if place in found}
        conditions = self._conditions(found)
        if None in named.values() or conditions is None:
            return
        wants = tuple(name for place in ("column", "column2") if (name := named.get(place)))
        names = tuple(found[place] for place in ("key", "key2") if place in found)
        number = named.get("number") or ""
        if shape in (plans.AFTER, plans.BEFORE):
            number = next((name for name in self._columns if self._kind(name) == "serial"), "")
        if shape in (plans.AFTER, plans.BEFORE, plans.GAP):
            if number and self._key:
                yield Plan(shape, self._table, number=number, key=self._key, names=names)
            return
        if shape == plans.EITHER:
            yield Plan(
                shape, self._table, (self._key,), (), "", number, direction, limit, key=self._key, names=names
            )
            return
        wants = wants or ((self._key,) if shape == plans.ROWS else ())
        yield Plan(shape, self._table, wants, conditions, function, number, direction, limit)

    def _kind(self, name: str) -> str:
        return self._topic.columns[self._place[name]].kind

    def _parse_sentence(self, text: str) -> Iterator[Plan]:
        for sentence in self._topic.sentences:
            found = read_form(re.sub(r"<(\d+)>", r"{c\1}", sentence), text)
            if found:
                values = {int(place[1:]): value for place, value in found.items()}
                if set(values) <= set(self._place.values()):
                    pairs = tuple((name, values[at]) for name, at in self._place.items() if at in values)
                    yield Plan(plans.INSERT, self._table, pairs=pairs)

    def _row(self, found: dict[str, str]) -> tuple[tuple[str, str], ...] | None:
        if "names" in found:
            names, values = listed(found["names"]), listed(found["values"])
            known = [self._names.get(name.lower()) for name in names]
            if None in known or len(known) != len(values):
                return None
            return tuple((name, value) for name, value in zip(known, values, strict=True) if name)
        pairs = self._pairs(found)
        if pairs and "first" in found:
            return ((self._key, found["first"]), *pairs)
        return pairs

    def _pairs(self, found: dict[str, str]) -> tuple[tuple[str, str], ...] | None:
        """Columns with their new values."""
        if "value" in found:
            name = self._names.get(found["column"].lower())
            return ((name, found["value"]),) if name else None
        for place, text in found.items():
            if place.startswith("pairs_"):
                forms = phrases.PAIRS[place.removeprefix("pairs_")]
                return next((pairs for form in forms if (pairs := self._split(form, text))), None)
        return None

    def _split(self, form: str, text: str) -> tuple[tuple[str, str], ...] | None:
        places = WORDS | {"column": f"(?P<column>{self._any})"}
        start, whole = pattern(form.partition("{value}")[0], places), pattern(form, places)
        if form.startswith(("{value}", "'{value}")):
            start = whole.replace("(?P<value>.+?)", "[^,]+?")
        pairs: list[tuple[str, str]] = []
        for part in re.split(rf"(?:{JOINED})(?={_unnamed(start)})", text, flags=FORMS):
            found = re.fullmatch(whole, part, FORMS)
            if found is None:
                return None
            pairs.append((self._names[found["column"].lower()], found["value"]))
        return tuple(pairs) if len(dict(pairs)) == len(pairs) else None

    def _conditions(self, found: dict[str, str]) -> tuple[Condition, ...] | None:
        """All conditions of a sentence, the name of a row among them; None where one is not understood."""
        conditions: list[Condition] = []
        if "key" in found and "key2" not in found:
            conditions.append(Condition(self._key, "=", found["key"]))
        for place, text in found.items():
            if place.startswith("conds_"):
                more = self._parse_conditions(place.removeprefix("conds_").replace("cut", "with"), text)
                if more is None:
                    return None
                conditions += more
        return tuple(conditions) if len({one.column for one in conditions}) == len(conditions) else None

    def _parse_conditions(self, style: str, text: str) -> list[Condition] | None:
        forms = self._forms(style)
        starts = "|".join(_unnamed(form.start) for form in forms)
        joined = f"{JOINED}| " if style == "mod" else JOINED
        conditions: list[Condition] = []
        for part in re.split(rf"(?:{joined})(?={starts})", text, flags=FORMS):
            condition = self._condition(forms, part)
            if condition is None:
                return None
            conditions.append(condition)
        return conditions

    def _condition(self, forms: Sequence[_Form], text: str) -> Condition | None:
        for form in forms:
            found = re.fullmatch(form.whole, text, FORMS)
            if found:
                column = form.column or self._names[found["column"].lower()]
                return Condition(column, form.relation, found["value"])
        return None

    def _forms(self, style: str) -> list[_Form]:
        places = WORDS | {"column": f"(?P<column>{self._any})"}
        written = [
            (relation, None, form, places)
            for relation, forms in phrases.CONDITIONS[style].items()
            for form in forms
        ]
        # The longest first: "is less than" is not "is".
        written.sort(key=lambda one: len(one[2]), reverse=True)
        found = [
            _Form(relation, column, pattern(form.partition("{value}")[0], known), pattern(form, known))
            for relation, column, form, known in written
        ]
        if style == "mod":
            found = [*self._modifiers(), *found]
        return found

    def _modifiers(self) -> Iterator[_Form]:
        for name, place in self._place.items():
            column = self._topic.columns[place]
            form = column.modifier.replace("{v}", "{value}")
            if column.kind == "date" and not any(self._kind(other) == "year" for other in self._columns):
                yield _Form(plans.CONTAINS, name, r"in (?:18|19|20)\d\d\b", f"in {YEAR}")
            if form:
                yield _Form("=", name, pattern(form.partition("{value}")[0]), pattern(form))


_COLUMNS = ("column", "column2", "number")


def listed(text: str) -> list[str]:
    """The items of a list, with or without quotes."""
    if "'" in text:
        return re.findall(r"'(.*?)'(?=, and |, | and |\Z)", text)
    return re.split(JOINED, text)


def _unnamed(text: str) -> str:
    return re.sub(r"\?P<\w+>", "?:", text)
