"""Runs the cells of a matrix one after the other, resumably.

Each cell is a folder of its own, as `espalier eval` writes it, with `cell.json` beside: what reports call it.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluation.matrix_file import Cell, MatrixError
from evaluation.run import EvaluationError, check_folder, run_evaluation
from evaluation.summary import Summary

Report = Callable[[str], None]


def check_folders(path: Path, cells: Sequence[Cell], out: Path) -> None:
    """Check that no cell's folder holds a run with other settings.

    Raises:
        MatrixError: One does; the text has what differs.
    """
    for cell in cells:
        try:
            check_folder(out / cell.name, cell.body, cell.split)
        except EvaluationError as error:
            raise MatrixError(f"{path}:{cell.lines['method']}: {error}") from error


async def run_cells(cells: Sequence[Cell], *, out: Path, url: str, report: Report) -> list[Summary]:
    """Run every cell, and return their summaries in the cells' order.

    A cell that has ended is read again, not run again.

    Args:
        cells: What to run, checked.
        out: The folder of the cells' folders.
        url: The orchestrator's address.
        report: Takes a line before each cell.

    Raises:
        EvaluationError: A folder holds another run, or a split has no tasks.
        EspalierError: The orchestrator refuses a policy or does not answer.
    """
    found: list[Summary] = []
    for number, cell in enumerate(cells, 1):
        report(f"cell {number} of {len(cells)}, {len(cells) - number} left after it: {cell.name}")
        folder = out / cell.name
        folder.mkdir(parents=True, exist_ok=True)
        about = {"name": cell.name, "column": cell.column}
        (folder / "cell.json").write_text(json.dumps(about, indent=2) + "\n")
        found.append(
            await run_evaluation(
                cell.body,
                split=cell.split,
                out=folder,
                limit=cell.limit,
                concurrency=cell.concurrency,
                url=url,
                title=f"{number}/{len(cells)} {cell.name}",
            )
        )
    return found
