"""Tables of results: `python -m evaluation.tables DIR ...` prints a row for each run's `summary.json`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from evaluation.metrics import Metric
from evaluation.summary import Summary, list_metrics

POLICY = {"environment": "env", "split": "split", "method": "method", "adapter": "adapter"}
"""Columns that name a run: their heads, and the fields of `summary.json`."""


def render_table(summaries: Sequence[Summary]) -> str:
    """Return runs as a Markdown table: a row each, a column for each metric that has a title."""
    shown = {name: metric for name, metric in list_metrics().items() if metric.title}
    head = (*POLICY, *(metric.title for metric in shown.values()))
    rows = [
        (
            *(str(getattr(summary, name) or "none") for name in POLICY.values()),
            *(_render_cell(summary, name, metric) for name, metric in shown.items()),
        )
        for summary in summaries
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *rows))


def _render_cell(summary: Summary, name: str, metric: Metric) -> str:
    value = getattr(summary, name)
    if value is None:
        return "-"
    interval = getattr(summary.ci95, metric.interval) if metric.interval else None
    shown = metric.show(value)
    shown += f" [{', '.join(map(metric.show, interval))}]" if interval else ""
    return shown + (f" ({getattr(summary, metric.beside)})" if metric.beside else "")


def main() -> None:
    """Print the table of the folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    folders: list[Path] = parser.parse_args().folders
    try:
        print(render_table([_read(folder / "summary.json") for folder in folders]))
    except ValueError as error:
        parser.error(str(error))


def _read(path: Path) -> Summary:
    try:
        return Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{error}: the run has not ended, or is elsewhere") from error
    except ValidationError as error:
        raise ValueError(f"{path} is not a run's summary ({error.error_count()} errors)") from error


if __name__ == "__main__":
    main()
