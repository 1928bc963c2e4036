"""MySQL's meaning in SQLite's words: what differs becomes a call of a function of ours."""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from envs.dbbench.aggregates import AGGREGATES, SPREADS
from envs.dbbench.checks import aggregates
from envs.dbbench.dates import DATES, MONTHS, SECONDS
from envs.dbbench.dialect import call, collated
from envs.dbbench.functions import FUNCTIONS
from envs.dbbench.port import DATABASE
from envs.dbbench.scales import Scales
from envs.dbbench.statements import SYNTAX, SqlError

COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
RANKS = frozenset(
    """ROW_NUMBER RANK DENSE_RANK NTILE LAG LEAD FIRST_VALUE LAST_VALUE NTH_VALUE PERCENT_RANK
    CUME_DIST""".split()  # noqa: SIM905
)
"""Windows that SQLite has under the same names."""
NATIVE = RANKS | {"COALESCE", "COUNT"}
SAME_MOMENT = frozenset(
    ("LOCALTIME", "LOCALTIMESTAMP", "SYSDATE", "UTC_TIMESTAMP", "CURRENT_TIMESTAMP", "NOW")
)
MOST_MEMBERS = 100
"""SQLite's functions take 127 arguments."""
Rule = Callable[[Any], exp.Expr]


class Rewriter:
    """Rewrites one statement, the inner nodes before the outer ones.

    Args:
        scales: The scales of its expressions, taken before.
    """

    def __init__(self, scales: Scales) -> None:
        self._scales = scales
        self._rules: list[tuple[type | tuple[type, ...], Rule]] = [
            (COMPARISONS, self._comparison),
            (exp.NullSafeEQ, lambda node: call("SAME", node.left, node.right)),
            (exp.Between, lambda node: call("BETWEEN", node.this, node.args["low"], node.args["high"])),
            (exp.In, self._in),
            (exp.Like, lambda node: call("LIKE", node.expression, node.this)),
            (exp.Escape, self._escape),
            (exp.RegexpLike, lambda node: call("REGEXP_LIKE", node.this, node.expression)),
            (exp.Div, self._divide),
            (exp.IntDiv, lambda node: call("INT_DIVIDE", node.left, node.right)),
            (exp.Mod, lambda node: call("MOD", node.left, node.right)),
            ((exp.Add, exp.Sub, exp.Mul), self._arithmetic),
            ((exp.And, exp.Or, exp.Not, exp.Where, exp.Having, exp.Neg), self._truth),
            (exp.Xor, lambda node: call("XOR", node.left, node.right)),
            (exp.BitwiseXor, lambda node: call("BIT_XOR", node.left, node.right)),
            (exp.Cast, self._cast),
            (exp.Collate, self._collate),
            (exp.Case, self._case),
            (exp.Concat, lambda node: call("CONCAT", *node.expressions)),
            (exp.HexString, self._hex),
            (exp.Substring, lambda n: call("SUBSTRING", n.this, n.args.get("start"), n.args.get("length"))),
            (exp.Trim, self._trim),
            (exp.StrPosition, lambda node: call("LOCATE", node.args["substr"], node.this)),
            (exp.Extract, lambda node: call("EXTRACT", exp.Literal.string(node.this.name), node.expression)),
            (exp.CurrentDate, lambda _: call("CURDATE")),
            ((exp.CurrentTimestamp, exp.CurrentDatetime), lambda _: call("NOW")),
            (exp.Parameter, lambda _: exp.Null()),
            (exp.SessionParameter, self._variable),
            (exp.GroupConcat, self._group_concat),
            (exp.Anonymous, self._function),
            (exp.Ordered, self._ordered),
            (exp.Group, self._group),
            (exp.Select, self._select),
            (exp.SetOperation, self._operands),
        ]

    def rewrite(self, statement: exp.Expr) -> exp.Expr:
        """The statement for SQLite."""
        root = statement
        for node in reversed(list(statement.bfs())):
            for kind, rule in self._rules:
                if isinstance(node, kind):
                    place = _Place(node)
                    changed = rule(node)
                    self._scales.carry(node, changed)
                    if changed is not node and node is root:
                        root = changed
                    elif changed is not node:
                        place.put(changed)
                    break
        return root

    def _comparison(self, node: Any) -> exp.Expr:
        if isinstance(node.parent, exp.Update | exp.OnConflict) and node.arg_key == "expressions":
            return node
        name = type(node).__name__
        quantifier = node.expression
        if isinstance(quantifier, exp.Any | exp.All):
            return self._quantified(isinstance(quantifier, exp.Any), name, node.this, quantifier.this)
        if isinstance(node.this, exp.Tuple) or isinstance(node.expression, exp.Tuple):
            return node
        return call(name, node.this, node.expression)

    def _quantified(self, any_row: bool, name: str, value: exp.Expr, query: Any) -> exp.Expr:
        inner = query.unnest() if isinstance(query, exp.Subquery) else query
        columns = exp.TableAlias(this=exp.to_identifier("_q_"), columns=[exp.to_identifier("_v_")])
        member = call("ANY" if any_row else "ALL", exp.Literal.string(name), value.copy(), exp.column("_v_"))
        select = exp.Select(expressions=[member]).from_("_q_")
        select.set("with_", exp.With(expressions=[exp.CTE(this=inner.copy(), alias=columns)]))
        return exp.Subquery(this=select)

    def _in(self, node: Any) -> exp.Expr:
        query = node.args.get("query")
        if isinstance(node.this, exp.Tuple):
            return node
        if query is not None:
            return self._quantified(True, "EQ", node.this, query)
        members = node.expressions
        if not members:
            raise SqlError(SYNTAX, "You have an error in your SQL syntax near ')'")
        parts = [members[start : start + MOST_MEMBERS] for start in range(0, len(members), MOST_MEMBERS)]
        return exp.Paren(this=exp.or_(*(call("IN", node.this.copy(), *part) for part in parts)))

    def _escape(self, node: Any) -> exp.Expr:
        node.this.append("expressions", node.expression)
        return node.this

    def _divide(self, node: Any) -> exp.Expr:
        scale = self._scales.of(node)
        digits = None if scale is None else exp.Literal.number(scale)
        return call("DIVIDE", node.left, node.right, digits)

    def _arithmetic(self, node: Any) -> exp.Expr:
        if isinstance(node.right, exp.Interval) or isinstance(node.left, exp.Interval):
            interval, date = (
                (node.right, node.left) if isinstance(node.right, exp.Interval) else (node.left, node.right)
            )
            return self._shift(date, interval, back=isinstance(node, exp.Sub))
        for side in ("this", "expression"):
            node.set(side, self._numeric(node.args[side]))
        scale = self._scales.of(node)
        return call("EXACT_ROUND", node.copy(), exp.Literal.number(scale)) if scale else node

    def _numeric(self, operand: exp.Expr) -> exp.Expr:
        """An operand that is read as a number, strictly where that is asked for."""
        return operand if self._scales.of(operand) is not None else call("NUMBER", operand)

    def _truth(self, node: Any) -> exp.Expr:
        for side in ("this", "expression"):
            operand = node.args.get(side)
            if isinstance(operand, exp.Column) or (isinstance(operand, exp.Literal) and operand.is_string):
                node.set(side, call("NUMBER", operand))
        return node

    def _cast(self, node: Any) -> exp.Expr:
        kind = node.to.this.name
        if kind == "DECIMAL":
            scale = self._scales.of(node) or 0
            return call("EXACT_ROUND", node.this, exp.Literal.number(scale))
        name = CASTS.get(kind)
        if name is None:
            raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{kind}'")
        return call(name, node.this)

    def _collate(self, node: Any) -> exp.Expr:
        name = node.expression.name.lower()
        return call("BINARY", node.this) if name.endswith("_bin") or name == "binary" else node.this

    def _case(self, node: Any) -> exp.Expr:
        value = node.this
        if value is None:
            return node
        for branch in node.args["ifs"]:
            branch.set("this", call("EQ", value.copy(), branch.this))
        node.set("this", None)
        return node

    def _hex(self, node: Any) -> exp.Expr:
        digits = node.this if len(node.this) % 2 == 0 else f"0{node.this}"
        return exp.Literal.string(bytes.fromhex(digits).decode("utf-8", "replace"))

    def _variable(self, node: Any) -> exp.Expr:
        raise SqlError(1193, f"Unknown system variable '{node.name}'")

    def _trim(self, node: Any) -> exp.Expr:
        mode = exp.Literal.string((node.args.get("position") or "BOTH").upper())
        return call("TRIM_OFF", mode, node.this, node.expression)

    def _group_concat(self, node: Any) -> exp.Expr:
        value, keys = node.this, []
        if isinstance(value, exp.Order):
            value, keys = value.this, value.expressions
        distinct = isinstance(value, exp.Distinct)
        parts = value.expressions if isinstance(value, exp.Distinct) else [value]
        joined = parts[0] if len(parts) == 1 else call("CONCAT", *parts)
        directions = "".join("-" if key.args.get("desc") else "+" for key in keys)
        separator = node.args.get("separator") or exp.Literal.string(",")
        flags = [separator, exp.Literal.number(int(distinct)), exp.Literal.string(directions)]
        return call("GROUP_CONCAT", *flags, joined, *(key.this for key in keys))

    def _function(self, node: Any) -> exp.Expr:
        name, arguments = node.name.upper(), node.expressions
        if name.startswith("MY_"):
            raise SqlError(1305, f"FUNCTION {DATABASE}.{node.name} does not exist")
        if isinstance(node.parent, exp.Window):
            return self._window(node, name, arguments)
        if name in AGGREGATES:
            return self._aggregate(node, name, arguments)
        if name in ("DATE_ADD", "DATE_SUB", "ADDDATE", "SUBDATE") and len(arguments) > 1:
            return self._shift(arguments[0], arguments[1], back=name in ("DATE_SUB", "SUBDATE"))
        if name == "TIMESTAMPDIFF" and len(arguments) > 2:
            return call("DIFFERENCE", exp.Literal.string(arguments[0].name), *arguments[1:])
        if name == "ROUND":
            exact = self._scales.of(arguments[0]) if arguments else None
            return call("DOUBLE_ROUND" if exact is None else "EXACT_ROUND", *arguments)
        if name in ("DATABASE", "SCHEMA"):
            return exp.Literal.string(DATABASE)
        if name == "IF" and len(arguments) > 2:
            return exp.Case(ifs=[exp.If(this=arguments[0], true=arguments[1])], default=arguments[2])
        if name in SAME_MOMENT:
            return call("NOW")
        if name in NATIVE:
            return node
        if name in FUNCTIONS or name in DATES:
            return call(name, *arguments)
        raise SqlError(1305, f"FUNCTION {DATABASE}.{node.name} does not exist")

    def _window(self, node: Any, name: str, arguments: list[exp.Expr]) -> exp.Expr:
        if name in ("SUM", "AVG"):
            return exp.Anonymous(this=name, expressions=[call("NUMBER", *arguments)])
        if name in NATIVE or name in ("MIN", "MAX"):
            return node
        raise SqlError(1305, f"FUNCTION {DATABASE}.{node.name} does not exist as a window")

    def _aggregate(self, node: Any, name: str, arguments: list[exp.Expr]) -> exp.Expr:
        if len(arguments) != 1:
            raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{node.name}('")
        given = arguments[0]
        distinct = isinstance(given, exp.Distinct)
        parts = given.expressions if isinstance(given, exp.Distinct) else [given]
        value = parts[0] if len(parts) == 1 else call("CONCAT_KEY", *parts)
        if name in ("COUNT", "MIN", "MAX"):
            star = isinstance(value, exp.Star)
            inner: exp.Expr = value if star or not (distinct or name != "COUNT") else collated(value)
            held = exp.Distinct(expressions=[inner]) if distinct else inner
            return exp.Anonymous(this=name, expressions=[held])
        if name in SPREADS:
            return call("SPREAD", exp.Literal.string(name), value)
        scale = self._scales.of(node) if name == "AVG" and not distinct else None
        held = exp.Distinct(expressions=[value]) if distinct else value
        return call(name, held, None if scale is None else exp.Literal.number(scale))

    def _shift(self, date: exp.Expr, interval: exp.Expr, *, back: bool) -> exp.Expr:
        if not isinstance(interval, exp.Interval):
            count, unit = interval, "DAY"
        else:
            count, unit = (
                interval.this,
                interval.args["unit"].name.upper() if interval.args.get("unit") else "DAY",
            )
        if unit not in MONTHS and unit not in SECONDS:
            raise SqlError(SYNTAX, f"INTERVAL of {unit} is not offered")
        amount = exp.Neg(this=exp.Paren(this=count)) if back else count
        return call("DATE_ADD", date, amount, exp.Literal.string(unit))

    def _ordered(self, node: Any) -> exp.Expr:
        node.set("this", collated(node.this))
        return node

    def _group(self, node: Any) -> exp.Expr:
        node.set("expressions", [collated(item) for item in node.expressions])
        return node

    def _select(self, node: Any) -> exp.Expr:
        if node.args.get("distinct"):
            for item in node.expressions:
                plain = item.this if isinstance(item, exp.Alias) else item
                if not isinstance(plain, exp.Column | exp.Star):
                    plain.replace(collated(plain.copy()))
        having = node.args.get("having")
        if having and not node.args.get("group") and not aggregated(node):
            node.set("having", None)
            node.where(having.this, copy=False)
        node.set("locks", None)
        node.set("operation_modifiers", None)
        return node

    def _operands(self, node: Any) -> exp.Expr:
        """SQLite takes no parentheses around the parts of a UNION."""
        for side in ("this", "expression"):
            part = node.args[side]
            if isinstance(part, exp.Subquery) and not part.alias:
                held = exp.Subquery(this=part.this, alias=exp.TableAlias(this=exp.to_identifier("_u_")))
                node.set(side, exp.Select(expressions=[exp.Star()]).from_(held))
        return node


class _Place:
    """Where a node stands; kept, because its rule may hang the node itself elsewhere."""

    def __init__(self, node: exp.Expr) -> None:
        self._parent, self._key, self._index = node.parent, node.arg_key, node.index

    def put(self, node: exp.Expr) -> None:
        """Hang another node there."""
        if self._parent is not None and self._key is not None:
            self._parent.set(self._key, node, self._index)


def aggregated(select: exp.Select) -> bool:
    """Whether a query that was rewritten has aggregates."""
    ours = {f"MY_{name}" for name in AGGREGATES} | {"MY_SPREAD"}
    return aggregates(select) or any(
        isinstance(node, exp.Anonymous) and node.name.upper() in ours for node in select.walk()
    )


CASTS = {
    "BIGINT": "SIGNED", "INT": "SIGNED", "UBIGINT": "UNSIGNED", "UINT": "UNSIGNED", "CHAR": "TEXT",
    "NCHAR": "TEXT",
    "VARCHAR": "TEXT", "TEXT": "TEXT", "CHARACTER_SET": "TEXT", "DOUBLE": "DOUBLE", "FLOAT": "DOUBLE",
    "DATE": "DATE", "DATETIME": "DATETIME", "TIMESTAMP": "DATETIME", "TIMESTAMPTZ": "DATETIME",
    "BINARY": "BINARY",
    "VARBINARY": "BINARY", "YEAR": "SIGNED",
}  # fmt: skip
"""What a CAST calls."""
