"""How each node of a statement is translated: by a rule that reads every argument it has, or not at all.

A rule is a function whose keyword parameters are the arguments of sqlglot's node that it reads. A node whose
class has no rule, or that has another argument which is not empty, is refused. So nothing that is written in
a statement can be lost on the way, whatever a new version of sqlglot puts into its nodes.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from sqlglot import exp

from envs.dbbench.mysql.statements import SqlError

NOT_OFFERED = 1235
"""MySQL's `ER_NOT_SUPPORTED_YET`."""
Apply = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule."""

    apply: Apply
    reads: frozenset[str]
    """The arguments that it reads."""


class Rules:
    """Rules by the exact class of a node."""

    def __init__(self) -> None:
        self._rules: dict[type[exp.Expr], Rule] = {}

    def __call__(self, *kinds: type[exp.Expr]) -> Callable[[Apply], Apply]:
        """Register a function as the rule of some classes; its keyword parameters are what it reads."""

        def registered(apply: Apply) -> Apply:
            parameters = inspect.signature(apply).parameters.values()
            reads = frozenset(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)
            for kind in kinds:
                unknown = reads - kind.arg_types.keys()
                if kind in self._rules or (unknown and len(kinds) == 1):
                    raise ValueError(f"{kind.__name__} has a rule already, or has no {sorted(unknown)}")
                self._rules[kind] = Rule(apply, reads & kind.arg_types.keys())
            return apply

        return registered

    def items(self) -> Iterator[tuple[type[exp.Expr], Rule]]:
        """The classes that are offered, with their rules."""
        return iter(self._rules.items())

    def arguments(self, node: exp.Expr) -> tuple[Apply, dict[str, Any]]:
        """A node's rule and its arguments.

        Raises:
            SqlError: There is no rule, or the node has an argument that the rule does not read.
        """
        rule = self._rules.get(type(node))
        if rule is None:
            refuse(describe(node))
        given = {name: value for name, value in node.args.items() if not _empty(value)}
        for name in given:
            if name not in rule.reads:
                refuse(f"{describe(node)} with {name.strip('_').replace('_', ' ').upper()}")
        return rule.apply, given

    def apply(self, node: exp.Expr, *context: Any) -> Any:
        """What a node's rule makes of it.

        Raises:
            SqlError: As `arguments` does, or where the rule refuses a value.
        """
        apply, given = self.arguments(node)
        return apply(*context, node, **given)


def refuse(what: str) -> NoReturn:
    """Refuse something that MySQL has and this engine has not.

    Raises:
        SqlError: Always.
    """
    raise SqlError(NOT_OFFERED, f"This engine doesn't yet support '{what}'")


def describe(node: exp.Expr) -> str:
    """A node's name as SQL has it, as far as sqlglot gives one."""
    if isinstance(node, exp.Anonymous):
        return str(node.args.get("this") or "a function").upper()
    names = getattr(node, "_sql_names", None)
    return str(names[0]) if names else type(node).__name__.upper()


def _empty(value: Any) -> bool:
    return value is None or value is False or value == []


RULES = Rules()
"""The rules of everything that may stand in a statement; modules add theirs as they are imported."""
