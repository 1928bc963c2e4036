"""The action language: one SQL statement, or the answer; AgentBench's forms and shorter ones."""

import re
from dataclasses import dataclass

DESCRIPTION = """You answer a question about a table, or change the table as it asks, with SQL on a MySQL \
database. All columns are TEXT."""
LANGUAGE = """sql: <statement>; answer: ["...", ...]
`sql:` runs one SELECT, INSERT, UPDATE, DELETE, SHOW TABLES or DESCRIBE in one line and shows its rows. Put \
names with blanks or signs in backticks. `answer:` gives the answer as a list and ends the task; where the \
table was to be changed, change it first, and the answer can be anything."""
TERMINAL = 'answer: ["Final answer"]'
HELP = 'Not understood. Write `sql: <one statement>` or `answer: ["..."]`.'

SQL, ANSWER = "sql", "answer"
FENCE = re.compile(r"```(?:\w+)?\s*\n?(?P<inner>.*?)(?:```|\Z)", re.DOTALL)
OPERATION = re.compile(
    r"(?:action\s*:\s*)?(?:operation|sql|query|execute_sql)\b\s*[:\n(\[]?\s*", re.IGNORECASE
)
FINAL = re.compile(r"final\s+answer\s*:\s*(?P<answer>.*)", re.IGNORECASE | re.DOTALL)
GIVEN = re.compile(
    r"(?:action\s*:\s*)?(?:answer|commit_final_answer)\b\s*(?P<sign>[:(\[]?)(?P<answer>.*)",
    re.IGNORECASE | re.DOTALL,
)
STATEMENT = re.compile(
    r"(?:\(\s*)*(?:select|with|insert|replace|update|delete|show|describe|desc|explain|values|create|alter|drop|"
    r"truncate|set|use|grant|call|load|pragma|attach|begin|commit|rollback|kill|lock|rename|analyze|do|handler|flush|"
    r"prepare|execute|declare|revoke|vacuum|detach|optimize)\b|/\*|--|#",
    re.IGNORECASE,
)
CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Action:
    """An action that was understood."""

    verb: str
    """`sql` or `answer`."""
    text: str
    """The statement, or the answer as it was written."""


def parse(text: str) -> Action | None:
    """An action out of a model's text; None where it is in none of the forms."""
    given = text.strip()
    final = FINAL.search(given)
    if final and not STATEMENT.match(given):
        return Action(ANSWER, final["answer"].strip())
    answer = GIVEN.match(given)
    if answer:
        return Action(ANSWER, _inner(answer["answer"].strip(), answer["sign"]))
    statement = _statement(given)
    return Action(SQL, statement) if statement else None


def _statement(given: str) -> str | None:
    if STATEMENT.match(given):
        return given
    operation = OPERATION.match(given)
    rest = given[operation.end() :].strip() if operation else ""
    fenced = None if STATEMENT.match(rest) else FENCE.search(given)
    if fenced:
        return fenced["inner"].strip()
    sign = operation[0].strip()[-1] if operation else ""
    return (_inner(rest, sign) if sign in CLOSING else rest) or None


def _inner(text: str, sign: str) -> str:
    """What stands in the brackets that a form opened; a list keeps its own."""
    if sign == "[":
        return f"[{text}"
    closing = CLOSING.get(sign)
    return text[:-1].strip() if closing and text.endswith(closing) else text
