"""A scripted analyst that sees only what an agent sees; its sessions are demonstrations.

It reads a generated task's sentence, writes the one statement that answers it, queries again with LIKE where
nothing matched, and answers with what was shown. In a few sessions, decided by the text of the task, its
first statement has a slip in a name, which it mends when it has seen the error. The server never imports
it.
"""

import ast
import json
import random
import re
from collections.abc import Generator

from envs.dbbench.tasks.plan import CONTAINS, Plan, name
from envs.dbbench.tasks.reading import bare, read

Policy = Generator[str, str, None]
"""Yields actions and is sent what each showed; it ends with the answer."""
SLIPS = 0.1
"""How many sessions begin with a slip."""
DONE = 'answer: ["done"]'


class Expert:
    """Plays one generated task.

    Args:
        observation: The first observation.
        instruction: The task.
    """

    def __init__(self, observation: str, instruction: str) -> None:
        self._plan = read(observation)
        self._instruction = instruction
        self._draw = random.Random(observation)  # noqa: S311
        self.thought = ""
        """Why the last action was taken."""

    @property
    def understands(self) -> bool:
        """Whether the question has one of the generator's sentences."""
        return self._plan is not None

    def play(self) -> Policy:
        """The actions of the session, one by one."""
        plan = self._plan
        if plan is None:
            return
        sql, why = plan.sql(), _why(plan)
        slip = self._slip(sql) if self._draw.random() < SLIPS else None
        if slip is not None:
            shown = yield self._do(why, slip[0])
            why = f"{slip[1]} {why}" if shown.startswith("Error") else why
        shown = yield self._do(why, sql)
        if _nothing(shown) and plan.texts:
            again = yield self._do(
                "No row has exactly this text. Look for it inside the texts with LIKE.",
                plan.sql(exactly=False),
            )
            shown = shown if _nothing(again) else again
        if plan.changes:
            self.thought = "The table is changed as asked."
            yield DONE
            return
        values = _values(shown)
        self.thought = "This is what was asked for." if values else "No row is so, so the answer is none."
        yield f"answer: {json.dumps(values or ['none'], ensure_ascii=False)}"

    def _do(self, thought: str, sql: str) -> str:
        self.thought = thought
        return f"sql: {sql}"

    def _slip(self, sql: str) -> tuple[str, str] | None:
        """A statement with a name wrong in it, and how it is mended; None where no name can be wrong."""
        names = sorted(set(re.findall(r"`([^`]+)`", sql)))
        odd = [one for one in names if not re.fullmatch(r"\w+", one)]
        if not odd:
            return None
        chosen = self._draw.choice(odd)
        short = bare(chosen).split()[-1]
        if self._draw.random() < 0.5 and short.lower() not in {one.lower() for one in names}:
            mended = f"There is no `{short}`: the name must be copied whole, `{chosen}`."
            return sql.replace(name(chosen), name(short)), mended
        return sql.replace(name(chosen), chosen), f"`{chosen}` must stand in backticks."


def _why(plan: Plan) -> str:
    """What is to be done, with the table's own names."""
    conditions = " and ".join(
        f"{name(one.column)} {'contains' if one.relation == CONTAINS else one.relation} {one.value}"
        for one in plan.conditions
    )
    where = f" where {conditions}" if conditions else ""
    wants = " and ".join(map(name, plan.wants))
    columns = ", ".join(name(column) for column, _ in plan.pairs)
    match plan.shape:
        case "INSERT":
            return f"Insert a row with {columns}."
        case "UPDATE":
            return f"Set {columns}{where}."
        case "DELETE":
            return f"Delete the rows{where}."
        case "count":
            return f"Count the rows{where}."
        case "distinct":
            return f"Count the different {wants}."
        case "aggregate":
            return f"Take the {plan.function} of {wants} as a number{where}."
        case "frequent":
            return f"Group by {wants} and take the one with the most rows."
        case "either":
            return f"Order {' and '.join(plan.names)} by {name(plan.number)} as a number and take the first."
        case "gap":
            return f"Subtract {name(plan.number)} of {plan.names[1]} from that of {plan.names[0]}."
        case "after" | "before":
            return f"Take the row {plan.shape} the {name(plan.key)} {plan.names[0]} by {name(plan.number)}."
        case _:
            first = "the first" if plan.limit == 1 else f"the first {plan.limit}"
            order = (
                f", ordered by {name(plan.number)} as a number, {plan.direction}, {first}"
                if plan.number
                else ""
            )
            return f"Select {wants}{where}{order}."


def _nothing(shown: str) -> bool:
    return shown in ("[]", "[(0,)]", "[(None,)]") or shown.endswith(" 0 rows affected")


def _values(shown: str) -> list[str]:
    try:
        rows = ast.literal_eval(shown)
    except (ValueError, SyntaxError):
        return []
    return [str(value) for row in rows for value in row if value is not None]
