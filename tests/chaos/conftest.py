"""The table of faults and outcomes, printed after a run."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checks import Outcome
from tests.conftest import ROOT

OUTCOMES = pytest.StashKey[list[Outcome]]()
TABLE = ROOT / ".espalier" / "chaos.md"
"""Where the table is written, too."""


@pytest.fixture(scope="session")
def outcomes(pytestconfig: pytest.Config) -> list[Outcome]:
    """The outcomes of this session, a row each."""
    return pytestconfig.stash.setdefault(OUTCOMES, [])


def render_table(outcomes: list[Outcome]) -> str:
    """Return the table of faults and outcomes, a column for each way to run branches."""
    ways = list(dict.fromkeys(outcome.branches for outcome in outcomes))
    cells = {(outcome.fault, outcome.branches): outcome.summarise() for outcome in outcomes}
    rows = [f"| fault | {' | '.join(f'branches {way}' for way in ways)} |", "|---" * (len(ways) + 1) + "|"]
    for fault in dict.fromkeys(outcome.fault for outcome in outcomes):
        rows.append(f"| {fault} | {' | '.join(cells.get((fault, way), '') for way in ways)} |")
    return "\n".join(rows)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, and write it to a file."""
    found = config.stash.get(OUTCOMES, [])
    if not found:
        return
    table = render_table(found)
    terminalreporter.write_line(table)
    Path(TABLE).parent.mkdir(exist_ok=True)
    Path(TABLE).write_text(f"{table}\n")
