"""What this machine's processor can do."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def has_amx() -> bool:
    """Whether bf16 matrices are multiplied in hardware tiles (AMX); without them fp32 is the faster."""
    return CPUINFO.is_file() and "amx_bf16" in CPUINFO.read_text()
