#!/usr/bin/env python3
"""Set Espalier up on this machine: check what is there, make `.venv`, install the pinned packages.

    python3 deploy/setup.py [--dev] [--bench] [--train]

Needs Python 3.11 or newer and nothing else that is not in the standard library. Done once; run again,
it does nothing until a list of packages changes.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "espalier-setup.json"
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
"""Where torch without CUDA is served, for machines that reach it; others get it as they are set up."""
MEMORY_GIB = 6
DISK_GIB = 10
MODEL_HINT = "or ESPALIER_MODEL_URL set to an OpenAI-compatible vLLM: then no engine is installed"


def missing_tools() -> list[str]:
    """What must be there before anything can be installed."""
    found: list[str] = []
    if sys.version_info < (3, 11):
        found.append(f"Python 3.11 or newer (this is {platform.python_version()})")
    if shutil.which("g++") is None or shutil.which("make") is None:
        found.append("a C++ compiler and make (Debian, Ubuntu: apt-get install build-essential)")
    if not _has_headers():
        found.append("the headers of Python (Debian, Ubuntu: apt-get install python3-dev)")
    if _free_gib(ROOT) < DISK_GIB:
        found.append(f"{DISK_GIB} GiB of free disk (here: {_free_gib(ROOT):.1f})")
    return found


def engine_obstacles() -> list[str]:
    """Why the embedded engine could not run here; empty where it can."""
    found: list[str] = []
    if platform.system() != "Linux":
        found.append(f"Linux (this is {platform.system()})")
    if any(character.isspace() for character in str(ROOT)):
        found.append(
            f"a folder whose path has no blank (this is {str(ROOT)!r}: the engine's compiler splits it)"
        )
    if platform.machine() in ("x86_64", "AMD64") and not {"avx2", "avx512f"} & _flags():
        found.append("a processor with AVX2 or AVX-512")
    if _memory_gib() < MEMORY_GIB:
        found.append(f"{MEMORY_GIB} GiB of memory (here: {_memory_gib():.1f})")
    return found


def _has_headers() -> bool:
    import sysconfig

    return (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def _flags() -> set[str]:
    for line in Path("/proc/cpuinfo").read_text().split("\n"):
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _free_gib(path: Path) -> float:
    return shutil.disk_usage(path).free / 2**30


def lists_of(*, engine: bool, dev: bool, bench: bool, train: bool) -> list[Path]:
    """The lists of packages to install."""
    names = ["base", "alfworld", "webshop", "dbbench"]
    names += ["engine"] if engine else []
    names += ["train"] if train or dev else []
    names += ["dev"] if dev else []
    names += ["bench"] if bench else []
    return [ROOT / "requirements" / f"{name}.txt" for name in names]


def installed(lists: list[Path]) -> bool:
    """Whether the lists, as they are now, were installed before."""
    try:
        done = json.loads(STAMP.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return all(done.get(path.name) == _digest(path) for path in [*lists, ROOT / "pyproject.toml"])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _reached(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/torch/", timeout=3):  # noqa: S310
            return True
    except (urllib.error.URLError, OSError):
        return False


def install(lists: list[Path], *, engine: bool) -> None:
    """Make the environment and install into it."""
    if not (VENV / "bin" / "python").is_file():
        _run(sys.executable, "-m", "venv", str(VENV))
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    environment = {**os.environ, "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    _run(*pip, "setuptools==78.1.1", "wheel", "hatchling==1.27.0", "editables==0.5", env=environment)
    if shutil.which("cmake", path=environment["PATH"]) is None:
        _run(*pip, "cmake<4", env=environment)
    command = [*pip, "--no-deps"]
    if engine and _reached(CPU_TORCH):
        # From that index torch alone is taken: with a second index for all, either could pass off a package.
        _run(*command, "--index-url", CPU_TORCH, _pinned("torch"), env=environment)
    for path in lists:
        print(f"  installing {path.relative_to(ROOT)} ...", flush=True)
        _run(*command, "-r", str(path), env=environment)
    _run(*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT), env=environment)
    if engine:
        _check_engine()
    known = json.loads(STAMP.read_text()) if STAMP.is_file() else {}
    known.update({path.name: _digest(path) for path in [*lists, ROOT / "pyproject.toml"]})
    STAMP.write_text(json.dumps(known, indent=1))


def _pinned(name: str) -> str:
    """Return a package's line of the engine's list."""
    lines = (ROOT / "requirements" / "engine.txt").read_text().split("\n")
    return next(line for line in lines if line.startswith(f"{name}=="))


def _check_engine() -> None:
    """Exit with the reason where the engine's libraries do not load: a torch built for CUDA does not fit."""
    check = "import torch; import vllm; assert torch.version.cuda is None, 'torch is a CUDA build'"
    environment = {**os.environ, "VLLM_TARGET_DEVICE": "cpu", "VLLM_LOGGING_LEVEL": "ERROR"}
    python = str(VENV / "bin" / "python")
    done = subprocess.run([python, "-c", check], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr.strip() or "no words").split("\n")[-1:]
        sys.exit(
            f"set-up failed: the embedded engine does not load ({words[0]}). torch must be the CPU build: "
            f"{CPU_TORCH} has it, or a wheel in a folder named by PIP_FIND_LINKS."
        )


def _run(*command: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, check=False)
    if done.returncode != 0:
        sys.exit(f"set-up failed: {' '.join(command[:6])} ... ended with {done.returncode}; see above")


def main() -> None:
    """Check, then install what is not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dev", action="store_true", help="what tests and linters need, too")
    parser.add_argument("--bench", action="store_true", help="the peers that benchmarks measure against, too")
    parser.add_argument("--train", action="store_true", help="what `espalier train` needs, too")
    options = parser.parse_args()
    engine = not os.environ.get("ESPALIER_MODEL_URL")
    lists = lists_of(engine=engine, dev=options.dev, bench=options.bench, train=options.train)
    if installed(lists):
        return
    problems = missing_tools()
    if engine:
        problems += [f"{item}, {MODEL_HINT}" for item in engine_obstacles()]
    if problems:
        sys.exit(
            "Espalier cannot be set up here. It needs:\n" + "\n".join(f"  - {item}" for item in problems)
        )
    print("setting up .venv; a first time takes a few minutes", flush=True)
    install(lists, engine=engine)
    print("set up", flush=True)


if __name__ == "__main__":
    main()
