"""Records in the terminal: what a file holds, and one record whole."""

from collections import Counter, defaultdict
from pathlib import Path

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from espalier.plain import plain
from training.construct.record import Record, RecordError, read_records

SHOWN = 600
"""Characters of an observation that are shown."""


def card(path: Path) -> Table:
    """What a file of records holds: counts by environment, kind and source.

    Raises:
        RecordError: A line is no record.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    rewards: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    steps: Counter[tuple[str, str, str]] = Counter()
    for record in read_records(path):
        key = (record.environment, record.kind, record.provenance.source)
        counts[key] += 1
        rewards[key] += record.reward
        steps[key] += len(record.context.turns)
    table = Table("environment", "kind", "source", "records", "mean reward", "mean steps", box=None)
    for key, count in sorted(counts.items()):
        table.add_row(
            *map(Text, map(plain, key)),
            str(count),
            f"{rewards[key] / count:.3f}",
            f"{steps[key] / count:.1f}",
        )
    return table


def conversation(path: Path, number: int) -> Group:
    """Return one record, from 0, as a conversation.

    Raises:
        RecordError: There is no record of this number.
    """
    for place, record in enumerate(read_records(path)):
        if place == number:
            return Group(*parts(record))
    raise RecordError(f"{path} has no record {number}")


def parts(record: Record) -> list[Panel | Text]:
    """Return one record as a conversation, piece by piece."""
    source = record.provenance
    head = f"{record.environment} {record.task_id}, {record.kind}, {source.source}, reward {record.reward:g}"
    shown: list[Panel | Text] = [
        Text(plain(head), style="bold"),
        Panel(Text(plain(record.context.task)), title="task"),
        Text(_cut(record.context.observation), style="dim"),
    ]
    for turn in record.context.turns:
        shown.append(Text(plain(f"THOUGHT: {turn.thought}\nACTION: {turn.action}"), style="cyan"))
        shown.append(Text(_cut(turn.observation), style="dim"))
    if record.question:
        shown.append(Panel(Text(plain(str(record.question))), title="question"))
    if record.answer:
        shown.append(Text(plain(record.answer), style="cyan"))
    return shown


def _cut(text: str) -> str:
    return plain(text if len(text) <= SHOWN else f"{text[:SHOWN]} …")
