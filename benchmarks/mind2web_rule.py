"""Mind2Web by a blind rule, beside which an agent's rate is to be read: `python -m benchmarks.mind2web_rule`.

Clicks the candidate with the lowest node id, whatever the task is, on the first steps of a split (all by
default): the same that `espalier eval --limit` takes. Prints the rate with its 95% interval.
"""

import argparse
import os
from pathlib import Path

from envs.mind2web.official import read
from envs.mind2web.record import Record
from envs.mind2web.settings import Mind2webSettings
from evaluation.intervals import wilson


def is_right(record: Record) -> bool:
    """Return whether clicking the candidate with the lowest id is what the record did."""
    lowest = min(record.candidates, key=lambda element: int(element.id))
    return lowest.id in record.right and record.wanted == "CLICK"


def main() -> None:
    """Count, and print the rate with its interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="steps")
    parser.add_argument("--limit", type=int, default=None)
    chosen = parser.parse_args()
    folder = os.environ.get("ESPALIER_MIND2WEB_DATA", "")
    if not folder:
        raise SystemExit("ESPALIER_MIND2WEB_DATA names no folder: set it to Mind2Web's records.")
    settings = Mind2webSettings()
    records = read(Path(folder), settings.mind2web_top_k, settings.mind2web_candidates)[chosen.split]
    right = [is_right(record) for record in records[: chosen.limit]]
    interval = wilson(sum(right), len(right))
    assert interval is not None, "a split is never empty"
    low, high = interval
    rate = 100 * sum(right) / len(right)
    print(f"{chosen.split}: {sum(right)} of {len(right)}: {rate:.1f} [{100 * low:.1f}, {100 * high:.1f}]")


if __name__ == "__main__":
    main()
