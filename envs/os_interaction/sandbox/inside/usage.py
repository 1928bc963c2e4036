"""What a sandbox uses, as its control group counts it, from files that process 1 opened on the host."""

import contextlib
import os
import time
from collections.abc import Mapping

from envs.os_interaction.sandbox.inside.frames import move_away

LONGEST = 65536


class Usage:
    """Gauges of a control group; those that it lacks read as None.

    Args:
        paths: Files of the group by kind: `memory`, `kills`, `cpu`. They stay open.
    """

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._files: dict[str, int] = {}
        for kind, path in paths.items():
            with contextlib.suppress(OSError):
                self._files[kind] = move_away(os.open(path, os.O_RDONLY))
        self._own = 0

    def begin(self) -> None:
        """Take what is used now as process 1's own."""
        self._own = self.memory() or 0

    def memory(self) -> int | None:
        """Memory of programs, with shared memory that no program shows, without files; bytes."""
        fields = self._fields("memory")
        if fields is None:
            return None
        # Version 1 and version 2 name the same by different words.
        anonymous = fields.get("anon", fields.get("rss", 0))
        disk = os.statvfs("/")
        files = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        return anonymous + max(fields.get("shmem", 0) - files, 0) + fields.get("sock", 0) - self._own

    def kills(self) -> int:
        """How many programs the kernel has ended for want of memory."""
        return (self._fields("kills") or {}).get("oom_kill", 0)

    def cpu(self) -> float | None:
        """CPU time of all programs that ever ran, seconds."""
        fields = self._fields("cpu")
        if fields is None:
            return None
        used = fields["usage_usec"] / 1e6 if "usage_usec" in fields else fields.get("", 0) / 1e9
        return used - time.process_time()

    def _fields(self, kind: str) -> dict[str, int] | None:
        """A file's numbers by name; one that stands alone has the name ''."""
        if kind not in self._files:
            return None
        fields: dict[str, int] = {}
        with contextlib.suppress(OSError):
            for line in os.pread(self._files[kind], LONGEST, 0).decode().split("\n"):
                name, _, value = line.rpartition(" ")
                if value.isdigit():
                    fields[name] = int(value)
        return fields
