"""Folders and files that other users of the machine cannot read."""

import os
from pathlib import Path


def make_private(folder: Path) -> Path:
    """Make a folder that its owner alone can enter, or make one so that is there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read; a reader finds it whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)
