"""The file of a matrix: every combination of environments, splits, methods, adapters and seeds, as cells.

A broken file is one error, `<file>:<line>: <what to change>`, before anything runs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from evaluation.run import EvaluationError
from evaluation.yaml_lines import Place, YamlError, find_line, parse_yaml
from services.contracts.base import Int
from services.contracts.episode import EpisodeCreate

MOST_CELLS = 500
LONGEST_NAME = 200
CONCURRENCY = 4
"""Of a cell, where neither it nor the defaults have one."""


class MatrixError(EvaluationError):
    """Raised when the matrix cannot run; the text names the file, the line and what to change."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


Name = Annotated[str, Field(min_length=1, max_length=100)]
Names = Annotated[list[Name], BeforeValidator(_as_list), Field(min_length=1)]
Label = Annotated[str, Field(min_length=1, max_length=80, pattern=r"[A-Za-z0-9]")]


class _Part(BaseModel):
    """A part of the file: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Named(_Part):
    """A part that may be given as its name alone."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data


class MethodEntry(_Named):
    """A method and its settings; `EpisodeCreate` has their ranges."""

    name: Name
    label: Label | None = None
    """Tells apart entries of the same method, in the folder's name and in reports."""
    num_branch: Int | None = None
    num_path: Int | None = None
    num_subtasks: Int | None = None
    max_steps: Int | None = None
    feedback: str | None = None
    subtask_threshold: float | None = None
    path_threshold: float | None = None
    budget: dict[str, Any] | None = None
    params: dict[str, Any] | None = None


class AdapterEntry(_Named):
    """An adapter by its name, `name@digest`."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    label: Label | None = None
    """By default its name without the digest."""


class Shared(_Part):
    """What the defaults and each entry of `cells` may set."""

    limit: Annotated[Int, Field(ge=1)] | None = None
    """Only the first tasks of a split: the same ones for every method."""
    concurrency: Annotated[Int, Field(ge=1, le=256)] | None = None
    """Episodes at once; cells run one after the other."""
    feedback: str | None = None
    max_steps: Int | None = None


class Defaults(Shared):
    """What holds where a cell says nothing else."""

    seed: Int = 0


class Group(Shared):
    """An entry of `cells`: every combination of its lists is a cell."""

    env: Names
    splits: Names
    methods: Annotated[list[MethodEntry], BeforeValidator(_as_list), Field(min_length=1)]
    adapters: Annotated[list[AdapterEntry], BeforeValidator(_as_list), Field(min_length=1)] | None = None
    seeds: Annotated[list[Int], BeforeValidator(_as_list), Field(min_length=1)] | None = None

    @property
    def size(self) -> int:
        """How many cells it has."""
        return (
            len(self.env)
            * len(self.splits)
            * len(self.methods)
            * len(self.adapters or [0])
            * len(self.seeds or [0])
        )


class Matrix(_Part):
    """The whole file."""

    defaults: Defaults = Defaults()
    cells: Annotated[list[Group], Field(min_length=1)]


PARTS: dict[str, type[_Part]] = {
    "": Matrix,
    "defaults": Defaults,
    "cells": Group,
    "methods": MethodEntry,
    "adapters": AdapterEntry,
}
"""By the field that holds them."""


@dataclass(frozen=True)
class Cell:
    """One run of the matrix."""

    name: str
    """Its folder's."""
    column: str
    """What reports call its policy: the label, or the method; and the adapter."""
    split: str
    body: EpisodeCreate
    limit: int | None
    concurrency: int
    lines: dict[str, int] = field(default_factory=dict[str, int], compare=False)
    """Where the file has its `env`, `split`, `method` and `adapter`."""


def read_matrix(path: Path) -> list[Cell]:
    """Return the cells of a file, in its order.

    Raises:
        MatrixError: It cannot be read, is no matrix, or has too many cells.
    """
    try:
        data, lines = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise MatrixError(f"{path} cannot be read: {error}") from error
    except YamlError as error:
        raise MatrixError(f"{path}:{error.line}: {error}") from error
    try:
        matrix = Matrix.model_validate(data)
    except ValidationError as error:
        _refuse(path, lines, error)
    count = sum(group.size for group in matrix.cells)
    if count > MOST_CELLS:
        line = find_line(lines, ("cells",))
        raise MatrixError(
            f"{path}:{line}: {count} cells, {MOST_CELLS} at most; split the file, or shorten its lists"
        )
    cells = [
        cell
        for number, group in enumerate(matrix.cells)
        for cell in _Expansion(path, lines, matrix.defaults, number).expand(group)
    ]
    _check_names(path, cells)
    return cells


def _refuse(path: Path, lines: dict[Place, int], error: ValidationError, at: Place = ()) -> NoReturn:
    """Raise the first error of a validation, with its line."""
    first = error.errors()[0]
    place = (*at, *first["loc"])
    where = ".".join(map(str, place)) or "the file"
    text = f"{where}: {first['msg']}"
    if first["type"] == "extra_forbidden":
        parents = [name for name in place[:-1] if isinstance(name, str)]
        part = PARTS.get(parents[-1] if parents else "")
        known = f"; the fields here are: {', '.join(part.model_fields)}" if part else ""
        text = f"unknown field {place[-1]!r}{known}"
    elif first["type"] == "missing":
        text = f"{where} is missing; add it"
    raise MatrixError(f"{path}:{find_line(lines, place)}: {text}") from error


@dataclass(frozen=True)
class _Expansion:
    """Makes the cells of one entry."""

    path: Path
    lines: dict[Place, int]
    defaults: Defaults
    number: int

    def expand(self, group: Group) -> Iterator[Cell]:
        adapters: list[AdapterEntry | None] = [*(group.adapters or [None])]
        seeds = [self.defaults.seed] if group.seeds is None else group.seeds
        axes = (group.env, group.splits, group.methods, adapters, seeds)
        for (e, env), (s, split), (m, method), (a, adapter), (k, seed) in product(*map(enumerate, axes)):
            places: dict[str, Place] = {
                "env": ("env", e),
                "split": ("splits", s),
                "method": ("methods", m),
                "adapter": ("adapters", a),
                "seed": ("seeds", k),
            }
            yield self._cell(group, (env, split, method, adapter, seed), places)

    def _cell(self, group: Group, chosen: tuple[Any, ...], places: dict[str, Place]) -> Cell:
        env, split, method, adapter, seed = chosen
        body = self._body(group, env, method, adapter, seed, places)
        short = None if adapter is None else adapter.label or adapter.name.partition("@")[0]
        parts = (env, split, method.name, method.label, short, f"seed{seed}")
        return Cell(
            name="-".join(_slug(part) for part in parts if part),
            column=" ".join(part for part in (method.label or method.name, short) if part),
            split=split,
            body=body,
            limit=group.limit or self.defaults.limit,
            concurrency=group.concurrency or self.defaults.concurrency or CONCURRENCY,
            lines={
                name: find_line(self.lines, ("cells", self.number, *place)) for name, place in places.items()
            },
        )

    def _body(
        self,
        group: Group,
        env: str,
        method: MethodEntry,
        adapter: AdapterEntry | None,
        seed: int,
        places: dict[str, Place],
    ) -> EpisodeCreate:
        own = method.model_dump(exclude={"name", "label"}, exclude_none=True)
        shared = {
            name: value
            for name in ("feedback", "max_steps")
            if (value := getattr(group, name) or getattr(self.defaults, name)) is not None
        }
        given = {
            "environment": env,
            "method": method.name,
            "seed": seed,
            "feedback": "judge",
            **shared,
            **own,
            **({} if adapter is None else {"adapter": adapter.name}),
        }
        try:
            # The task is filled in for each episode; without one the request is not whole.
            body = EpisodeCreate.model_validate({**given, "task_id": "x"})
        except ValidationError as error:
            at = places["seed" if error.errors()[0]["loc"][:1] == ("seed",) else "method"]
            _refuse(self.path, self.lines, error, ("cells", self.number, *at))
        return body.model_copy(update={"task_id": ""})


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=+]+", "_", text).strip("_.") or "_"


def _check_names(path: Path, cells: list[Cell]) -> None:
    """Refuse names that a file system takes for the same folder, or cannot take."""
    known: set[str] = set()
    for cell in cells:
        line = cell.lines["method"]
        if len(cell.name) > LONGEST_NAME:
            raise MatrixError(f"{path}:{line}: the cell's name is too long; shorten its label")
        if cell.name.casefold() in known:
            raise MatrixError(
                f"{path}:{line}: two cells have the name {cell.name}; remove one, or give the method "
                "or the adapter another label"
            )
        known.add(cell.name.casefold())
