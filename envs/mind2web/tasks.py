"""The splits: recorded steps under `ESPALIER_MIND2WEB_DATA`, and generated ones."""

from collections.abc import Mapping, Sequence
from functools import partial

from envs.mind2web.generator import SPLITS, Generator
from envs.mind2web.record import Record
from envs.serving.tasks import Shown, Split, TaskTable, list_split, number_split

GENERATED_CANDIDATES = 30
"""Candidates of a generated step."""


def make_table(recorded: Mapping[str, Sequence[Record]], generated: int) -> TaskTable[Record]:
    """Return all steps, the recorded ones first.

    Args:
        recorded: Recorded steps by split.
        generated: How many steps each generated split has.
    """
    generator = Generator()
    splits: dict[str, Split[Record]] = {
        split: list_split({record.id.partition("/")[2]: record for record in records}, _show)
        for split, records in recorded.items()
    }
    for split in SPLITS:
        splits[split] = number_split(
            generated, partial(generator.record, split), partial(_show_generated, generator, split)
        )
    return TaskTable(splits)


def count_most_candidates(recorded: Mapping[str, Sequence[Record]]) -> int:
    """Return the most candidates that a recorded step has; without any, those of a generated step."""
    counts = (len(record.candidates) for records in recorded.values() for record in records)
    return max(counts, default=GENERATED_CANDIDATES)


def _show(record: Record) -> Shown:
    return Shown(record.task, record.operation)


def _show_generated(generator: Generator, split: str, number: int) -> Shown:
    """Show a generated step without making its page."""
    flow, at, _, _ = generator.visit(split, number)
    return Shown(flow.task, flow.steps[at].operation)
