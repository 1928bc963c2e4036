"""The average of two adapters, of which one went on from the other: a part of what each does well."""

import shutil
from pathlib import Path

from espalier.adapter_folder import CONFIG, WEIGHTS, AdapterError, compute_digest, read_card, write_card
from services.contracts.card import Card


def average(one: Path, other: Path, share: float, out: Path) -> Card:
    """Write an adapter whose matrices lie between those of two others.

    It is meant for an adapter and one that went on from it: their matrices are near each other, so that the
    product of the averages is near the average of the products. Matrices of separate runs are not.

    Args:
        one: The first adapter.
        other: The second one, of the same base, rank and profile.
        share: How much of the second one, 0 to 1.
        out: The new adapter's folder, which must be new or empty.

    Returns:
        The new adapter's card: the second one's, with both names and all splits.

    Raises:
        AdapterError: The share is out of range, one is no adapter, they differ in form, or `out` holds
            something.
    """
    import torch
    from safetensors.torch import load_file, save_file

    if not 0 < share < 1:
        raise AdapterError(f"the share of the second adapter is between 0 and 1, not {share:g}")
    cards = read_card(one), read_card(other)
    forms = [(card.base, card.rank, card.profile, card.scale) for card in cards]
    if forms[0] != forms[1]:
        raise AdapterError(f"{one} and {other} differ in base, rank, profile or scale: they have no average")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AdapterError(f"{out} is there already; name a new folder")
    first, second = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
    shapes = [{name: tensor.shape for name, tensor in weights.items()} for weights in (first, second)]
    if shapes[0] != shapes[1]:
        raise AdapterError(f"{one} and {other} have other matrices: they have no average")
    out.mkdir(parents=True, exist_ok=True)
    weights = {
        name: torch.lerp(first[name].float(), second[name].float(), share).to(first[name].dtype).contiguous()
        for name in first
    }
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    shutil.copyfile(other / CONFIG, out / CONFIG)
    name = f"{cards[1].name.rpartition('@')[0]}@{compute_digest(out)}"
    card = cards[1].model_copy(
        update={
            "name": name,
            "averaged": [card.name for card in cards],
            "splits": sorted({*cards[0].splits, *cards[1].splits}),
            "measured": [],
        }
    )
    write_card(out, card)
    return card
