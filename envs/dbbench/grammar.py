"""The language of a database's actions: statements on its tables and columns, and answers.

A statement is a row of words, names, texts and numbers with signs between them. Its backticked names are the
tables' and the columns'; plain words are SQL's, and names that need no backticks. Whether it is a sentence of
SQL is left to the database.
"""
# ruff: noqa: S608 - writing SQL is what it does

import re
from collections.abc import Sequence

from envs.dbbench.engines.port import Table
from envs.dbbench.mysql.reserved import RESERVED
from envs.serving.grammar import any_of, escape, group

KEYWORDS = """
SELECT DISTINCT AS WHERE AND OR NOT IN LIKE BETWEEN IS NULL GROUP ORDER BY HAVING ASC DESC LIMIT OFFSET UNION
ALL EXISTS CASE WHEN THEN ELSE END ON DIV MOD REGEXP COUNT SUM AVG MIN MAX ABS ROUND FLOOR CEIL REPLACE CAST
SIGNED UNSIGNED DECIMAL CHAR LENGTH CHAR_LENGTH LOWER UPPER TRIM CONCAT GROUP_CONCAT SUBSTRING SUBSTRING_INDEX
LEFT RIGHT LOCATE COALESCE IFNULL NULLIF IF GREATEST LEAST STR_TO_DATE DATE YEAR MONTH DAY
"""
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""A name that needs no backticks, unless it is reserved."""
TEXT = r"""(?:'(?:[^'\\\n]|''|\\[^\n])*'|"(?:[^"\\\n]|""|\\[^\n])*")"""
NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
ALIAS = r"[a-z][0-9]?"
"""A table's short name."""
RESULT = r"AS [a-z][a-z0-9_]{0,19}"
"""The name that a value or a query is given."""
SIGNS = r"[ (=<>!+*/%,-]{1,6}"
"""What stands before a word, a name, a text or a number."""
ITEM = r'"(?:[^"\\\n]|\\[^\n])*"'
"""A value of an answer."""
ANSWER = rf"answer: \[(?:{ITEM}(?:, {ITEM})*)?\]"


def render_grammar(tables: Sequence[Table]) -> str:
    """Return the language of a database that has these tables."""
    names = [table.name for table in tables]
    columns = [column for table in tables for column in table.columns]
    table, column = _render_names(names), _render_names(columns)
    prefixes = group([ALIAS, *(_quote(name) for name in sorted(set(names)))])
    source = rf"(?:FROM|(?:LEFT |INNER )?JOIN) {table}(?: (?:AS )?{ALIAS})?"
    inner = r"(?:FROM|JOIN) \(SELECT"
    named = rf"(?:{prefixes}\.)?{column}"
    word = group([any_of(KEYWORDS.split()), source, inner, named, RESULT, ALIAS, r"\*", TEXT, NUMBER])
    words = rf"(?:{SIGNS}{word}\){{0,4}})*"
    listed = rf"{column}(?:, ?{column})*"
    value = group([TEXT, NUMBER, "NULL"])
    row = rf"\({value}(?:, ?{value})*\)"
    change = rf"{column} ?= ?{group([TEXT, NUMBER, 'NULL', column])}(?: ?[+*/-] ?{NUMBER})?"
    where = rf"(?: WHERE{words})?"
    statements = [
        rf"SELECT{words}",
        rf"INSERT INTO {table} ?(?:\({listed}\) ?)?VALUES ?{row}(?:, ?{row})*",
        rf"INSERT INTO {table} SET {change}(?:, ?{change})*",
        rf"UPDATE {table} SET {change}(?:, ?{change})*{where}",
        rf"DELETE FROM {table}{where}",
        "SHOW TABLES",
        rf"DESCRIBE {table}",
    ]
    return rf"(?:sql: {group(statements)};?|{ANSWER})"


def _render_names(names: Sequence[str]) -> str:
    """Return a pattern of names in backticks, and of those that need none."""
    plain = {name for name in names if PLAIN.fullmatch(name) and name.upper() not in RESERVED}
    return group([*(_quote(name) for name in sorted(set(names))), *sorted(plain)])


def _quote(name: str) -> str:
    escaped = escape(name.replace("`", "``"))
    return f"`{escaped}`"
