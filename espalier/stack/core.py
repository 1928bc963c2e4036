"""Notices early that a part cannot come up: a process of it has died, or its log reports it."""

import re
import time
from pathlib import Path

import psutil

DEAD_SECONDS = 2.0
"""A child that is dead and that its parent has not noticed for so long is the part's end."""
TAIL = 64_000
"""Bytes at the end of a log that are searched for the decisive line."""
FATAL = re.compile(r"EngineCore failed to start|Engine core initialization failed|EngineDeadError")
"""How vLLM reports that its core process is gone, while its front still waits for it."""
_ERROR = re.compile(r"\b([A-Z]\w*(?:Error|Exception): *\S.*)")


class CoreWatch:
    """Watches the processes below a part's own, until it is ready.

    Args:
        pid: The part's process.
        log: Its log.
        begin: Where this run's lines begin in it, bytes.
    """

    def __init__(self, pid: int, log: Path, begin: int) -> None:
        self._pid = pid
        self._log = log
        self.begin = begin
        self._dead_since: dict[int, float] = {}

    def find_end(self) -> str:
        """Return why the part cannot come up any more; empty while it can."""
        if self._has_dead_child():
            return "one of its processes has died"
        return "its log reports the end of its core" if FATAL.search(self._read()) else ""

    def _has_dead_child(self) -> bool:
        now = time.monotonic()
        try:
            children = psutil.Process(self._pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return False
        dead = {child.pid for child in children if _is_dead(child)}
        self._dead_since = {pid: self._dead_since.get(pid, now) for pid in dead}
        return any(now - since >= DEAD_SECONDS for since in self._dead_since.values())

    def _read(self) -> str:
        try:
            with self._log.open("rb") as file:
                file.seek(max(self.begin, self._log.stat().st_size - TAIL))
                return file.read().decode(errors="replace")
        except OSError:
            return ""


def _is_dead(process: psutil.Process) -> bool:
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return False
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except (psutil.NoSuchProcess, OSError):
        return False
    return fields[-1] != "0"  # its exit code: one that ended well was a helper


def find_decisive_line(log: Path, begin: int = 0) -> str:
    """Return the line of a log that names what went wrong: the last error, else the last line.

    Args:
        log: The log.
        begin: Where this run's lines begin, bytes.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(begin, log.stat().st_size - TAIL))
            lines = [
                line.strip() for line in file.read().decode(errors="replace").split("\n") if line.strip()
            ]
    except OSError:
        return "(no log)"
    named = [found[1] for line in lines if not FATAL.search(line) and (found := _ERROR.search(line))]
    return (named or lines or ["(nothing in its log)"])[-1][:300]
