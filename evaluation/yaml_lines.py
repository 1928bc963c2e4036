"""YAML files whose values remember their lines, so that an error can name the line to change."""

from collections.abc import Mapping
from typing import Any

import yaml

LARGEST = 1_000_000
"""Of a file, characters."""
MOST_NODES = 100_000
"""Aliases count each time they are used."""
DEEPEST = 50

Place = tuple[str | int, ...]
"""Keys and indexes from the root to a value."""


class YamlError(ValueError):
    """Raised when a text is not YAML that can be read here.

    Attributes:
        line: Where, from 1.
    """

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def parse_yaml(text: str) -> tuple[Any, dict[Place, int]]:
    """Return a document's data and the line of each value; a mapping's entry has the line of its key.

    Raises:
        YamlError: It is no YAML, has a key twice, a tag that is not plain data, or is too large.
    """
    if len(text) > LARGEST:
        raise YamlError(1, f"the file has more than {LARGEST} characters")
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        reader = _Reader(loader)
        return (None if node is None else reader.read(node, ())), reader.lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(1 if mark is None else mark.line + 1, f"not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise YamlError(1, f"not YAML: {' '.join(str(error).split())}") from error
    finally:
        if loader is not None:
            loader.dispose()


def find_line(lines: Mapping[Place, int], place: Place) -> int:
    """Return the line of a value, or of the closest value around it that has one."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


class _Reader:
    """Makes plain data of nodes and collects their lines."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.lines: dict[Place, int] = {}
        self._loader = loader
        self._nodes = 0

    def read(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(place, line)
        self._nodes += 1
        if self._nodes > MOST_NODES or len(place) > DEEPEST:
            raise YamlError(line, f"more than {MOST_NODES} values, or nested deeper than {DEEPEST}")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*place, number)) for number, item in enumerate(node.value)]
        try:
            return self._loader.construct_object(node)
        except ValueError as error:
            raise YamlError(line, f"not a value: {error}") from error

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            key = self._loader.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise YamlError(line, "a key must be a text")
            if key in made:
                raise YamlError(line, f"{key!r} is there twice; remove one")
            self.lines[(*place, key)] = line
            made[key] = self.read(value, (*place, key))
        return made
