"""DB by a rule, beside which an agent's rate is to be read: `python -m benchmarks.dbbench_rule`.

To a question it answers with the column whose name stands in it: the first one in the table's order, or else
the table's first; every row's value, as far as they are shown. Where something is to be changed it answers at
once.
"""

import ast
import json
import re
from collections.abc import Generator

from benchmarks.rules import play_with, run_rule
from envs.dbbench.engines.shown import CUT
from envs.dbbench.environment import DbEnvironment
from envs.dbbench.settings import DbSettings

TABLE = re.compile(
    r"The name of this table is (.+?), and the headers of this table are (.+?)\.(?=\n| The name)"
)
CHANGE = re.compile(
    r"\b(?:insert|add|update|change|set|modify|replace|correct|delete|remove|drop)\b", re.IGNORECASE
)


def select_named_column(observation: str, instruction: str) -> Generator[str, str, None]:
    """Yield the rule's actions."""
    found = TABLE.search(observation)
    if found is None or CHANGE.search(instruction):
        yield 'answer: ["done"]'
        return
    table, headers = found[1], found[2].split(",")
    text = instruction.casefold()
    column = next((name for name in headers if name.strip() and name.casefold() in text), headers[0])
    shown = yield f"sql: SELECT `{column}` FROM `{table}`"
    yield f"answer: {json.dumps(read_first_values(shown), ensure_ascii=False)}"


def read_first_values(shown: str) -> list[str | int | float | None]:
    """Return the first value of each row that is shown whole; none where there are no rows."""
    text, cut, _ = shown.partition(CUT)
    if cut:
        text = text.rpartition("), (")[0] + ")]"
    try:
        return [row[0] for row in ast.literal_eval(text)]
    except (ValueError, SyntaxError, TypeError, IndexError):
        return []


if __name__ == "__main__":
    run_rule(__doc__, play_with(lambda: DbEnvironment(DbSettings()), select_named_column), split="dev")
