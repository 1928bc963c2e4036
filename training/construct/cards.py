"""The card of a file of records, `<out>.card.json`: what it holds, where from, and what was rejected."""

import hashlib
import json
from collections import Counter
from pathlib import Path

from pydantic import Field

from services.contracts.base import Message
from training.construct.record import Record, read_records
from training.construct.rejections import read_rejections

NOT_STATED = "not stated"


class Group(Message):
    """Records of one environment, kind and source."""

    environment: str
    kind: str
    source: str
    records: int
    mean_reward: float
    mean_turns: float


class DataCard(Message):
    """What is known of a file of records."""

    file: str
    sha256: str
    """Of the file, in hexadecimal digits."""
    records: int
    groups: list[Group]
    models: dict[str, list[str]] = Field(default_factory=dict[str, list[str]])
    """The models that played each role."""
    filters: dict[str, int] = Field(default_factory=dict[str, int])
    """How many records passed each filter."""
    licences: dict[str, int] = Field(default_factory=dict[str, int])
    """How many records are under each licence; `not stated` stands for an empty one."""
    rejected: dict[str, int] = Field(default_factory=dict[str, int])
    """How many were rejected, by who rejected and why."""


def card_file(out: Path) -> Path:
    """Where the card of a file of records is."""
    return out.with_name(f"{out.name}.card.json")


def data_card(out: Path) -> DataCard:
    """The card of a file of records, counted; a file that is not there has none.

    Raises:
        RecordError: A line is no record, or no rejection.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    models: dict[str, set[str]] = {}
    filters: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    for record in read_records(out) if out.is_file() else ():
        source = record.provenance
        groups.setdefault((record.environment, record.kind, source.source), []).append(record)
        filters.update(source.filters)
        licences[source.licence or NOT_STATED] += 1
        for role, model in source.models.items():
            models.setdefault(role, set()).add(model)
    rejected = Counter(f"{one.by}: {one.reason}" for one in read_rejections(out))
    content = out.read_bytes() if out.is_file() else b""
    return DataCard(
        file=out.name,
        sha256=hashlib.sha256(content).hexdigest(),
        records=sum(map(len, groups.values())),
        groups=[_group(key, found) for key, found in sorted(groups.items())],
        models={role: sorted(names) for role, names in sorted(models.items())},
        filters=dict(sorted(filters.items())),
        licences=dict(sorted(licences.items())),
        rejected=dict(rejected.most_common()),
    )


def write_card(out: Path) -> DataCard:
    """Count a file of records and write its card beside it.

    Raises:
        RecordError: A line is no record, or no rejection.
    """
    card = data_card(out)
    path = card_file(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return card


def _group(key: tuple[str, str, str], found: list[Record]) -> Group:
    environment, kind, source = key
    return Group(
        environment=environment,
        kind=kind,
        source=source,
        records=len(found),
        mean_reward=round(sum(record.reward for record in found) / len(found), 4),
        mean_turns=round(sum(len(record.context.turns) for record in found) / len(found), 2),
    )
