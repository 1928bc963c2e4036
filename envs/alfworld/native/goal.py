"""Goals: PDDL conditions with `and`, `exists`, `not` and `=`, compiled to joins over facts.

A closed `exists` is a sub-goal of its own; an open one is drawn into the conjunction around it, its
variables renamed. Within a conjunction the literals that bind least come first, static ones before
others, so that a goal of three nested quantifiers costs some microseconds.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r"[()]|[^\s()]+")
Atoms = Collection[tuple[str, ...]]


class GoalError(ValueError):
    """The goal has a form that is not read."""


@dataclass(frozen=True)
class Literal:
    """An atom that must hold, or must not."""

    predicate: str
    """A predicate, or `=`."""
    terms: tuple[str, ...]
    """Variables (with a question mark) and constants."""
    positive: bool
    candidates: Atoms | None = None
    """The static atoms that match its constants; None where facts change."""

    def variables(self) -> set[str]:
        """Its variables."""
        return {term for term in self.terms if term.startswith("?")}


@dataclass(frozen=True)
class Join:
    """A conjunction under one existential quantifier."""

    literals: tuple[Literal, ...]
    """In the order in which they are tried; what a negative one names is bound before it."""
    kinds: Mapping[str, frozenset[str]]
    """What each variable may be."""

    def holds(self, facts: Mapping[str, Atoms]) -> bool:
        """Whether some binding satisfies every literal."""
        return self._from(0, {}, facts)

    def _from(self, position: int, bound: dict[str, str], facts: Mapping[str, Atoms]) -> bool:
        if position == len(self.literals):
            return True
        return any(
            self._from(position + 1, extended, facts)
            for extended in self._matches(self.literals[position], bound, facts)
        )

    def _matches(
        self, literal: Literal, bound: dict[str, str], facts: Mapping[str, Atoms]
    ) -> Iterator[dict[str, str]]:
        terms = tuple(bound.get(term, term) for term in literal.terms)
        atoms = facts.get(literal.predicate, ()) if literal.candidates is None else literal.candidates
        if not any(term.startswith("?") for term in terms):
            true = terms[0] == terms[1] if literal.predicate == "=" else terms in atoms
            if true == literal.positive:
                yield bound
            return
        for atom in atoms:
            extended = self._unified(terms, atom, bound)
            if extended is not None:
                yield extended

    def _unified(
        self, terms: tuple[str, ...], atom: tuple[str, ...], bound: dict[str, str]
    ) -> dict[str, str] | None:
        new: dict[str, str] = {}
        for term, value in zip(terms, atom, strict=True):
            if not term.startswith("?"):
                if term != value:
                    return None
            elif new.setdefault(term, value) != value or value not in self.kinds[term]:
                return None
        return {**bound, **new}


@dataclass(frozen=True)
class Goal:
    """A conjunction of sub-goals."""

    joins: tuple[Join, ...]

    def reached(self, facts: Mapping[str, Atoms]) -> bool:
        """Whether the goal holds.

        Args:
            facts: What changes, by predicate; what does not is compiled in.
        """
        return all(join.holds(facts) for join in self.joins)


def parse_goal(
    text: str,
    types: Mapping[str, frozenset[str]],
    static: Mapping[str, Atoms],
    fluent: Collection[str],
    untracked: Collection[str],
) -> Goal:
    """Read a goal.

    Args:
        text: PDDL, from `(:goal` on, in lower case.
        types: The declared names by type.
        static: The facts that never change.
        fluent: The predicates that change.
        untracked: Predicates that a goal may not have.

    Raises:
        GoalError: It has another form than the conditions above.
    """
    tree = _tree(TOKEN.findall(text))
    if not (isinstance(tree, list) and len(tree) == 2 and tree[0] == ":goal"):
        raise GoalError("no condition")
    return _Compiler(types, static, fluent, untracked).goal(tree[1])


def _tree(tokens: list[str]) -> Any:
    """The first list, as lists within lists."""
    open_lists: list[list[Any]] = [[]]
    for token in tokens:
        if token == "(":  # noqa: S105
            open_lists.append([])
        elif token == ")":  # noqa: S105
            done = open_lists.pop()
            open_lists[-1].append(done)
            if len(open_lists) == 1:
                return done
        else:
            open_lists[-1].append(token)
    raise GoalError("parentheses do not match")


class _Compiler:
    def __init__(
        self,
        types: Mapping[str, frozenset[str]],
        static: Mapping[str, Atoms],
        fluent: Collection[str],
        untracked: Collection[str],
    ) -> None:
        self._types = types
        self._static = static
        self._fluent = fluent
        self._untracked = untracked
        self._fresh = itertools.count()
        self._kinds: dict[str, frozenset[str]] = {}
        self._closed: list[list[Literal]] = []

    def goal(self, tree: Any) -> Goal:
        self._closed.append(self._literals(tree, {}))
        joins = (Join(tuple(self._ordered(each)), self._kinds) for each in self._closed if each)
        return Goal(tuple(joins))

    def _literals(self, tree: Any, names: dict[str, str]) -> list[Literal]:
        """The literals of a conjunction; closed quantifiers in it go to `_closed`."""
        match tree:
            case []:
                return []
            case ["and", *parts]:
                return [literal for part in parts for literal in self._literals(part, names)]
            case ["exists", [*declared], body]:
                inner = self._literals(body, {**names, **self._declared(declared)})
                outer = set(names.values())
                if any(literal.variables() & outer for literal in inner):
                    return inner
                self._closed.append(inner)
                return []
            case ["not", [predicate, *terms]] if self._is_atom(predicate, terms):
                return [self._literal(predicate, terms, names, positive=False)]
            case [predicate, *terms] if self._is_atom(predicate, terms):
                return [self._literal(predicate, terms, names, positive=True)]
        raise GoalError(f"{tree} is not read")

    def _declared(self, words: list[str]) -> dict[str, str]:
        names: dict[str, str] = {}
        waiting: list[str] = []
        rest = iter(words)
        for word in rest:
            if word != "-":
                waiting.append(word)
                continue
            kind = next(rest, "")
            for name in waiting:
                names[name] = f"{name}.{next(self._fresh)}"
                self._kinds[names[name]] = self._types.get(kind, frozenset())
            waiting.clear()
        if waiting:
            raise GoalError(f"{waiting} has no type")
        return names

    @staticmethod
    def _is_atom(predicate: Any, terms: list[Any]) -> bool:
        words = isinstance(predicate, str) and all(isinstance(term, str) for term in terms)
        return words and predicate not in {"and", "or", "not", "exists", "forall", "imply", "when"}

    def _literal(self, predicate: str, terms: list[str], names: dict[str, str], positive: bool) -> Literal:
        if predicate in self._untracked:
            raise GoalError(f"{predicate} is not tracked")
        if predicate == "=" and len(terms) != 2:
            raise GoalError("= takes two terms")
        renamed = tuple(names.get(term, term) for term in terms)
        if any(term in terms and term.startswith("?") for term in renamed):
            raise GoalError(f"{terms} has a free variable")
        if predicate in self._fluent:
            return Literal(predicate, renamed, positive)
        return Literal(predicate, renamed, positive, self._matching(predicate, renamed))

    def _matching(self, predicate: str, terms: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
        return frozenset(
            atom
            for atom in self._static.get(predicate, ())
            if len(atom) == len(terms)
            and all(term.startswith("?") or term == value for term, value in zip(terms, atom, strict=True))
        )

    def _ordered(self, literals: list[Literal]) -> Iterator[Literal]:
        left = list(literals)
        bound: set[str] = set()
        while left:
            ready = [each for each in left if self._binds(each) or not each.variables() - bound]
            if not ready:
                raise GoalError("a variable stands in no positive atom")

            def cost(literal: Literal) -> tuple[int, bool, int]:
                free = len(literal.variables() - bound)  # noqa: B023
                return free, literal.candidates is None, len(literal.candidates or ())

            best = min(ready, key=cost)
            left.remove(best)
            bound |= best.variables()
            yield best

    @staticmethod
    def _binds(literal: Literal) -> bool:
        return literal.positive and literal.predicate != "="
