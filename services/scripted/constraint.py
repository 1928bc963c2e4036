"""Structured outputs: checks whether a text satisfies a constraint, and samples one that does.

As vLLM's `structured_outputs`, exactly one of `regex`, `choice`, `json` and `grammar`. A grammar must be
finite: `name ::= ...` rules that do not refer to themselves. `jsonschema` checks values against JSON schemas;
samples cover the keywords that Espalier's own schemas have.
"""

import json
import random
import re
from collections.abc import Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from services.scripted import regex

KINDS = ("regex", "choice", "json", "grammar", "json_object")
_RULE = re.compile(r"^\s*([\w-]+)\s*(?:::=|:)\s*(.*)$")
_PART = re.compile(
    r'"(?:\\.|[^"\\])*"|/(?:\\.|[^/\\])+/|\[(?:\\.|[^\]\\])+\]|\{\d+(?:,\d*)?\}|[\w-]+|[|()*+?]'
)


def parse_constraint(given: Mapping[str, Any]) -> tuple[str, object]:
    """Return the kind and the value of `structured_outputs`.

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
            Draft202012Validator.check_schema(value)
        elif kind == "grammar":
            return "regex", grammar_regex(value)
    except SchemaError as error:
        raise ValueError(f"Invalid json: {error.message}") from error
    except (re.error, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"Invalid {kind}: {error}") from error
    if kind == "choice" and not (isinstance(value, list) and value):
        raise ValueError("Choice cannot be empty")
    return kind, cast(object, value)


def satisfies(constraint: tuple[str, object], text: str) -> bool:
    """Return whether the constraint admits a text.

    Raises:
        ValueError: The constraint's schema has a reference that leads nowhere.
    """
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
    return _fits(value, found)


def sample(constraint: tuple[str, object], source: random.Random) -> str:
    """Return a text that the constraint admits.

    Raises:
        ValueError: No such text was found.
    """
    kind, value = constraint
    if kind == "regex":
        return regex.sample(str(value), source)
    if kind == "choice":
        return source.choice(cast(list[str], value))
    if kind == "json_object":
        return "{}"
    instance = _instance(cast(dict[str, Any], value), source)
    if not _fits(value, instance):
        raise ValueError(f"found no value that fits the schema {json.dumps(value)}")
    return json.dumps(instance)


def _fits(schema: object, value: object) -> bool:
    """Return whether a value fits a JSON schema; references lead to places in the schema only.

    Raises:
        ValueError: A reference leads nowhere.
    """
    validator = cast(Any, Draft202012Validator(cast(Any, schema), registry=Registry()))
    try:
        return bool(validator.is_valid(value))
    except Unresolvable as error:
        raise ValueError(f"Invalid json: {error}") from error


def grammar_regex(grammar: str) -> str:
    """Return the regular expression of a finite grammar; its rule `root` (or `start`, or the first) begins.

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
            f"grammar rule {name} refers to itself: the scripted engine takes finite grammars only"
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
