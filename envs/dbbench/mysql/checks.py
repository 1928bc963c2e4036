"""What MySQL refuses and SQLite or sqlglot would let pass: names, groups, places of aliases."""

from collections.abc import Iterator, Mapping

from sqlglot import exp

from envs.dbbench.engines.port import DATABASE
from envs.dbbench.mysql.aggregates import AGGREGATES
from envs.dbbench.mysql.reserved import RESERVED
from envs.dbbench.mysql.scope import unknown_column
from envs.dbbench.mysql.statements import DENIED, SYNTAX, SqlError

Schema = Mapping[str, tuple[str, ...]]
"""The tables and their columns."""
ROWIDS = frozenset(("rowid", "oid", "_rowid_"))
"""Columns that SQLite adds to a table."""


def check(statement: exp.Expr, schema: Schema) -> None:
    """Raise what MySQL would.

    Raises:
        SqlError: A table is missing, a word is reserved, a column is neither grouped nor aggregated ...
    """
    _names(statement)
    _tables(statement, schema)
    columns = frozenset(column.lower() for names in schema.values() for column in names)
    for select in statement.find_all(exp.Select):
        _where(select, columns)
        _groups(select, columns)


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a call takes many rows (and is no window)."""
    named = isinstance(node, exp.Anonymous) and node.name.upper() in AGGREGATES
    return (named or isinstance(node, exp.GroupConcat)) and not isinstance(node.parent, exp.Window)


def own(node: exp.Expr) -> Iterator[exp.Expr]:
    """A node and what is in it, without the queries in it."""
    yield from node.walk(prune=lambda inner: inner is not node and isinstance(inner, exp.Query))


def aggregates(select: exp.Select) -> bool:
    """Whether a query has aggregates of its own."""
    places = [*select.expressions, select.args.get("having"), select.args.get("order")]
    return any(is_aggregate(node) for place in places if place for node in own(place))


def _names(statement: exp.Expr) -> None:
    for name in statement.find_all(exp.Identifier):
        if not name.quoted and name.name.upper() in RESERVED:
            raise SqlError(SYNTAX, f"You have an error in your SQL syntax near '{name.name}'")


def _tables(statement: exp.Expr, schema: Schema) -> None:
    inner = {cte.alias for cte in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise SqlError(SYNTAX, "You have an error in your SQL syntax")
        if table.args.get("catalog") or (table.db and table.db != DATABASE):
            raise SqlError(DENIED, f"command denied for table '{table.db}'.'{table.name}'")
        table.set("db", None)
        if table.name not in schema and table.name not in inner:
            raise SqlError(1146, f"Table '{DATABASE}.{table.name}' doesn't exist")
    for subquery in statement.find_all(exp.Subquery):
        if isinstance(subquery.parent, exp.From | exp.Join) and not subquery.alias:
            raise SqlError(1248, "Every derived table must have its own alias")
    columns = frozenset(column.lower() for names in schema.values() for column in names)
    for column in statement.find_all(exp.Column):
        if column.args.get("db") and column.args["db"].name != DATABASE:
            raise SqlError(DENIED, f"command denied for '{column.sql()}'")
        column.set("db", None)
        if column.name.lower() in ROWIDS - columns:
            raise unknown_column(column.name)


def _where(select: exp.Select, columns: frozenset[str]) -> None:
    """A WHERE cannot name what the query only calls so."""
    where = select.args.get("where")
    if where is None:
        return
    called = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
    inside = {
        alias.alias.lower()
        for alias in select.find_all(exp.Alias)
        if alias.find_ancestor(exp.Select) is not select
    }
    for node in own(where):
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in called - columns - inside:
            raise unknown_column(node.name)
        if is_aggregate(node):
            raise SqlError(1111, "Invalid use of group function")


def _groups(select: exp.Select, columns: frozenset[str]) -> None:
    """`ONLY_FULL_GROUP_BY`: beside aggregates, only what is grouped by."""
    group = select.args.get("group")
    if group is None and not aggregates(select):
        return
    keys = [_key(item) for item in group.expressions] if group else []
    numbers = {int(key) for key in keys if key.isdigit()}
    for place, item in enumerate(select.expressions, start=1):
        plain = item.this if isinstance(item, exp.Alias) else item
        if place in numbers or _key(plain) in keys or (item.alias and f"`{item.alias.lower()}`" in keys):
            continue
        loose = next(_loose(plain, keys), None)
        if loose is not None:
            where = "isn't in GROUP BY" if group else "is neither aggregated nor grouped"
            raise SqlError(1055 if group else 1140, f"'{loose}' {where}")


def _loose(item: exp.Expr, keys: list[str]) -> Iterator[str]:
    """Columns of an expression that are neither in an aggregate nor in what is grouped by."""
    stack = [item]
    while stack:
        node = stack.pop()
        if is_aggregate(node) or isinstance(node, exp.Query | exp.Window) or _key(node) in keys:
            continue
        if isinstance(node, exp.Column | exp.Star):
            yield node.sql()
            continue
        stack.extend(child for child in node.iter_expressions())


def _key(node: exp.Expr) -> str:
    """An expression as groups compare it: without its table's name, in small letters."""
    if isinstance(node, exp.Column):
        return f"`{node.name.lower()}`"
    return node.sql("mysql").lower()
