"""An adapter's folder: PEFT's configuration and weights, and the card beside them."""

import hashlib
import json
from pathlib import Path

from services.contracts.card import Card

CARD = "card.json"
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


class AdapterError(ValueError):
    """Raised when a folder does not hold an adapter that can be used; the message has the reason."""


def compute_digest(folder: Path) -> str:
    """Return the first twelve hexadecimal digits of a SHA-256 over weights and configuration.

    Raises:
        AdapterError: A file is missing.
    """
    found = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        path = folder / name
        if not path.is_file():
            raise AdapterError(f"{folder} lacks {name}: it does not hold a LoRA adapter in PEFT's form")
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def read_card(folder: Path) -> Card:
    """Return the card of an adapter, checked against its weights.

    Raises:
        AdapterError: The card is missing or malformed, or the weights are not its own.
    """
    try:
        card = Card.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder / CARD}: {error}") from error
    if card.name.rpartition("@")[2] != compute_digest(folder):
        raise AdapterError(f"{folder}: the weights are not those that {CARD} names ({card.name})")
    return card


def write_card(folder: Path, card: Card) -> None:
    """Write a card beside the weights."""
    (folder / CARD).write_text(json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
