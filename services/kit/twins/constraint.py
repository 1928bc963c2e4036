"""Structured outputs: whether a text satisfies a constraint, and a text that does.

As vLLM's `structured_outputs`, exactly one of `regex`, `choice`, `json` and `grammar`. A grammar is
read as far as it is finite: `name ::= ...` rules that do not refer to themselves.
"""

import json
import random
import re
from collections.abc import Mapping
from typing import Any, cast

from services.kit.twins import regex

KINDS = ("regex", "choice", "json", "grammar", "json_object")
_RULE = re.compile(r"^\s*([\w-]+)\s*(?:::=|:)\s*(.*)$")
_PART = re.compile(
    r'"(?:\\.|[^"\\])*"|/(?:\\.|[^/\\])+/|\[(?:\\.|[^\]\\])+\]|\{\d+(?:,\d*)?\}|[\w-]+|[|()*+?]'
)


def read(given: Mapping[str, Any]) -> tuple[str, object]:
    """The kind and value of `structured_outputs`.

    Raises:
        ValueError: There is not exactly one kind, or its value makes no sense.
    """
    kinds = [kind for kind in KINDS if given.get(kind) is not None]
    if len(kinds) > 1:
        raise ValueError(f"You can only use one kind of structured outputs constraint, not {kinds}")
    if not kinds:
        raise ValueError("You must use one kind of structured outputs constraint but none are specified")
    kind = kinds[0]
    value = given[kind]
    try:
        if kind == "regex":
            re.compile(value)
        elif kind == "json":
            value = json.loads(value) if isinstance(value, str) else value
        elif kind == "grammar":
            return "regex", grammar_regex(value)
    except (re.error, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"Invalid {kind}: {error}") from error
    if kind == "choice" and not (isinstance(value, list) and value):
        raise ValueError("Choice cannot be empty")
    return kind, cast(object, value)


def satisfies(constraint: tuple[str, object], text: str) -> bool:
    """Whether a text is one that the constraint admits."""
    kind, value = constraint
    if kind == "regex":
        return re.fullmatch(str(value), text) is not None
    if kind == "choice":
        return text in cast(list[str], value)
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return False
    if kind == "json_object":
        return isinstance(found, dict)
    return _fits(cast(dict[str, Any], value), found)


def sample(constraint: tuple[str, object], source: random.Random) -> str:
    """A text that the constraint admits."""
    kind, value = constraint
    if kind == "regex":
        return regex.sample(str(value), source)
    if kind == "choice":
        return source.choice(cast(list[str], value))
    if kind == "json_object":
        return "{}"
    return json.dumps(_instance(cast(dict[str, Any], value), source))


def grammar_regex(grammar: str) -> str:
    """The regular expression of a finite grammar; its rule `root` (or `start`, or the first) begins.

    Raises:
        ValueError: A rule is not defined, or refers to itself.
    """
    bodies: dict[str, str] = {}
    name = ""
    for line in grammar.split("\n"):
        if not line.strip() or line.strip().startswith(("#", "//")):
            continue
        if found := _RULE.match(line):
            name = found.group(1).lstrip("?!")
            bodies[name] = found.group(2)
        elif name:
            bodies[name] += " " + line.strip()
    if not bodies:
        raise ValueError("the grammar has no rule")
    begin = next((rule for rule in ("root", "start") if rule in bodies), next(iter(bodies)))
    return _expanded(begin, bodies, ())


def _expanded(name: str, bodies: Mapping[str, str], within: tuple[str, ...]) -> str:
    if name in within:
        raise ValueError(
            f"grammar rule {name} refers to itself: the scripted server reads finite grammars only"
        )
    if name not in bodies:
        raise ValueError(f"grammar rule {name} is not defined")
    parts: list[str] = []
    for part in _PART.findall(bodies[name]):
        if part.startswith('"'):
            parts.append(f"(?:{re.escape(json.loads(part))})")
        elif part.startswith("/"):
            parts.append(f"(?:{part[1:-1]})")
        elif part[0] in "[{|)*+?":
            parts.append(part)
        elif part == "(":
            parts.append("(?:")
        else:
            parts.append(_expanded(part, bodies, (*within, name)))
    return f"(?:{''.join(parts)})"


def _fits(schema: Mapping[str, Any], value: object) -> bool:
    """Whether a value fits the parts of a JSON schema that Espalier uses."""
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    match schema.get("type"):
        case "object":
            return isinstance(value, dict) and _fits_object(schema, cast(dict[str, Any], value))
        case "array":
            if not isinstance(value, list):
                return False
            items = cast(list[object], value)
            within = schema.get("minItems", 0) <= len(items) <= schema.get("maxItems", len(items))
            return within and all(_fits(schema.get("items", {}), item) for item in items)
        case "string":
            return isinstance(value, str) and re.search(schema.get("pattern", ""), value) is not None
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case _:
            return True


def _fits_object(schema: Mapping[str, Any], value: dict[str, Any]) -> bool:
    known: dict[str, Any] = schema.get("properties", {})
    if schema.get("additionalProperties") is False and not value.keys() <= known.keys():
        return False
    if not set(schema.get("required", [])) <= value.keys():
        return False
    return all(_fits(known[name], item) for name, item in value.items() if name in known)


def _instance(schema: Mapping[str, Any], source: random.Random) -> object:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return source.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            return {name: _instance(part, source) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [_instance(schema.get("items", {}), source) for _ in range(schema.get("minItems", 1))]
        case "string":
            return regex.sample(schema["pattern"], source) if "pattern" in schema else "scripted"
        case "integer" | "number":
            return schema.get("minimum", source.randrange(10))
        case "boolean":
            return source.random() < 0.5
        case _:
            return None
