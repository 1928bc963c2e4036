"""A part of what an adapter learned: the change of the weights times a factor, for more general ability."""

import json
import shutil
from pathlib import Path

from espalier.adapter_folder import CONFIG, WEIGHTS, AdapterError, compute_digest, read_card, write_card
from services.contracts.card import Card


def shrink(folder: Path, by: float, out: Path) -> Card:
    """Write an adapter whose change of the base's weights is `by` times another's: LoRA with a smaller alpha.

    Args:
        folder: The adapter.
        by: The factor, above 0 and at most 1.
        out: The new adapter's folder, which must be new or empty.

    Returns:
        The new adapter's card, without what the other one was measured at.

    Raises:
        AdapterError: The factor is out of range, it is no adapter, or `out` holds something.
    """
    if not 0 < by <= 1:
        raise AdapterError(f"an adapter is shrunk by a factor above 0 and at most 1, not {by:g}")
    card = read_card(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AdapterError(f"{out} is there already; name a new folder")
    config = json.loads((folder / CONFIG).read_text())
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float):
        raise AdapterError(f"{folder / CONFIG} has no number lora_alpha")
    config["lora_alpha"] = _scaled(alpha, by)
    patterns = config.get("alpha_pattern") or {}
    config["alpha_pattern"] = {name: _scaled(own, by) for name, own in patterns.items()}
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / WEIGHTS, out / WEIGHTS)
    (out / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
    name = f"{card.name.rpartition('@')[0]}@{compute_digest(out)}"
    card = card.model_copy(update={"name": name, "scale": card.scale * by, "measured": []})
    write_card(out, card)
    return card


def _scaled(alpha: float, by: float) -> float:
    """The product; a whole number as an integer, as engines expect."""
    product = float(alpha) * by
    return int(product) if product.is_integer() else product
