"""`espalier eval FILE` and `espalier report`: a matrix of runs, and the page that compares them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from espalier.errors import report, stop
from espalier.stack.settings import StackSettings

BESIDE_A_MATRIX = frozenset({"matrix", "out", "url", "actor_url"})
"""The options of `espalier eval` that a matrix takes: its file has the others."""


def check_options(context: typer.Context, matrix: bool) -> None:
    """Check that a run has all its options, and that a matrix has none of the file's.

    Raises:
        BadParameter: One is missing, or one is too many.
    """
    if not matrix:
        missing = [f"--{name}" for name in ("env", "split", "method") if context.params.get(name) is None]
        if missing:
            raise typer.BadParameter(f"give {', '.join(missing)}, or the file of a matrix")
        return
    given = [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name not in BESIDE_A_MATRIX
        and (source := context.get_parameter_source(name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(f"a matrix has its settings in its file; leave out {', '.join(given)}")


def run_matrix(file: Path, out: Path, url: str, actor_url: str) -> None:
    """Check a matrix, run its cells, and print a table of them.

    Raises:
        EvaluationError: The file cannot run, or a folder holds another run.
        EspalierError: A part of the stack refuses or does not answer.
    """
    from evaluation.catalogue import check_cells
    from evaluation.matrix import check_folders, run_cells
    from evaluation.matrix_file import read_matrix
    from evaluation.tables import render_table

    cells = read_matrix(file)
    check_cells(file, cells, url, actor_url or StackSettings().url("actor"))
    check_folders(file, cells, out)
    print(render_table(asyncio.run(run_cells(cells, out=out, url=url, report=report))))


def report_command(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs, or folders that hold such.")],
    out: Annotated[Path, typer.Option(help="The page; its numbers go beside it, as .json.")],
    baseline: Annotated[str, typer.Option(help="The method that the others are compared with.")] = "react",
) -> None:
    """Write one page that compares runs: success, cost, paired differences, failures, episodes."""
    from evaluation.report import make_report, read_runs
    from evaluation.report_page import render_page

    try:
        if out.suffix == ".json":
            raise ValueError(f"{out} is the page; give it a name that ends in .html")
        made = make_report(read_runs(folders), baseline)
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.with_suffix(".json")
        for path, text in ((out, render_page(made)), (beside, made.model_dump_json(indent=1) + "\n")):
            path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        stop(str(error))
    print(f"wrote {out} and {beside}: {len(made.runs)} runs, {made.episode_count} episodes")
