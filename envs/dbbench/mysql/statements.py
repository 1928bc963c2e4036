"""Which statements an agent may run, whatever the engine: those that read and change rows, one at a time.

The engines deny the rest by themselves as well; what is refused here is refused alike by both.
"""

import re

ALLOWED = frozenset(
    "SELECT WITH VALUES INSERT REPLACE UPDATE DELETE SHOW DESCRIBE DESC EXPLAIN".split()  # noqa: SIM905
)
READING = frozenset("SELECT WITH VALUES SHOW DESCRIBE DESC EXPLAIN".split())  # noqa: SIM905
COMMENT = re.compile(r"\s*(?:/\*.*?\*/|--(?:\s[^\n]*)?(?:\n|$)|#[^\n]*(?:\n|$))", re.DOTALL)
HIDDEN = re.compile(r"/\*\s*M?!")
"""MySQL runs what stands in such a comment."""
SHOW = re.compile(
    r"SHOW\s+(?:FULL\s+)?(?:TABLES|DATABASES|SCHEMAS|COLUMNS\s+(?:FROM|IN)\b.*|FIELDS\s+(?:FROM|IN)\b.*"
    r"|CREATE\s+TABLE\b.*)(?:\s+(?:LIKE|FROM|IN)\b.*)?",
    re.IGNORECASE | re.DOTALL,
)
DESCRIBE = re.compile(r"(?:DESCRIBE|DESC|EXPLAIN)\s+(?:`[^`]+`|[\w$]+)", re.IGNORECASE)
INTO_FILE = re.compile(r"\bINTO\s+(?:OUTFILE|DUMPFILE)\b", re.IGNORECASE)
NO_CHARACTER = "\uffff"
"""A code point that is no character; the SQLite engine marks decimals with it."""
DENIED, SYNTAX, TOO_LONG, UNKNOWN_COLUMN = 1142, 1064, 1969, 1054


class SqlError(Exception):
    """A statement that cannot be run.

    Args:
        code: MySQL's number of the error.
        message: What is wrong.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        """As it is shown."""
        return f"Error {self.code}: {self.message}"


def checked(sql: str) -> str:
    """A statement without comments before it and without the semicolon at its end.

    Raises:
        SqlError: It is empty or of a kind that is not allowed.
    """
    text = sql.encode("utf-8", "replace").decode().replace(NO_CHARACTER, "\ufffd").strip()
    start = 0
    while (found := COMMENT.match(text, start)) and not HIDDEN.match(found[0].strip()):
        start = found.end()
    text = text[start:].strip().rstrip("; \n\t\r")
    if not text:
        raise SqlError(1065, "Query was empty")
    found = re.match(r"\(*\s*([A-Za-z]+)", text)
    word = found[1].upper() if found else ""
    if HIDDEN.search(text) or INTO_FILE.search(text) or word not in ALLOWED or not _shape(word, text):
        raise SqlError(
            DENIED,
            f"{word or 'this'} command denied; use SELECT, INSERT, UPDATE, DELETE, SHOW TABLES, DESCRIBE",
        )
    return text


def reads(sql: str) -> bool:
    """Whether a statement that was checked answers with rows."""
    found = re.match(r"\(*\s*([A-Za-z]+)", sql)
    return found is not None and found[1].upper() in READING


def done(rows: int) -> str:
    """What is shown of a statement that changed rows."""
    return f"Query OK, {rows} row{'' if rows == 1 else 's'} affected"


def too_slow(seconds: float) -> SqlError:
    """A statement that was stopped."""
    return SqlError(TOO_LONG, f"Query execution was interrupted (over {seconds:g} seconds)")


def _shape(word: str, text: str) -> bool:
    if word == "SHOW":
        return SHOW.fullmatch(text) is not None
    if word in ("DESCRIBE", "DESC", "EXPLAIN"):
        return DESCRIBE.fullmatch(text) is not None
    return True
