"""A scripted analyst; its sessions are demonstrations.

It reads a generated task's sentence, or has the plan that comes with a task of real questions. It writes the
one statement that answers, and answers with what was shown. Where the question names no column, it looks at
some rows first. In some sessions, decided by the text of the task, its first statement has a slip: a wrong
name, a wrong value, or a condition on the wrong column. It mends the slip when it has seen the result. The
server never imports it.
"""

# ruff: noqa: S608 - writing SQL is what it does

import ast
import json
import random
from collections.abc import Generator

from envs.dbbench.reference import Reference
from envs.dbbench.slips import Slip, draw_slip
from envs.dbbench.tasks.plan import CONTAINS, INSERT, Plan, name, quoted
from envs.dbbench.tasks.reading import bare, read

Policy = Generator[str, str, None]
"""Yields actions and is sent what each showed; it ends with the answer."""
LOOKS = 0.75
"""How many sessions look first, of those whose question does not name the column of a value."""
DONE = 'answer: ["done"]'


class Expert:
    """Plays one task.

    Args:
        observation: The first observation.
        instruction: The task.
        reference: The plan and table of a task that has them; by default the sentence is read.
    """

    def __init__(self, observation: str, instruction: str, reference: Reference | None = None) -> None:
        self._reference = reference
        self._plan = reference.plan if reference is not None else read(observation)
        self._instruction = instruction
        self._draw = random.Random(observation)  # noqa: S311
        self._followed: list[tuple[str, str]] = []
        self.thought = ""
        """Why the last action was taken."""
        self.taught = True
        """Whether the last action is to be learned."""

    @property
    def understands(self) -> bool:
        """Whether the question has one of the generator's sentences, or a plan."""
        return self._plan is not None

    def follow(self, action: str, shown: str) -> None:
        """Take note of another's step, and of what it showed."""
        self._followed.append((action, shown))

    def is_mistake(self, action: str, shown: str) -> bool:
        """Whether another's step did nothing, or found nothing."""
        return shows_nothing(shown) or shown.startswith("Error")

    def play(self) -> Policy:
        """The actions of the session, one by one."""
        plan = self._plan
        if plan is None:
            return
        sql, why = plan.sql(), _why(plan)
        before = self._done_before(sql)
        if self._followed:
            why = f"{_name_fault(*self._followed[-1])}{why}"
        else:
            if self._is_unclear(plan) and self._draw.random() < LOOKS:
                yield self._look(plan, "The task does not name each column, so I look at some rows first.")
            slip = None if plan.unsure else draw_slip(self._draw, plan, self._instruction, self._reference)
            if slip is not None:
                why = yield from self._slip(slip, plan, why)
        if plan.unsure and before is None:
            why = yield from self._find_values(plan, why)
        shown = before if before is not None else (yield self._do(why, sql))
        if shows_nothing(shown) and plan.texts:
            again = yield self._do(
                "No row has exactly this text. Look for it inside the texts with LIKE.",
                plan.sql(exactly=False),
            )
            shown = shown if shows_nothing(again) else again
        if plan.changes:
            self.thought = "The table is changed as asked."
            yield DONE
            return
        values = _values(shown)
        self.thought = "This is what was asked for." if values else "No row is so, so the answer is none."
        yield f"answer: {json.dumps(values or ['none'], ensure_ascii=False)}"

    def _done_before(self, sql: str) -> str | None:
        """Return what the right statement showed where another has run it already; None where none has."""
        wanted = _fold(f"sql: {sql}")
        shown = [seen for action, seen in self._followed if _fold(action) == wanted]
        worked = [seen for seen in shown if not shows_nothing(seen) and not seen.startswith("Error")]
        return (worked or shown or [None])[-1]

    def _slip(self, slip: Slip, plan: Plan, why: str) -> Generator[str, str, str]:
        """Make a slip; the thought of the statement that mends it."""
        shown = yield self._do(slip.thought or why, slip.sql, taught=False)
        if not (shows_nothing(shown) if slip.silent else shown.startswith("Error")):
            return why
        if slip.looks:
            yield self._look(plan, slip.fault)
            return f"{slip.mended} {why}"
        return f"{slip.fault} {slip.mended} {why}".strip()

    def _find_values(self, plan: Plan, why: str) -> Generator[str, str, str]:
        """Look for values that the question has in part; the thought of the statement that has them whole.

        That a value is not whole shows only in a statement that finds nothing. After another's steps it is
        looked for at once, unless one of them showed it.
        """
        if any(all(one.value in shown for one in plan.unsure) for _, shown in self._followed):
            return why
        if not self._followed:
            mentioned = plan.as_mentioned()
            yield self._do(_why(mentioned), mentioned.sql())
        for one in plan.unsure:
            column, like = name(one.column), quoted(one.look_for)
            yield self._do(
                f"Nothing has {column} = '{one.mention}'. I look for the values that are like it.",
                f"SELECT DISTINCT {column} FROM {name(plan.table)} WHERE {column} LIKE {like}",
            )
        whole = " and ".join(f"'{one.value}'" for one in plan.unsure)
        return f"The table has {whole}. {_why(plan)}"

    def _look(self, plan: Plan, thought: str) -> str:
        return self._do(thought, f"SELECT * FROM {name(plan.table)} LIMIT 2")

    def _is_unclear(self, plan: Plan) -> bool:
        """Whether the question has a value whose column it does not name."""
        if self._reference is None:
            return False
        text = self._instruction.lower()
        if plan.shape == INSERT:
            unnamed = [column for column, _ in plan.pairs if bare(column).lower() not in text]
            return len(unnamed) > 1 and not self._is_whole_row(plan, self._reference)
        return any(bare(one.column).lower() not in text for one in plan.conditions)

    def _is_whole_row(self, plan: Plan, reference: Reference) -> bool:
        """Whether a row to insert has every column, in the table's order, so that no name is needed."""
        return [column for column, _ in plan.pairs] == list(reference.table.columns)

    def _do(self, thought: str, sql: str, *, taught: bool = True) -> str:
        self.thought, self.taught = thought, taught
        return f"sql: {sql}"


def _fold(action: str) -> str:
    return " ".join(action.lower().rstrip("; ").split())


def shows_nothing(shown: str) -> bool:
    """Whether a statement found no row, or changed none."""
    return shown in ("[]", "[(0,)]", "[(None,)]") or shown.endswith(" 0 rows affected")


def _name_fault(action: str, shown: str) -> str:
    """Return what was wrong with another's last step; empty where nothing shows."""
    if shown.startswith("Error"):
        return f"{shown.partition(': ')[2].partition(chr(10))[0][:120]}: this statement must be changed. "
    if shows_nothing(shown):
        return "Nothing was found so, and the same statement finds nothing again. "
    return ""


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


def _values(shown: str) -> list[str]:
    try:
        rows = ast.literal_eval(shown)
    except (ValueError, SyntaxError):
        return []
    return [str(value) for row in rows for value in row if value is not None]
