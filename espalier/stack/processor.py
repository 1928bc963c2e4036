"""What this machine's processor can do, and who gets it first."""

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
PROCESSES = Path("/proc")
PREFERRED = -10
"""The niceness of what is preferred."""
FLAGS = ("amx_bf16", "avx512_bf16")


def has_fast_bf16() -> bool:
    """Whether bf16 matrices are multiplied faster than fp32 ones: in tiles (AMX), or in pairs (AVX-512).

    On two cores of an EPYC with AVX-512 BF16 a training step in bf16 took 0.56 of one in fp32. On two cores
    of one with AVX2 alone, the engine generated four times as many tokens a second in fp32 as in bf16.
    """
    return CPUINFO.is_file() and any(flag in CPUINFO.read_text() for flag in FLAGS)


def prefer(group: int) -> bool:
    """Give a process group its cores before ordinary processes, and return whether this user may.

    The engine's threads wait for each other by spinning, so one thread that loses its core stops them all.
    On two cores beside two busy processes, an engine that is preferred keeps half of its speed, and another
    one nearly stops. Where the kernel groups processes by session (autogroup), the group's niceness counts.

    Args:
        group: The process group, whose leader also leads its session.
    """
    try:
        os.setpriority(os.PRIO_PGRP, group, PREFERRED)
        autogroup = PROCESSES / str(group) / "autogroup"
        if autogroup.is_file():
            autogroup.write_text(str(PREFERRED))
    except OSError:
        return False
    return True
