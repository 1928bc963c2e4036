"""What makes a statement answer alike at any time on a MySQL server, so that replay rebuilds a session.

The session variable `timestamp` holds NOW() and its relatives still, but not SYSDATE(), which becomes NOW().
What has a clock or chance in it that no variable holds is refused, and so are system variables and the
server's own schemas, which have times of their own.
"""

import re

from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from envs.dbbench.mysql.dialect import Reader
from envs.dbbench.mysql.rules import refuse
from envs.dbbench.mysql.statements import SYNTAX, SqlError

UNKNOWN_VARIABLE = 1193
CLOCK = "SYSDATE"
CHANCE = frozenset("UUID UUID_SHORT SYS_GUID RANDOM_BYTES CONNECTION_ID".split())  # noqa: SIM905
SCHEMAS = frozenset(("INFORMATION_SCHEMA", "PERFORMANCE_SCHEMA"))
WORDS = re.compile("|".join(sorted((CLOCK, *CHANCE, *SCHEMAS, "@@"), key=len, reverse=True)), re.IGNORECASE)


def freeze_clock(sql: str) -> str:
    """Return a statement without a clock that runs.

    Raises:
        SqlError: It has something that cannot be held still.
    """
    places = [found.start() for found in WORDS.finditer(sql)]
    if not places:
        return sql
    try:
        tokens = list(Reader().tokenize(sql))
    except SqlglotError as error:
        raise SqlError(SYNTAX, "You have an error in your SQL syntax") from error
    _check_covered(sql, tokens, places)
    parts: list[str] = []
    done = 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        after = following.token_type if following else None
        word = sql[token.start : token.end + 1].upper()
        if after is TokenType.L_PAREN and word in CHANCE:
            refuse(f"{word}()")
        if word.strip("`") in SCHEMAS and after is TokenType.DOT:
            refuse(f"tables of {word}")
        if token.token_type is TokenType.SESSION_PARAMETER:
            raise SqlError(
                UNKNOWN_VARIABLE, f"Unknown system variable '{following.text if following else ''}'"
            )
        if after is TokenType.L_PAREN and word == CLOCK:
            parts += [sql[done : token.start], "NOW"]
            done = token.end + 1
    return "".join((*parts, sql[done:]))


def _check_covered(sql: str, tokens: list[Token], places: list[int]) -> None:
    """Refuse a word between tokens: sqlglot takes it for a comment, and MySQL perhaps does not."""
    spans = iter([(token.start, token.end) for token in tokens])
    span = next(spans, None)
    for place in places:
        while span is not None and span[1] < place:
            span = next(spans, None)
        if span is None or place < span[0]:
            raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{sql[place : place + 40]}'")
