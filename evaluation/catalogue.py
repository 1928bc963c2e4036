"""What a stack can run: its environments, their splits, its methods, its adapters.

Cells of a matrix are checked against it before the first episode, so that no mistake shows up hours later.
"""

from collections.abc import Sequence
from pathlib import Path

from espalier.client import Actor, Espalier, EspalierError
from evaluation.matrix_file import Cell, MatrixError
from services.contracts.session import Metadata

NO_TASK = "."
"""A name that no environment has a task by: a request for it is checked, and never becomes an episode."""


def check_cells(path: Path, cells: Sequence[Cell], url: str, actor_url: str) -> None:
    """Check that a stack can run every cell; no episode is created.

    Args:
        path: The cells' file, for errors.
        cells: What is to run.
        url: The orchestrator's address.
        actor_url: The actor's, which lists the adapters; not used where no cell names one.

    Raises:
        MatrixError: One names what the stack does not have, or a value that it does not take.
        EspalierError: The orchestrator or the actor does not answer.
    """
    adapters = _list_adapters(actor_url) if any(cell.body.adapter for cell in cells) else []
    with Espalier(url) as client:
        environments = client.environments()
        methods = {info.name: info for info in client.methods()}
        metadata: dict[str, Metadata] = {}
        seen: set[str] = set()
        for cell in cells:
            body = cell.body
            _expect(path, cell, "env", body.environment, environments)
            if body.environment not in metadata:
                metadata[body.environment] = client.environment(body.environment)
            _expect(path, cell, "split", cell.split, metadata[body.environment].splits)
            _expect(path, cell, "method", body.method, list(methods))
            for name in body.params:
                _expect(path, cell, "method", name, list(methods[body.method].params), "parameter")
            if body.adapter is not None:
                _expect(path, cell, "adapter", body.adapter, adapters)
            for key, check in (
                (f"split {body.environment} {cell.split}", _check_tasks),
                (body.model_dump_json(exclude={"seed", "adapter"}, exclude_unset=True), _check_settings),
            ):
                if key not in seen:
                    check(path, cell, client)
                    seen.add(key)


def _list_adapters(actor_url: str) -> list[str]:
    with Actor(actor_url) as actor:
        return [adapter.name for adapter in actor.adapters().adapters if not adapter.draining]


def _expect(
    path: Path, cell: Cell, axis: str, value: str, allowed: Sequence[str], kind: str | None = None
) -> None:
    if value not in allowed:
        names = ", ".join(sorted(allowed)) or "none"
        raise MatrixError(
            f"{path}:{cell.lines[axis]}: unknown {kind or axis} {value!r} ({cell.name}); there are: {names}"
        )


def _check_tasks(path: Path, cell: Cell, client: Espalier) -> None:
    if not client.tasks(cell.body.environment, split=cell.split, limit=1).tasks:
        raise MatrixError(
            f"{path}:{cell.lines['split']}: {cell.body.environment} has no tasks in split {cell.split}; "
            "take another split"
        )


def _check_settings(path: Path, cell: Cell, client: Espalier) -> None:
    """Let the orchestrator check a policy's values, with a task that it always refuses."""
    try:
        client.create(cell.body.model_copy(update={"task_id": NO_TASK, "adapter": None}))
    except EspalierError as error:
        problem = error.problem
        if any(item.field == "body.task_id" for item in problem.errors):
            return
        if problem.status != 422:
            raise
        text = " ".join((problem.detail or problem.title).split())
        raise MatrixError(f"{path}:{cell.lines['method']}: {cell.name}: {text}") from error
