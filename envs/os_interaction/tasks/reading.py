"""All tasks of the server: AgentBench's records, variants of its training records, generated tasks."""

from collections.abc import Mapping
from dataclasses import dataclass

from envs.os_interaction.settings import OsSettings
from envs.os_interaction.tasks import official
from envs.os_interaction.tasks.generator import Generator
from envs.os_interaction.tasks.table import (
    GENERATED_TRAIN,
    GENERATED_UNSEEN,
    GENERATED_VALID,
    OsTask,
    make_table,
)
from envs.os_interaction.tasks.variants import vary
from envs.serving.tasks import TaskTable, falls_in

TRAINING = "training"
"""The split of AgentBench's training records, `training.json`."""
LEARNED, UNSEEN, VARIED = "training_learned", "training_unseen", "training_varied"
"""Its records that may be learned, those that are held out, and variants of the former."""
HELD_OUT = 10
"""One training record in so many is held out."""


@dataclass(frozen=True)
class Reading:
    """What was read."""

    table: TaskTable[OsTask]
    trouble: str = ""
    """Why the data folder cannot be played; empty where it can, or where none is given."""
    left_out: str = ""
    """Which of its records are left out, and why."""


def read_tasks(settings: OsSettings) -> Reading:
    """Return the tasks that the settings name; the generated ones alone where the data cannot be read."""
    splits: dict[str, dict[str, OsTask]] = {}
    trouble = left_out = ""
    if settings.agentbench_data is not None:
        try:
            found = official.read_official(settings.agentbench_data)
        except official.RecordError as error:
            trouble = str(error)
        else:
            splits |= found.splits
            splits |= divide_training(found.splits.get(TRAINING, {}), settings.os_variants)
            left_out = _describe_left_out(found)
    generator = Generator(settings.os_seed)
    for split in (GENERATED_TRAIN, GENERATED_VALID, GENERATED_UNSEEN):
        splits[split] = generator.tasks(split, settings.os_generated)
    return Reading(make_table(splits), trouble, left_out)


def divide_training(tasks: Mapping[str, OsTask], variants: int) -> dict[str, dict[str, OsTask]]:
    """Return the training records that may be learned, those held out, and variants of the former.

    A record is held out by the SHA-256 of its instruction, so that equal instructions stay together.

    Args:
        tasks: The training records by name.
        variants: How many variants of each are made; a record without names to exchange has none.
    """
    made: dict[str, dict[str, OsTask]] = {LEARNED: {}, UNSEEN: {}, VARIED: {}}
    for name, task in tasks.items():
        made[UNSEEN if falls_in(task.instruction, HELD_OUT) else LEARNED][name] = task
    for name, task in made[LEARNED].items():
        for number in range(variants):
            varied = vary(task, number)
            if varied is not None:
                made[VARIED][f"{name}-{number}"] = varied
    return made


def _describe_left_out(found: official.Official) -> str:
    parts = [
        f"{count} of {count + len(found.splits.get(split, ()))} records of {split} left out ({why})"
        for counted, why in (
            (found.missing, "a script that they name is not here"),
            (found.broken, "not in form"),
        )
        for split, count in counted.items()
    ]
    return "".join(f"; {part}" for part in parts)
