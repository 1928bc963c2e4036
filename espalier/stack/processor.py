"""What this machine's processor can do."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FLAGS = ("amx_bf16", "avx512_bf16")


def has_fast_bf16() -> bool:
    """Whether bf16 matrices are multiplied faster than fp32 ones: in tiles (AMX), or in pairs (AVX-512).

    On two cores of an EPYC with AVX-512 BF16 a training step in bf16 took 0.56 of one in fp32. On two cores
    of one with AVX2 alone, the engine generated four times as many tokens a second in fp32 as in bf16.
    """
    return CPUINFO.is_file() and any(flag in CPUINFO.read_text() for flag in FLAGS)
