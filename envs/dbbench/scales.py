"""Which expressions are exact, and to how many decimals: MySQL divides and averages these to four more.

A text is a double in MySQL's arithmetic. SQLite has no DECIMAL, so it is told where to round.
"""

from collections.abc import Iterable

from sqlglot import exp

MORE = 4
"""What a division adds (MySQL's `div_precision_increment`)."""
WHOLE = frozenset(
    """ASCII CHAR_LENGTH CHARACTER_LENGTH COUNT DATEDIFF DAY DAYOFMONTH DAYOFWEEK DAYOFYEAR FIELD FIND_IN_SET
    HOUR INSTR LENGTH LOCATE MINUTE MONTH ORD QUARTER SECOND SIGN STRCMP TIMESTAMPDIFF WEEKDAY YEAR ROW_NUMBER
    RANK DENSE_RANK""".split()  # noqa: SIM905
)
SAME = frozenset("SUM MIN MAX ABS ANY_VALUE LAG LEAD FIRST_VALUE LAST_VALUE".split())  # noqa: SIM905
LARGEST = frozenset("IFNULL COALESCE GREATEST LEAST NULLIF".split())  # noqa: SIM905
ROUNDING = frozenset("ROUND TRUNCATE".split())  # noqa: SIM905
INTEGERS = frozenset("INT BIGINT UBIGINT SMALLINT TINYINT MEDIUMINT UINT".split())  # noqa: SIM905


class Scales:
    """The scales of a statement's expressions: decimals of what is exact, None of what is not.

    Args:
        statement: As it was read, before it is changed.
        columns: The columns of tables, lower-cased; they are texts.
    """

    def __init__(self, statement: exp.Expr, columns: frozenset[str]) -> None:
        self._known: dict[int, int | None] = {}
        self._aliases: dict[str, int | None] = {}
        for node in reversed(list(statement.bfs())):
            scale = self._known[id(node)] = self._scale(node)
            if isinstance(node, exp.Alias) and node.alias.lower() not in columns:
                self._aliases[node.alias.lower()] = scale

    def of(self, node: exp.Expr) -> int | None:
        """One expression's scale."""
        return self._known.get(id(node))

    def carry(self, node: exp.Expr, changed: exp.Expr) -> None:
        """Let what a node has become have its scale."""
        self._known[id(changed)] = self._known.get(id(node))

    def _scale(self, node: exp.Expr) -> int | None:
        match node:
            case exp.Literal():
                return None if node.is_string else _decimals(node.this)
            case exp.Null() | exp.Boolean() | exp.Predicate() | exp.Connector() | exp.Not() | exp.IntDiv():
                return 0
            case exp.Column():
                return self._aliases.get(node.name.lower())
            case exp.Paren() | exp.Neg() | exp.Alias() | exp.Subquery() | exp.Window():
                return self._known.get(id(node.this))
            case exp.Distinct():
                return self._known.get(id(node.expressions[0])) if len(node.expressions) == 1 else None
            case exp.Select():
                return self._known.get(id(node.expressions[0])) if node.expressions else None
            case exp.Add() | exp.Sub() | exp.Mod():
                return self._largest((node.left, node.right))
            case exp.Mul():
                one, other = self.of(node.left), self.of(node.right)
                return None if one is None or other is None else one + other
            case exp.Div():
                one = self.of(node.left)
                return None if one is None or self.of(node.right) is None else one + MORE
            case exp.Cast():
                return _cast(node.to)
            case exp.Case():
                results = [branch.args["true"] for branch in node.args["ifs"]]
                default = node.args.get("default")
                return self._largest([*results, default] if default else results)
            case exp.Anonymous():
                return self._function(node.name.upper(), node.expressions)
            case _:
                return None

    def _function(self, name: str, arguments: list[exp.Expr]) -> int | None:
        if name in WHOLE:
            return 0
        if not arguments:
            return None
        first = self.of(arguments[0])
        if name in SAME:
            return first
        if name == "AVG":
            return None if first is None else first + MORE
        if name in ("FLOOR", "CEIL", "CEILING"):
            return None if first is None else 0
        if name in LARGEST:
            return self._largest(arguments)
        if name == "IF" and len(arguments) > 2:
            return self._largest(arguments[1:])
        if name in ROUNDING and first is not None:
            digits = arguments[1] if len(arguments) > 1 else None
            known = isinstance(digits, exp.Literal) and not digits.is_string and digits.this.isdigit()
            return min(int(digits.this), 30) if known and digits else 0 if digits is None else None
        return None

    def _largest(self, nodes: Iterable[exp.Expr]) -> int | None:
        scales = [self.of(node) for node in nodes]
        return None if None in scales else max((scale or 0 for scale in scales), default=None)


def _decimals(literal: str) -> int | None:
    if "e" in literal.lower():
        return None
    return len(literal.partition(".")[2])


def _cast(to: exp.DataType) -> int | None:
    kind = to.this.name if hasattr(to.this, "name") else str(to.this)
    if kind == "DECIMAL":
        digits = [int(parameter.name) for parameter in to.expressions if parameter.name.isdigit()]
        return digits[1] if len(digits) > 1 else 0
    return 0 if kind in INTEGERS else None
