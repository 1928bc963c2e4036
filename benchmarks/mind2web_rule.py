"""Mind2Web by a blind rule, beside which an agent's rate is to be read: `python -m benchmarks.mind2web_rule`.

Clicks the candidate with the lowest node id, whatever the task is. Node ids are not shown to an agent, so the
records are counted, not played.
"""

from benchmarks.rules import RuleError, run_rule
from envs.mind2web.official import RecordsError, read
from envs.mind2web.record import Record
from envs.mind2web.settings import Mind2webSettings
from envs.mind2web.tasks import make_table


def is_right(record: Record) -> bool:
    """Return whether clicking the candidate with the lowest id is what the record did."""
    lowest = min(record.candidates, key=lambda element: int(element.id))
    return lowest.id in record.right and record.wanted == "CLICK"


def count_right(split: str, limit: int | None) -> list[float]:
    """Return the rule's rewards on the first steps of a split.

    Raises:
        RuleError: There are no such steps.
    """
    settings = Mind2webSettings()
    if settings.mind2web_data is None:
        raise RuleError("ESPALIER_MIND2WEB_DATA names no folder: set it to Mind2Web's records")
    try:
        recorded = read(settings.mind2web_data, settings.mind2web_top_k, settings.mind2web_candidates)
    except RecordsError as error:
        raise RuleError(str(error)) from error
    table = make_table(recorded, settings.mind2web_generated)
    count = table.count(split)
    if not count:
        raise RuleError(f"there are no steps in split {split!r}; splits are {', '.join(table.splits())}")
    tasks = table.page(split, 0, count if limit is None else min(limit, count))
    return [float(is_right(table.find(task.id))) for task in tasks]


if __name__ == "__main__":
    run_rule(__doc__, count_right, split="steps")
