"""The splits: recorded steps under `ESPALIER_MIND2WEB_DATA`, and generated ones."""

from collections.abc import Mapping, Sequence
from functools import partial

from envs.mind2web import official
from envs.mind2web.generator import SPLITS, Generator
from envs.mind2web.record import Record
from envs.serving.tasks import Shown, Split, TaskTable, halve, list_split, number_split

GENERATED_CANDIDATES = 30
"""Candidates of a generated step."""


def make_table(recorded: Mapping[str, Sequence[Record]], generated: int) -> TaskTable[Record]:
    """Return all steps, the recorded ones first.

    The halves of the single steps part them by visit: steps of one visit have one half.

    Args:
        recorded: Recorded steps by split.
        generated: How many steps each generated split has.
    """
    generator = Generator()
    named = {
        split: {record.id.partition("/")[2]: record for record in records}
        for split, records in recorded.items()
    }
    named |= halve(named.get(official.STEPS, {}), _visit)
    splits: dict[str, Split[Record]] = {split: list_split(records, _show) for split, records in named.items()}
    for split in SPLITS:
        splits[split] = number_split(
            generated, partial(generator.record, split), partial(_show_generated, generator, split)
        )
    return TaskTable(splits)


def count_most_candidates(recorded: Mapping[str, Sequence[Record]]) -> int:
    """Return the most candidates that a recorded step has; without any, those of a generated step."""
    counts = (len(record.candidates) for records in recorded.values() for record in records)
    return max(counts, default=GENERATED_CANDIDATES)


def _visit(record: Record) -> str:
    """Return the id of the visit that a step is of, its `annotation_id`."""
    return record.id.partition("/")[2].rpartition("-")[0]


def _show(record: Record) -> Shown:
    return Shown(record.task, record.operation)


def _show_generated(generator: Generator, split: str, number: int) -> Shown:
    """Show a generated step without making its page."""
    flow, at, _, _ = generator.visit(split, number)
    return Shown(flow.task, flow.steps[at].operation)
