"""A scripted analyst that knows only what an agent sees; its sessions are demonstrations.

It reads a generated task's sentence, looks at how numbers are written before it reckons with them, asks once
more with LIKE where nothing matched, and answers with what was shown. The server never imports it.
"""
# ruff: noqa: S608 - writing SQL is what it does

import ast
import json
import re
from collections.abc import Generator

from envs.dbbench.reading import Asked, Reading, read

Policy = Generator[str, str, None]
"""Yields actions and is sent what each showed; it ends with the answer."""
CHANGES = ("INSERT", "UPDATE", "DELETE")
DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?")


class Expert:
    """Plays one generated task.

    Args:
        observation: The first observation.
        instruction: The task.
    """

    def __init__(self, observation: str, instruction: str) -> None:
        self._reading = read(observation)
        self._instruction = instruction
        self._commas: set[str] = set()
        self._mixed: set[str] = set()
        self.thought = ""
        """Why the last action was taken."""

    @property
    def understands(self) -> bool:
        """Whether the question is in one of the sentences that it knows."""
        return self._reading is not None

    def play(self) -> Policy:
        """The actions of the session, one by one."""
        reading = self._reading
        if reading is None:
            return
        for column in self._numbers(reading):
            self.thought = f"All columns are text. First see how {column} is written."
            shown = yield f"sql: SELECT DISTINCT {_name(column)} FROM {_name(reading.table)}"
            self._note(column, shown)
        shown = yield self._do(self._why(reading), self._sql(reading, exactly=True))
        if _nothing(shown) and (reading.key or any(asked.relation == "=" for asked in reading.conditions)):
            again = yield self._do(
                "Nothing matches exactly. Look for the words inside the text.",
                self._sql(reading, exactly=False),
            )
            shown = shown if _nothing(again) else again
        if reading.kind in CHANGES:
            self.thought = "The table is changed as asked."
            yield 'answer: ["done"]'
            return
        values = _values(shown)
        self.thought = (
            "This is what was asked for." if values else "No row meets the conditions, so the answer is none."
        )
        yield f"answer: {json.dumps(values or ['none'], ensure_ascii=False)}"

    def _do(self, thought: str, sql: str) -> str:
        self.thought = thought
        return f"sql: {sql}"

    def _numbers(self, reading: Reading) -> list[str]:
        """The columns whose texts will be read as numbers."""
        columns = [asked.column for asked in reading.conditions if asked.relation != "="]
        if reading.kind.startswith("aggregation"):
            columns.append(reading.column)
        if reading.number:
            columns.append(reading.number)
        return list(dict.fromkeys(columns))

    def _note(self, column: str, shown: str) -> None:
        values = re.findall(r"\('(.*?)',\)", shown)
        if any("," in value and DIGITS.fullmatch(value) for value in values):
            self._commas.add(column)
        if any(not DIGITS.fullmatch(value) for value in values):
            self._mixed.add(column)

    def _why(self, reading: Reading) -> str:
        kind = reading.kind
        if kind == "INSERT":
            return "A new row with these values is to be inserted."
        if kind == "UPDATE":
            return f"Set {', '.join(reading.pairs)} in the row whose {reading.where} is {reading.key}."
        if kind == "other":
            return f"Find the row that names {reading.key} and read {reading.column}."
        told = {
            "counting": "Count the rows",
            "DELETE": "Delete the rows",
            "comparison": f"Select {reading.column}",
        }
        if kind == "ranking":
            return f"Order by {reading.number} as a number and take the first {reading.column}."
        what = told.get(kind) or f"Take the {kind.partition('-')[2]} of {reading.column}"
        conditions = [f"{asked.column} {asked.relation} {asked.value}" for asked in reading.conditions]
        return f"{what} where {' and '.join(conditions)}."

    def _sql(self, reading: Reading, *, exactly: bool) -> str:
        table, column = _name(reading.table), _name(reading.column)
        where = self._where(reading, exactly)
        match reading.kind:
            case "counting":
                return f"SELECT COUNT(*) FROM {table}{where}"
            case "comparison":
                return f"SELECT DISTINCT {column} FROM {table}{where}"
            case "ranking":
                order = f"{self._number(reading.number)} {reading.direction}"
                return f"SELECT {column} FROM {table}{where} ORDER BY {order} LIMIT 1"
            case "other":
                names = ", ".join(map(_name, reading.columns))
                words = reading.key.replace("%", r"\%")
                match = (
                    f"{_text(reading.key)} IN ({names})"
                    if exactly
                    else f"CONCAT_WS('|', {names}) LIKE {_text(f'%{words}%')}"
                )
                return f"SELECT {column} FROM {table} WHERE {match}"
            case "INSERT":
                names, values = (
                    ", ".join(map(_name, reading.pairs)),
                    ", ".join(map(_text, reading.pairs.values())),
                )
                return f"INSERT INTO {table} ({names}) VALUES ({values})"
            case "UPDATE":
                sets = ", ".join(f"{_name(name)} = {_text(value)}" for name, value in reading.pairs.items())
                return f"UPDATE {table} SET {sets} WHERE {_name(reading.where)} = {_text(reading.key)}"
            case "DELETE":
                return f"DELETE FROM {table}{where}"
        function = reading.kind.partition("-")[2]
        return f"SELECT {function}({self._number(reading.column)}) FROM {table}{where}"

    def _where(self, reading: Reading, exactly: bool) -> str:
        guarded = [column for column in self._numbers(reading) if column in self._mixed]
        parts = [f"{_name(column)} REGEXP '^[0-9]'" for column in guarded]
        parts += [self._condition(asked, exactly) for asked in reading.conditions]
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    def _condition(self, asked: Asked, exactly: bool) -> str:
        if asked.relation != "=":
            return f"{self._number(asked.column)} {asked.relation} {asked.value.replace(',', '')}"
        if exactly:
            return f"{_name(asked.column)} = {_text(asked.value)}"
        return f"{_name(asked.column)} LIKE {_text(f'%{asked.value}%')}"

    def _number(self, column: str) -> str:
        return f"REPLACE({_name(column)}, ',', '') + 0" if column in self._commas else f"{_name(column)} + 0"


def _nothing(shown: str) -> bool:
    return shown in ("[]", "[(0,)]", "[(None,)]") or shown.endswith(" 0 rows affected")


def _values(shown: str) -> list[str]:
    try:
        rows = ast.literal_eval(shown)
    except (ValueError, SyntaxError):
        return []
    return [str(value) for row in rows for value in row if value is not None]


def _name(name: str) -> str:
    return f"`{name}`"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
