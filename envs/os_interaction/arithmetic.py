"""Which arguments of a check in bash are computed with; those must be whole numbers.

Bash evaluates text in arithmetic: in `[[ $1 -eq 5 ]]` an answer `x[$(command)]` runs a command, the name of a
variable counts as its value, and a word without a value as 0. So where a script computes with an argument, or
with a variable that was made from it, anything but a whole number is a wrong answer. In `[ $1 = x ]` an
answer `x -o x` is more of the test: there it must be one word.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from envs.os_interaction.tasks.table import Script

INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
LONGEST_SUBSCRIPT = 500
ONE_WORD = re.compile(r"[^\s*?\[\]]*")
ALL = 0
"""Stands for all arguments."""
MOST_FUNCTIONS = 50
"""A script with more of them is not looked into: all its arguments must be whole numbers."""
LONGEST_VALUE = 1000
_REFERENCE = re.compile(r"\$\{?[#!]?([0-9]+|[@*]|[A-Za-z_]\w*)")
_NAME = re.compile(r"[A-Za-z_]\w*")
_ASSIGNED = re.compile(r"(?:^|(?<=[\s;&|(){]))([A-Za-z_]\w*)(?:\[[^\]\n]*\])?\+?=")
_FUNCTION = re.compile(
    r"(?:^|(?<=[\s;&|]))(?:function[ \t]+)?([A-Za-z_][\w-]*)[ \t]*(?:\([ \t]*\))?\s*\{(?=\s)"
)
_COMPARED = re.compile(r"\s-(?:eq|ne|lt|le|gt|ge)\s")
_LET = re.compile(r"\blet\s([^\n;&|]*)")
_INTEGERS = re.compile(r"\b(?:declare|typeset|local|readonly|export)\s+-\w*i\w*\s([^\n;&|]*)")
_LOOP = re.compile(r"\bfor\s+([A-Za-z_]\w*)\s+in\s([^\n;]*)")
_READ = re.compile(r"\bread\b([^|&<]*)")
_TEST = re.compile(r"(?:^|(?<=[\s;&|(!]))(?:\[|test)[ \t]([^\n;&|]*)", re.MULTILINE)
_QUOTED = re.compile(r'"[^"]*"')
_TESTED = re.compile(r"\s-v\s([^\n;&|]*)")
_SUBSTRING = re.compile(r"\$\{\w+:([^-+=?}\n][^}\n]*)\}")
Taint = dict[str, frozenset[int]]


def find_unsafe_word(script: Script, words: Sequence[str]) -> str | None:
    """Describe the first argument that a script computes with and is no whole number; None if all are."""
    if script.language != "bash":
        return None
    uses = find_uses(script.code)
    for number, word in enumerate(words, start=1):
        if {number, ALL} & uses.computed and not INTEGER.fullmatch(word.strip()):
            return f"argument {number}, which is no whole number"
        if {number, ALL} & uses.split and not ONE_WORD.fullmatch(word.strip()):
            return f"argument {number}, which is no single word"
    return None


@dataclass(frozen=True)
class _Part:
    """The script without its functions, or one function."""

    made: tuple[tuple[str, frozenset[str]], ...]
    """Variables, and the names that each is made from."""
    calls: tuple[tuple[str, frozenset[str]], ...]
    """Functions that are called, and the names in their arguments."""
    computed: frozenset[str]
    """Names that are computed with."""
    split: frozenset[str]
    """Names that are tested without quotes."""


@dataclass(frozen=True)
class Uses:
    """The numbers of arguments by what a script does with them; `ALL` stands for all of them."""

    computed: frozenset[int]
    split: frozenset[int]
    """They stand in `[ ... ]` without quotes, where each of their words is one of the test's own."""


@lru_cache(maxsize=256)
def find_uses(code: str) -> Uses:
    """Find the arguments that a script computes with, and those that it tests without quotes."""
    main, bodies = _split_functions(_without_literals(code))
    if len(bodies) > MOST_FUNCTIONS:
        return Uses(frozenset((ALL,)), frozenset((ALL,)))
    parts = {name: _read_part(text, bodies) for name, text in ({"": main} | bodies).items()}
    inside: Taint = dict.fromkeys(bodies, frozenset[int]())
    taint: Taint = {}
    before: object = None
    while before != (before := (dict(inside), dict(taint))):
        for function, part in parts.items():
            for name, names in part.made:
                taint[name] = taint.get(name, frozenset()) | _arguments(names, inside.get(function), taint)
            for name, names in part.calls:
                inside[name] |= _arguments(names, inside.get(function), taint)
    computed = split = frozenset[int]()
    for function, part in parts.items():
        computed |= _arguments(part.computed, inside.get(function), taint)
        split |= _arguments(part.split, inside.get(function), taint)
    return Uses(computed, split)


def _arguments(names: frozenset[str], inside: frozenset[int] | None, taint: Taint) -> frozenset[int]:
    """The arguments that names stand for; those of a function are what its callers give it."""
    found = frozenset[int]()
    for name in names:
        if name in ("@", "*"):
            found |= frozenset((ALL,)) if inside is None else inside
        elif name.isdigit():
            own = frozenset((int(name[:4]),)) if name != "0" else frozenset[int]()
            found |= own if inside is None else inside
        else:
            found |= taint.get(name, frozenset())
    return found


def _read_part(text: str, functions: dict[str, str]) -> _Part:
    made = [(found[1], _names(_value(text, found.end()))) for found in _ASSIGNED.finditer(text)]
    made += [(found[1], _names(found[2])) for found in _LOOP.finditer(text)]
    calls: list[tuple[str, frozenset[str]]] = []
    for line in re.split(r"[\n;]", text):
        if found := _READ.search(line):
            made += [(name, _names(line)) for name in _NAME.findall(found[1])]
    for command in re.split(r"[\n;&|]|\$\(", text):
        words = _NAME.findall(command) if functions else []
        calls += [(word, _names(command)) for word in set(words) if word in functions]
    computed = frozenset[str]().union(*(_names(part, bare=True) for part in _arithmetic(text)))
    tested = (_QUOTED.sub("", found[1]) for found in _TEST.finditer(text))
    split = frozenset[str]().union(*map(_names, tested))
    return _Part(tuple(made), tuple(calls), computed, split)


def _names(text: str, bare: bool = False) -> frozenset[str]:
    """The arguments and variables that a part of a script refers to."""
    return frozenset(_REFERENCE.findall(text)) | frozenset(_NAME.findall(text) if bare else ())


def _arithmetic(text: str) -> Iterator[str]:
    """The parts of a script that bash computes."""
    start = 0
    while (start := text.find("((", start)) >= 0:
        end = text.find("))", start)
        end = end if end >= 0 else len(text)
        yield text[start:end]
        start = max(end, start + 2)
    start = 0
    while (start := text.find("[[", start)) >= 0:
        end = text.find("]]", start)
        end = end if end >= 0 else len(text)
        for clause in re.split(r"&&|\|\|", text[start:end]):
            if _COMPARED.search(clause):
                yield clause
        start = max(end, start + 2)
    for pattern in (_LET, _INTEGERS, _TESTED, _SUBSTRING):
        for found in pattern.finditer(text):
            yield found[1]
    yield from _subscripts(text)
    integers = set[str]()
    for found in _INTEGERS.finditer(text):
        integers |= set(_NAME.findall(found[1]))
    for found in _ASSIGNED.finditer(text) if integers else ():
        if found[1] in integers:
            yield _value(text, found.end())


def _subscripts(text: str) -> Iterator[str]:
    """What stands in the brackets of arrays, which a name comes before."""
    for found in re.finditer(r"(?<=\w)\[", text):
        end = text.find("]", found.end(), found.end() + LONGEST_SUBSCRIPT)
        if end >= 0:
            yield text[found.end() : end]


def _value(text: str, start: int) -> str:
    """The value of an assignment, with all that is in its brackets and quotes."""
    depth, quoted, at = 0, False, start
    while at < min(len(text), start + LONGEST_VALUE):
        char = text[at]
        if char == "(":
            depth += 1
        elif char == ")":
            if not depth:
                break
            depth -= 1
        elif char == '"' and not depth:
            quoted = not quoted
        elif not depth and not quoted and char in "\n;&| \t":
            break
        at += 1
    return text[start:at]


def _split_functions(text: str) -> tuple[str, dict[str, str]]:
    """A script without its functions, and their bodies by name."""
    bodies: dict[str, str] = {}
    main: list[str] = []
    at = 0
    while found := _FUNCTION.search(text, at):
        if "(" not in found[0] and not found[0].lstrip().startswith("function"):
            main.append(text[at : found.end()])
            at = found.end()
            continue
        depth, end = 1, found.end()
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        bodies[found[1]] = f"{bodies.get(found[1], '')}\n{text[found.end() : end]}"
        main.append(text[at : found.start()])
        at = end
    return "".join([*main, text[at:]]), bodies


def _without_literals(code: str) -> str:
    """A script without single-quoted text, comments and escaped characters."""
    out: list[str] = []
    stack: list[str] = []
    at = 0
    while at < len(code):
        char, top = code[at], stack[-1] if stack else ""
        if char == "\\":
            at += 2
            continue
        if char == "'" and top != '"':
            end = code.find("'", at + 1)
            at = end + 1 if end >= 0 else len(code)
            out.append("''")
            continue
        if char == "#" and top != '"' and (not out or out[-1][-1] in " \t\n;"):
            end = code.find("\n", at)
            at = end if end >= 0 else len(code)
            continue
        if char == '"':
            stack.pop() if top == '"' else stack.append('"')
        elif code.startswith("$(", at):
            stack.append("(")
            out.append("$")
            at += 1
            char = "("
        elif char == "(" and top != '"':
            stack.append("(")
        elif char == ")" and top == "(":
            stack.pop()
        out.append(char)
        at += 1
    return "".join(out)
