"""What MySQL's grammar refuses and sqlglot's lets pass, seen in a statement's tokens."""

from collections.abc import Sequence

from sqlglot.tokenizer_core import Token

from envs.dbbench.mysql.rules import refuse
from envs.dbbench.mysql.statements import SYNTAX, SqlError

CLAUSES = ("FROM", "SET", "WHERE", "GROUP_BY", "HAVING", "ORDER_BY", "LIMIT")
"""A query's clauses in the order that MySQL requires; sqlglot takes them in any."""
STARTS = frozenset(("SELECT", "UNION", "EXCEPT", "INTERSECT", "UPDATE", "DELETE"))
COMPARISONS = frozenset(("EQ", "NEQ", "LT", "LTE", "GT", "GTE", "NULLSAFE_EQ"))
NO_OPERAND = COMPARISONS | {"NOT", "AND", "OR", "R_PAREN", "COMMA"}
PREDICATES = frozenset(("LIKE", "RLIKE", "IN", "BETWEEN"))
SEPARATORS = COMPARISONS | frozenset(
    """AND OR XOR DPIPE DAMP COMMA CASE WHEN THEN ELSE END ON ALIAS SELECT FROM SET WHERE GROUP_BY HAVING
    ORDER_BY LIMIT""".split()  # noqa: SIM905
)
"""What ends a predicate."""
NOT_AFTER = {
    "COMMA": frozenset((*CLAUSES, "COMMA", "R_PAREN", "VALUES")),
    "ALIAS": frozenset((*CLAUSES, "COMMA", "R_PAREN")),
    "STAR": frozenset(("SET",)),
    **dict.fromkeys(("FROM", "SET", "SELECT"), frozenset((*CLAUSES, "ALIAS", "COMMA", "VALUES"))),
    **dict.fromkeys(("L_PAREN", "VALUES"), frozenset(("COMMA",))),
    **dict.fromkeys(("YEAR", "TEXT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE"), frozenset(("STRING",))),
    **dict.fromkeys(COMPARISONS, NO_OPERAND),
}
"""What cannot stand behind a token."""
ADJACENT = frozenset(
    """ADDDATE BIT_AND BIT_OR BIT_XOR CAST COUNT CURDATE CURTIME DATE_ADD DATE_SUB EXTRACT GROUP_CONCAT
    MAX MID MIN NOW POSITION STD STDDEV STDDEV_POP STDDEV_SAMP SUBDATE SUBSTR SUBSTRING SUM SYSDATE TRIM
    VARIANCE VAR_POP VAR_SAMP""".split()  # noqa: SIM905
)
"""Functions whose parenthesis must follow at once; else MySQL looks for one of a user's."""


def check_order(tokens: Sequence[Token]) -> None:
    """Refuse clauses out of their order or there twice, operators and commas with nothing behind them.

    Raises:
        SqlError: MySQL would refuse it.
    """
    reached = [-1]
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        kind, after = token.token_type.name, following.token_type.name if following else "R_PAREN"
        shift = kind == after and kind in ("LT", "GT") and following and following.start == token.end + 1
        negated = following is not None and following.text == "!"
        assigned = after == "NOT" and (negated or (kind == "EQ" and reached[-1] == CLAUSES.index("SET")))
        if after in NOT_AFTER.get(kind, ()) and not shift and not assigned:
            raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{token.text}'")
        if (
            token.text.upper() in ADJACENT
            and following
            and after == "L_PAREN"
            and following.start > token.end + 1
        ):
            raise SqlError(
                SYNTAX, f"You have an error in your SQL syntax: write {token.text}( without a blank"
            )
        if kind == "L_PAREN":
            reached.append(-1)
        elif kind == "R_PAREN" and len(reached) > 1:
            reached.pop()
        elif kind in STARTS:
            reached[-1] = -1
        elif kind in CLAUSES:
            place = CLAUSES.index(kind)
            if place <= reached[-1]:
                raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{token.text}'")
            reached[-1] = place


def check_groups(tokens: Sequence[Token]) -> None:
    """Refuse `a LIKE b IN (c)`: MySQL refuses some of these and groups others in its own way.

    Raises:
        SqlError: A predicate stands in another without parentheses.
    """
    states = [""]
    for token in tokens:
        kind = token.token_type.name
        if kind == "L_PAREN":
            states.append("")
        elif kind == "R_PAREN" and len(states) > 1:
            states.pop()
        elif kind == "AND" and states[-1] == "BETWEEN":
            states[-1] = "BOUND"
        elif kind == "IS":
            states[-1] = "IS"
        elif kind in PREDICATES:
            if states[-1]:
                refuse("a predicate in a predicate without parentheses")
            states[-1] = kind
        elif kind in SEPARATORS:
            states[-1] = ""
