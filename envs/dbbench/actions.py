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

EMPTY_ANSWER = (
    'The answer is empty, so the task goes on. Write `answer: ["..."]`; where there is no value, '
    '`answer: []`, and where the table was to be changed, `answer: ["done"]`.'
)

SQL, ANSWER, EMPTY = "sql", "answer", "empty"
FENCE = "```"
TAGS = frozenset(("sql", "mysql"))
"""What may stand behind the backticks that open a block, on the same line as the statement."""
OPERATION = re.compile(
    r"(?:action\s*+:\s*+)?(?:operation|sql|query|execute_sql)\b\s*+[:(\[]?\s*+", re.IGNORECASE
)
FINAL = re.compile(r"^[ \t*]*+(?:action\s*+:\s*+)?final\s++answer\s*+:[\s*]*+", re.IGNORECASE | re.MULTILINE)
GIVEN = re.compile(
    r"(?:action\s*+:\s*+)?(?:final\s++answer|answer|commit_final_answer)\b\s*+(?P<sign>[:(\[]?)",
    re.IGNORECASE,
)
STATEMENT = re.compile(
    r"(?:\(\s*+)*+(?:select|with|insert|replace|update|delete|show|describe|desc|explain|values|create|alter|drop|"
    r"truncate|set|use|grant|call|load|pragma|attach|begin|commit|rollback|kill|lock|rename|analyze|do|handler|"
    r"flush|prepare|execute|declare|revoke|vacuum|detach|optimize)\b|/\*|--|#",
    re.IGNORECASE,
)
CLOSING = {"(": ")", "[": "]"}
NOTHING = frozenset(("", '""', "''"))
"""Answers that are empty; `[]` means that there is no value."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action that was understood."""

    verb: str
    """`sql`, `answer`, or `empty` for an answer without text, which does nothing."""
    text: str
    """The statement, or the answer as it was written."""


def parse(text: str) -> Action | None:
    """Read an action out of a model's text, in linear time; None where it has none of the forms."""
    given = text.strip()
    if STATEMENT.match(given):
        return Action(SQL, given)
    if _is_answer(given):
        return _answer(given)
    operation = OPERATION.match(given)
    final = None if operation else FINAL.search(given)
    if final:
        return _answer(given[final.start() :].lstrip(" \t\r\n*"))
    statement = _statement(given, operation)
    return Action(SQL, statement) if statement else None


def _is_answer(given: str) -> bool:
    """Whether a text begins as an answer does: with a sign behind the word, or with nothing on its line."""
    found = GIVEN.match(given)
    if found is None:
        return False
    return bool(found["sign"]) or "\n" in found[0] or found.end() == len(given)


def _answer(given: str) -> Action:
    """Read an answer behind one form or two, as `Action: Answer` and `Final Answer: ...` on the next line."""
    answer = given
    for place in range(2):
        found = GIVEN.match(answer)
        if found and (place == 0 or found["sign"] == ":"):
            answer = _inner(answer[found.end() :].strip().strip("*").strip(), found["sign"])
    return Action(EMPTY if answer in NOTHING else ANSWER, answer)


def _statement(given: str, operation: re.Match[str] | None) -> str | None:
    rest = given[operation.end() :].strip() if operation else ""
    if not STATEMENT.match(rest):
        fenced = _fenced(given)
        if fenced is not None:
            return fenced
    sign = operation[0].strip()[-1] if operation else ""
    return (_inner(rest, sign) if sign in CLOSING else rest) or None


def _fenced(given: str) -> str | None:
    """The text of the first block between backticks; None where there is none."""
    start = given.find(FENCE)
    if start < 0:
        return None
    end = given.find(FENCE, start + len(FENCE))
    block = given[start + len(FENCE) : end if end >= 0 else len(given)]
    first, newline, rest = block.partition("\n")
    tag = first.strip()
    if newline and (not tag or tag.isalnum()) and not STATEMENT.match(f"{tag} "):
        return rest.strip()
    word, _, behind = block.strip().partition(" ")
    return behind.strip() if word.lower() in TAGS else block.strip()


def _inner(text: str, sign: str) -> str:
    """What stands in the brackets that a form opened; a list keeps its own."""
    if sign == "[":
        return f"[{text}"
    closing = CLOSING.get(sign)
    return text[:-1].strip() if closing and text.endswith(closing) else text
