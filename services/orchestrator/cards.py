"""The cards of adapters: what was calibrated for each, by name."""

import asyncio
import time
from pathlib import Path

import structlog
from pydantic import ValidationError

from services.contracts.card import Card

LONGEST = 4_000_000
"""Bytes of a card; a larger file is left out."""
MOST = 200
"""Cards that are read."""
AGAIN = 10.0
"""Seconds before the folder is read again: margins change, and adapters come."""
log = structlog.get_logger()


class Cards:
    """The cards in one folder: `<name>.json` files, and `card.json` in its sub-folders.

    Args:
        folder: Where they are; it may be missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cards: dict[str, Card] = {}
        self._read_at = float("-inf")

    async def find(self, adapter: str | None) -> Card | None:
        """Return the card of an adapter by its name, or None if there is none."""
        if adapter is None:
            return None
        if time.monotonic() - self._read_at > AGAIN:
            self._read_at = time.monotonic()
            self._cards = await asyncio.to_thread(self._read)
        return self._cards.get(adapter)

    def _read(self) -> dict[str, Card]:
        cards: dict[str, Card] = {}
        paths = sorted([*self._folder.glob("*.json"), *self._folder.glob("*/card.json")])
        for path in paths[:MOST]:
            try:
                if path.stat().st_size > LONGEST:
                    raise OSError(f"it is larger than {LONGEST} bytes")
                card = Card.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                log.warning("The card of an adapter cannot be read", path=str(path), reason=str(error)[:200])
            else:
                cards[card.name] = card
        return cards
