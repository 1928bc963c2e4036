"""Results of `espalier eval` in an adapter's card."""

import json
from collections.abc import Sequence
from pathlib import Path

from espalier.adapter_folder import AdapterError, read_card, write_card
from services.contracts.card import Card, Measured


def add_measured(folder: Path, summaries: Sequence[Path]) -> Card:
    """Write results of `espalier eval` into an adapter's card, in place of former ones on the same split.

    Raises:
        AdapterError: A summary is malformed, or of another adapter.
    """
    card = read_card(folder)
    found = {(one.environment, one.split, one.method): one for one in card.measured}
    for path in summaries:
        try:
            summary = json.loads(path.read_text())
            if summary["adapter"] != card.name:
                raise AdapterError(f"{path} is of {summary['adapter']}, not of {card.name}")
            one = Measured(
                environment=summary["env"],
                success_ci95=summary["ci95"]["success_rate"],
                reward_ci95=summary["ci95"]["mean_reward"],
                trained_on=f"{summary['env']}/{summary['split']}" in card.splits,
                **{name: summary[name] for name in Measured.model_fields if name in summary},
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise AdapterError(f"{path}: {error}") from error
        found[one.environment, one.split, one.method] = one
    card = card.model_copy(update={"measured": [found[key] for key in sorted(found)]})
    write_card(folder, card)
    return card
