"""Tasks made from a seed, of fifteen topics: what is asked about a machine, and what is to be done on it.

Training and validation never have a task in common: where a task names a thing or a person, each split
has its own half of the names; where it names none, of the wordings. `generated_unseen` has the kinds that
neither of the two has. The same seed makes the same tasks.
"""

from collections.abc import Sequence

from envs.os_interaction.tasks import (
    topic_changes,
    topic_columns,
    topic_files,
    topic_folders,
    topic_logs,
    topic_making,
    topic_numbers,
    topic_permissions,
    topic_processes,
    topic_system,
    topic_tables,
    topic_text,
    topic_trees,
    topic_users,
    topic_words,
)
from envs.os_interaction.tasks.table import (
    GENERATED_TRAIN,
    GENERATED_UNSEEN,
    GENERATED_VALID,
    Match,
    OsTask,
    Script,
)
from envs.os_interaction.tasks.templates import Draw, Template, filled
from envs.serving.tasks import is_unseen

TOPICS: dict[str, tuple[Template, ...]] = {
    "files": topic_files.TEMPLATES,
    "text": topic_text.TEMPLATES,
    "permissions": topic_permissions.TEMPLATES,
    "processes": topic_processes.TEMPLATES,
    "users": topic_users.TEMPLATES,
    "folders": topic_folders.TEMPLATES,
    "system": topic_system.TEMPLATES,
    "logs": topic_logs.TEMPLATES,
    "tables": topic_tables.TEMPLATES,
    "trees": topic_trees.TEMPLATES,
    "changes": topic_changes.TEMPLATES,
    "words": topic_words.TEMPLATES,
    "columns": topic_columns.TEMPLATES,
    "numbers": topic_numbers.TEMPLATES,
    "making": topic_making.TEMPLATES,
}
DIVIDED = ("logs", "tables")
"""The topics some of whose kinds are kept out of training. Of the others all kinds are trained on."""
HALVES = {GENERATED_TRAIN: 0, GENERATED_VALID: 1, GENERATED_UNSEEN: 1}


def is_kept_out(topic: str, name: str) -> bool:
    """Whether a kind of task is kept out of training: a quarter of two topics, by a digest of its name."""
    return topic in DIVIDED and is_unseen(f"{topic}/{name}")


def list_kinds(split: str) -> dict[str, Sequence[Template]]:
    """Return the kinds of a split by topic, without the topics that have none."""
    unseen = split == GENERATED_UNSEEN
    kinds = {
        topic: [one for one in templates if is_kept_out(topic, one.name) is unseen]
        for topic, templates in TOPICS.items()
    }
    return {topic: templates for topic, templates in kinds.items() if templates}


class Generator:
    """Makes tasks.

    Args:
        seed: What they are made from.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def tasks(self, split: str, count: int) -> dict[str, OsTask]:
        """So many tasks of a split, no two alike; fewer of them are the first of more."""
        made: dict[str, OsTask] = {}
        seen: set[tuple[object, ...]] = set()
        attempt = 0
        while len(made) < count:
            task = self._task(split, len(made), attempt)
            known = (task.instruction, task.init, task.start)
            attempt = attempt + 1 if known in seen else 0
            if not attempt:
                seen.add(known)
                made[str(len(made))] = task
        return made

    def _task(self, split: str, number: int, attempt: int) -> OsTask:
        kinds = list_kinds(split)
        topics = list(kinds)
        topic = topics[number % len(topics)]
        templates = kinds[topic]
        template = templates[number // len(topics) % len(templates)]
        draw = Draw(f"os/{self._seed}/{split}/{number}/{attempt}", HALVES[split])
        made = template.make(draw)
        # What names nothing of its own differs by its words: each split has half of the wordings.
        whole = any(template.shared(one) for one in template.wordings)
        wording = draw.one(template.wordings[HALVES[split] :: 2] if whole else template.wordings)
        return OsTask(
            instruction=filled(wording, made.places),
            init=(Script(made.init),) if made.init else (),
            start=Script(made.start) if made.start else None,
            match=Match(made.answer) if made.answer is not None else None,
            check=tuple(made.check),
            programs=made.programs,
            example=Script(filled(template.solution, made.places)),
            kind=f"{topic}/{template.name}",
        )
