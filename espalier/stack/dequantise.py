"""Turn the packaged GGUF model into safetensors, once, in a cache.

Run as a process of its own (`python -m espalier.stack.dequantise SOURCE DESTINATION`): it needs
torch and transformers, which no service loads. Writes one line of progress per stage.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path


def dequantise(source: Path, destination: Path) -> None:
    """Write `source` (a GGUF file) as a folder of bf16 safetensors with tokenizer and template.

    The folder appears under its name only when it is complete.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    print("loading libraries", flush=True)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    partial = destination.with_name(f"{destination.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        print("reading the tokenizer", flush=True)
        tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
        tokenizer.save_pretrained(partial)
        print("dequantising the weights", flush=True)
        model = AutoModelForCausalLM.from_pretrained(
            str(source.parent),
            gguf_file=source.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        print("writing safetensors", flush=True)
        model.save_pretrained(partial)
        partial.rename(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print("done", flush=True)


def main() -> None:
    """Dequantise what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    arguments = parser.parse_args()
    if arguments.destination.exists():
        return
    try:
        dequantise(arguments.source, arguments.destination)
    except ImportError as error:
        sys.exit(f"{error}: install the embedded engine with `make setup`")


if __name__ == "__main__":
    main()
