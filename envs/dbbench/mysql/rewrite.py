"""MySQL's meaning in SQLite's words: a statement is translated node by node, with its expressions' types."""

from typing import Any

from sqlglot import exp

from envs.dbbench.mysql import calls, windows
from envs.dbbench.mysql.checks import Schema, aggregates
from envs.dbbench.mysql.comparisons import comparable
from envs.dbbench.mysql.convert import convert
from envs.dbbench.mysql.dialect import call, collated
from envs.dbbench.mysql.kinds import INT, TEXT, Base, Kind
from envs.dbbench.mysql.rules import RULES, refuse
from envs.dbbench.mysql.scope import Columns, Scope, Typed
from envs.dbbench.mysql.statements import SYNTAX, SqlError

MANY, OPERAND_COLUMNS = 1242, 1241
VALUES = "_q_"
"""What a subquery is called whose rows are looked at one by one."""


class Rewriter:
    """Translates one statement.

    Args:
        schema: The tables; all their columns are texts.
    """

    def __init__(self, schema: Schema) -> None:
        self._tables: dict[str, Columns] = {
            name: tuple((column, TEXT) for column in columns) for name, columns in schema.items()
        }

    def expression(self, node: exp.Expr, scope: Scope) -> Typed:
        """An expression.

        Raises:
            SqlError: It has something that is not offered, or that MySQL refuses.
        """
        return RULES.apply(node, self, scope)

    def query(self, node: exp.Expr, outer: Scope | None) -> tuple[exp.Expr, Columns | None]:
        """A query and its columns; None where they are not known one by one.

        Raises:
            SqlError: As `expression` does.
        """
        if isinstance(node, exp.Subquery):
            _, given = RULES.arguments(node)
            if given.keys() - {"this"}:
                refuse("a query in parentheses with clauses of its own")
            return self.query(given["this"], outer)
        if not isinstance(node, exp.Select | exp.SetOperation):
            refuse("a query of this kind")
        return RULES.apply(node, self, outer)

    def table(self, name: str, scope: Scope) -> Columns | None:
        """The columns of a table or a common table expression."""
        found = scope.table(name)
        return self._tables.get(name) if found is None else found

    def order(self, node: exp.Expr, scope: Scope) -> None:
        """Translate an ORDER BY in its place."""
        _, given = RULES.arguments(node)
        for key in given["expressions"]:
            inner, _ = self.ordered(key)
            position = isinstance(inner, exp.Literal) and not inner.is_string
            key.set("this", collated(inner if position else self.expression(inner, scope).sql))

    def ordered(self, key: exp.Expr) -> tuple[exp.Expr, bool]:
        """What an ORDER BY orders by, and whether downwards."""
        if not isinstance(key, exp.Ordered):
            return key, False
        _, given = RULES.arguments(key)
        descending = bool(given.get("desc"))
        if bool(given.get("nulls_first")) is descending:
            raise SqlError(SYNTAX, "You have an error in your SQL syntax near 'NULLS'")
        return given["this"], descending

    def quantified(self, any_row: bool, name: str, value: Any, query: Any, scope: Scope) -> Typed:
        """`value <op> ANY (query)`, `value IN (query)`, `value <op> ALL (query)`."""
        inner, columns = self.query(query, scope)
        parts = value.expressions if isinstance(value, exp.Tuple) else [value]
        if columns is None or len(columns) != len(parts) or (len(parts) > 1 and name != "EQ"):
            raise SqlError(OPERAND_COLUMNS, f"Operand should contain {len(parts)} column(s)")
        names = [f"_v{place}_" for place in range(len(parts))]
        pairs: list[exp.Expr] = []
        for part, column, (_, kind) in zip(parts, names, columns, strict=True):
            one, other = self.expression(part, scope), Typed(exp.column(column), kind)
            if name not in ("EQ", "NEQ") and kind.texts and one.kind.numeric:
                refuse("a number in an order of texts of a subquery: add 0 to the texts")
            if one.kind.base is Base.UINT and kind.base is not Base.UINT:
                refuse("an unsigned number beside a subquery")
            pairs += comparable(one, other)
        member = call("ANY" if any_row else "ALL", exp.Literal.string(name), *pairs)
        return Typed(_over(member, inner, names), INT)

    def scalar(self, query: exp.Expr, scope: Scope) -> Typed:
        """A query that stands for a value: of one column and at most one row."""
        single = _single_row(query)
        inner, columns = self.query(query, scope)
        if columns is None or len(columns) != 1:
            raise SqlError(OPERAND_COLUMNS, "Operand should contain 1 column(s)")
        if single:
            return Typed(exp.Subquery(this=inner), columns[0][1])
        return Typed(_over(call("ONE", exp.column("_v0_")), inner, ["_v0_"]), columns[0][1])

    def aggregate(self, scope: Scope, name: str, arguments: Any) -> Typed:
        """An aggregate over rows."""
        return windows.aggregate(self, scope, name, arguments)

    def shifted(self, date: Any, by: Any, scope: Scope, *, back: bool) -> Typed:
        """A date and an INTERVAL."""
        return calls.shifted(self, date, by, scope, back=back)

    def converted(self, query: exp.Expr, columns: Columns, kinds: list[Kind]) -> exp.Expr:
        """A query whose columns have other types, in a query around it."""
        if [kind for _, kind in columns] == kinds:
            return query
        names = [f"_c{place}_" for place in range(len(columns))]
        items = [
            convert(Typed(exp.column(name), given), wanted)
            for name, (_, given), wanted in zip(names, columns, kinds, strict=True)
        ]
        return over(items, query, names)


def named(sql: exp.Expr, name: str) -> exp.Expr:
    """What is selected, under a name."""
    return exp.Alias(this=sql, alias=exp.to_identifier(name, quoted=True))


def over(items: list[exp.Expr], query: exp.Expr, names: list[str]) -> exp.Select:
    """A query over another whose columns it calls by names."""
    columns = exp.TableAlias(this=exp.to_identifier(VALUES), columns=list(map(exp.to_identifier, names)))
    select = exp.Select(expressions=items).from_(VALUES)
    select.set("with_", exp.With(expressions=[exp.CTE(this=query, alias=columns)]))
    return select


def _over(member: exp.Expr, query: exp.Expr, names: list[str]) -> exp.Expr:
    return exp.Subquery(this=over([member], query, names))


def _single_row(query: exp.Expr) -> bool:
    """Whether a query cannot have more than one row."""
    if not isinstance(query, exp.Select):
        return False
    limit = query.args.get("limit")
    if isinstance(limit, exp.Limit) and getattr(limit.expression, "this", "") in ("0", "1"):
        return True
    return query.args.get("group") is None and (aggregates(query) or query.args.get("from_") is None)


@RULES(exp.Subquery)
def subquery(rewriter: Rewriter, scope: Scope, _: Any, *, this: Any = None) -> Typed:
    """A query that stands for a value."""
    return rewriter.scalar(this, scope)


__all__ = ["Rewriter", "named", "over"]
