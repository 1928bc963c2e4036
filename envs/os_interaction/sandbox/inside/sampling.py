"""What process 1 counts by itself where its sandbox has no control group: less exact, never too little."""

import contextlib
import os
import time
from collections.abc import Iterable

CPUS = os.cpu_count() or 1
UNIX_BUFFER = 212_992
"""What the buffers of one Unix socket may hold, bytes: the kernel's default, which cannot be changed."""


class Sampled:
    """CPU time by how many programs run whenever one looks; ended ones count too."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._looked = time.monotonic()

    def begin(self) -> None:
        """Count anew."""
        self._seconds, self._looked = 0.0, time.monotonic()

    def add(self, running: int) -> float:
        """Count so many programs from the last look to now; all seconds so far."""
        now = time.monotonic()
        self._seconds += (now - self._looked) * min(running, CPUS)
        self._looked = now
        return self._seconds


def unseen_memory(pids: Iterable[int]) -> int:
    """Bytes that no program's resident size shows: shared memory without a name, and buffers of sockets."""
    return sum(_shared(pids).values()) + _sockets()


def _shared(pids: Iterable[int]) -> dict[tuple[str, str], int]:
    """Sizes of shared memory without a name, once each; pages that a program gave back are still there."""
    found: dict[tuple[str, str], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/maps") as maps:
            for line in maps:
                if "/dev/zero" in line:
                    place, _, _, device, inode, *_ = line.split()
                    low, high = place.split("-")
                    size = int(high, 16) - int(low, 16)
                    found[device, inode] = max(found.get((device, inode), 0), size)
    return found


def _sockets() -> int:
    """Buffers of all sockets; of Unix sockets, whose fill is hidden, as much as they may hold."""
    total = 0
    with contextlib.suppress(OSError), open("/proc/net/unix") as sockets:
        total += UNIX_BUFFER * max(sum(1 for _ in sockets) - 1, 0)
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/net/{kind}") as sockets:
            next(sockets, None)
            for line in sockets:
                sent, received = line.split()[4].split(":")
                total += int(sent, 16) + int(received, 16)
    return total
