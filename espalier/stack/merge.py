"""Merge a LoRA adapter into a copy of a model's weights, once, in a cache.

Run as a process of its own (`python -m espalier.stack.merge MODEL ADAPTER DESTINATION`): it needs torch.
Without a GPU, adapters at run time are several times slower than merged ones.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

WEIGHTS = "model.safetensors"
PREFIX = "base_model.model."
NOT_PLAIN = (
    "alora_invocation_tokens",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "use_rslora",
)
"""Settings of PEFT with which a layer's change is something else than (alpha / r) B A."""


class MergeError(ValueError):
    """Raised when the adapter does not fit the model; the message has the reason."""


def merge(model: Path, adapter: Path, destination: Path) -> None:
    """Write a copy of `model` with W + (alpha / r) B A in every adapted layer.

    The folder appears under its name only when it is complete.

    Raises:
        MergeError: The adapter is of another kind, or of another model.
    """
    from safetensors.torch import load_file, save_file

    config = json.loads((adapter / "adapter_config.json").read_text())
    _check(config)
    weights = load_file(model / WEIGHTS)
    parts = load_file(adapter / "adapter_model.safetensors")
    scale = config["lora_alpha"] / config["r"]
    used = 0
    for name, down in parts.items():
        if not name.endswith(".lora_A.weight"):
            continue
        target = f"{name.removeprefix(PREFIX).removesuffix('.lora_A.weight')}.weight"
        up = parts.get(name.replace(".lora_A.", ".lora_B."))
        if target not in weights or up is None:
            raise MergeError(
                f"the adapter changes {target}, which {model.name} has not: it is for another model"
            )
        old = weights[target]
        change = up.float() @ down.float()
        if change.shape != old.shape:
            raise MergeError(
                f"the adapter's {target} is {tuple(change.shape)} and the model's {tuple(old.shape)}: "
                "it is for another model"
            )
        weights[target] = (old.float() + scale * change).to(old.dtype)
        used += 2
    if used != len(parts) or not used:
        raise MergeError(f"{len(parts) - used} of the adapter's {len(parts)} tensors are no LoRA pairs")
    partial = destination.with_name(f"{destination.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        for path in model.iterdir():
            if path.name != WEIGHTS:
                shutil.copy(path, partial / path.name)
        save_file(weights, partial / WEIGHTS, metadata={"format": "pt"})
        partial.rename(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(config: dict[str, object]) -> None:
    wrong = [name for name in NOT_PLAIN if config.get(name)]
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none" or wrong:
        raise MergeError(f"only plain LoRA is merged (no {', '.join(wrong) or 'other kind, no bias'})")


def main() -> None:
    """Merge what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("destination", type=Path)
    arguments = parser.parse_args()
    if arguments.destination.exists():
        return
    try:
        merge(arguments.model, arguments.adapter, arguments.destination)
    except (MergeError, OSError, KeyError, ValueError) as error:
        sys.exit(f"{arguments.adapter} cannot be merged: {error}")


if __name__ == "__main__":
    main()
