"""Tables of results: `python -m evaluation.tables DIR ...` prints a row for each run's `summary.json`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from evaluation.summary import Summary

HEAD = (
    "environment",
    "split",
    "method",
    "adapter",
    "n (failed)",
    "success, 95%",
    "mean reward, 95%",
    "format errors",
    "invalid actions",
    "loops",
    "steps",
    "model calls",
)


def table(summaries: Sequence[Summary]) -> str:
    """Runs as a Markdown table; a rate in per cent with its interval."""
    lines = [HEAD, ("---",) * len(HEAD), *(_row(summary) for summary in summaries)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(found: Summary) -> tuple[str, ...]:
    return (
        found.env,
        found.split,
        found.method,
        found.adapter or "none",
        f"{found.n} ({found.failed})",
        _rate(found.success_rate, found.ci95.success_rate),
        _rate(found.mean_reward, found.ci95.mean_reward),
        _rate(found.format_error_rate),
        _rate(found.invalid_action_rate),
        _rate(found.loop_rate),
        "-" if found.steps_mean is None else f"{found.steps_mean:.1f}",
        str(found.llm_calls),
    )


def _rate(rate: float | None, interval: tuple[float, float] | None = None) -> str:
    if rate is None:
        return "-"
    return f"{100 * rate:.1f}" + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


def main() -> None:
    """Print the table of the folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    folders: list[Path] = parser.parse_args().folders
    try:
        print(table([_read(folder / "summary.json") for folder in folders]))
    except ValueError as error:
        parser.error(str(error))


def _read(path: Path) -> Summary:
    try:
        return Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{error}: the run has not ended, or is elsewhere") from error
    except ValidationError as error:
        raise ValueError(f"{path} is no run's summary ({error.error_count()} errors)") from error


if __name__ == "__main__":
    main()
