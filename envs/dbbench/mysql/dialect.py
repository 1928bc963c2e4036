"""The two ends of the translation: how MySQL's SQL is read, and how SQLite's is written.

`Reader` leaves functions as they are called, so that MySQL's own can be looked up by name; `Writer` puts
names in backticks, since SQLite takes an unknown name in double quotes for a text.
"""

from typing import Any

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.dialects.sqlite import SQLite
from sqlglot.parsers.mysql import MySQLParser
from sqlglot.tokenizer_core import TokenType

SPECIAL = ("CAST", "CHAR", "CONVERT", "EXTRACT", "GROUP_CONCAT", "POSITION", "SUBSTR", "SUBSTRING", "TRIM")
"""Functions with words among their arguments."""


class Reader(MySQL):
    """MySQL's dialect without sqlglot's own functions."""

    class Parser(MySQLParser):
        """The parser."""

        FUNCTIONS = {}  # noqa: RUF012
        # MySQL's comparisons hold alike, from left to right.
        EQUALITY = {}  # noqa: RUF012
        COMPARISON = {**MySQLParser.EQUALITY, **MySQLParser.COMPARISON}  # noqa: RUF012
        FUNCTION_PARSERS = {name: MySQLParser.FUNCTION_PARSERS[name] for name in SPECIAL}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012
            name: parser for name, parser in MySQLParser.NO_PAREN_FUNCTION_PARSERS.items() if name != "IF"
        }

        def _parse_update_assignment(self) -> Any:
            column = self._parse_column()
            if not self._match(TokenType.EQ):
                self.raise_error("Expected =")
            return self.expression(exp.EQ(this=column, expression=self._parse_disjunction()))

        def _parse_table_part(self, schema: bool = False) -> Any:
            if self._curr and self._curr.token_type is TokenType.STRING:
                self.raise_error("A table's name is no text")
            return super()._parse_table_part(schema=schema)


class Writer(SQLite):
    """SQLite's dialect with names in backticks."""

    class Tokenizer(SQLite.Tokenizer):
        """The tokenizer, which sets how names are written."""

        IDENTIFIERS = ["`"]  # noqa: RUF012


def call(name: str, *arguments: exp.Expr | None) -> exp.Anonymous:
    """A call of one of our functions."""
    return exp.Anonymous(this=f"MY_{name}", expressions=[argument for argument in arguments if argument])


def collated(expression: exp.Expr) -> exp.Expr:
    """An expression that is ordered, grouped or compared by MySQL's collation."""
    if isinstance(expression, exp.Collate):
        return expression
    return exp.Collate(this=expression, expression=exp.Var(this="mysql"))


__all__ = ["Reader", "Writer", "call", "collated"]
