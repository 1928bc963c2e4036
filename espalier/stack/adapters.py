"""The model that the embedded engine serves: the packaged one with an adapter merged into its weights."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from espalier.adapter_folder import CARD, AdapterError, read_card
from espalier.stack.embedded import MODEL, SetupError, prepare_model
from espalier.stack.settings import StackSettings
from services.contracts.card import Card

SHIPPED = Path(__file__).parents[2] / "training" / "adapters"
NONE = "none"


@dataclass(frozen=True)
class ServedModel:
    """A model's folder, and what is in it."""

    folder: Path
    card: Card | None = None
    """The merged adapter's; None for the model as it was packaged."""

    def environment(self) -> dict[str, str]:
        """Return the variables that the roles need; those that a user has set stay."""
        if self.card is None:
            return {}
        variables = {
            "ESPALIER_MERGED_ADAPTER": self.card.name,
            "ESPALIER_PROMPT_PROFILE": self.card.profile.partition("@")[0],
        }
        return {name: os.environ.get(name) or value for name, value in variables.items()}


def record_card(settings: StackSettings, card: Card) -> None:
    """Write an adapter's card to where this stack's orchestrator looks for it."""
    folder = settings.cards
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{card.name}"
    draft.write_text(card.model_dump_json(), encoding="utf-8")
    draft.replace(folder / f"{card.name}.json")


def shipped() -> list[str]:
    """The adapters that come with the package."""
    return sorted(card.parent.name for card in SHIPPED.glob(f"*/{CARD}"))


def adapter_folder(name: str) -> Path:
    """Where an adapter is: a shipped one by its name, else a folder."""
    return SHIPPED / name if name in shipped() else Path(name)


def find_adapter(name: str) -> tuple[Path, Card] | None:
    """An adapter's folder and card by a shipped name or a path; None for `none`.

    Raises:
        SetupError: The adapter is missing, or it is for another model.
    """
    if name == NONE:
        return None
    folder = adapter_folder(name)
    if not folder.is_dir():
        known = ", ".join([*shipped(), NONE])
        raise SetupError(f"ESPALIER_ADAPTER names {name!r}; it is one of {known}, or a folder")
    try:
        card = read_card(folder)
    except AdapterError as error:
        raise SetupError(f"The adapter cannot be used: {error}") from error
    if not card.base.startswith(MODEL):
        raise SetupError(f"{card.name} is an adapter of {card.base}, and the embedded model is {MODEL}.")
    return folder, card


def prepare_served(settings: StackSettings, report: Callable[[str], None]) -> ServedModel:
    """The embedded model with the adapter that the settings name, made once in the cache.

    Args:
        settings: Where the cache is, and which adapter.
        report: Called with each stage of the work, while there is any.

    Raises:
        SetupError: The model cannot be prepared, or the adapter cannot be used.
    """
    found = find_adapter(settings.adapter)
    model = prepare_model(settings, report)
    if found is None:
        return ServedModel(model)
    folder, card = found
    record_card(settings, card)
    merged = model.with_name(f"{model.name}+{card.name}")
    if not (merged / "config.json").is_file():
        report(f"merging {card.name}")
        command = [sys.executable, "-m", "espalier.stack.merge", str(model), str(folder), str(merged)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode != 0:
            words = (done.stderr.strip() or "no words").split("\n")[-1:]
            raise SetupError(f"The adapter could not be merged: {words[0]}")
    return ServedModel(merged, card)
