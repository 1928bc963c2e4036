"""The programs of a sandbox: started, watched and ended by its process 1."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from envs.os_interaction.sandbox.inside.sampling import Sampled, unseen_memory
from envs.os_interaction.sandbox.inside.usage import Usage

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
SMALL_STACK = 8 * 2**20
SAMPLED = 2
"""Without a control group, CPU time by sampling may be so many times the limit: it counts waiting too."""
OWN_SCORE, PROGRAMS_SCORE = b"500", b"1000"
"""How readily the kernel ends process 1, and all other programs, for want of memory."""
ENDING = 2.0
"""So long a killed program's end is waited for, seconds; one that the kernel holds may take longer."""


class Limits(NamedTuple):
    """What the programs of a sandbox may take."""

    memory: int
    """Of all programs together, bytes; and twice that of one program's address space."""
    processes: int
    files: int
    """Open files of one program."""
    disk: int
    """The largest file, bytes."""
    cpu: int
    """Of all programs together from one command to the next, seconds."""


class Program(NamedTuple):
    """A running program, as the kernel lists it."""

    pid: int
    born: int
    """Clock ticks since the machine started; with the pid it is never given twice."""
    state: str
    cpu: float
    """Its own and its ended children's, seconds."""
    memory: int
    """Resident, bytes."""
    parent: int
    """The process id of the program that started it; 1 once that one is gone."""

    @property
    def alive(self) -> bool:
        """Whether it still runs; an ended one waits for its parent to read its status."""
        return self.state not in "ZX"


class Programs:
    """All programs but process 1.

    Args:
        limits: What they may take.
        usage: What their control group counts.
        score: A descriptor of how readily the kernel ends process 1 for want of memory.
    """

    def __init__(self, limits: Limits, usage: Usage, score: int | None) -> None:
        self._limits = limits
        self._usage = usage
        self._score = score
        self._cpu_before = 0.0
        self._kills = 0
        self._sampled = Sampled()
        self.ended: dict[int, int] = {}
        """Exit statuses of the programs that process 1 started or inherited, until they are taken."""

    def spawn(
        self,
        argv: Sequence[str],
        environ: dict[str, str],
        folder: str,
        streams: Sequence[int],
        path: str | int = "",
        before: Callable[[], None] = lambda: None,
    ) -> int:
        """Start a program with open streams, numbered from 0, and none but them; its process id.

        Args:
            argv: Its name and arguments.
            environ: All its environment variables.
            folder: Where it starts; the root where there is no such folder.
            streams: Open files.
            path: Its file, or an open descriptor of it; by default its name.
            before: Called in the new process, right before it becomes the program.
        """
        self._set_score(PROGRAMS_SCORE)
        pid = os.fork()
        if pid:
            self._set_score(OWN_SCORE)
            return pid
        try:
            self._become(streams, folder)
            before()
            os.execve(path or argv[0], list(argv), environ)  # noqa: S606
        finally:
            os._exit(127)

    def listed(self) -> dict[int, Program]:
        """What runs now, by process id."""
        found: dict[int, Program] = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and name != "1":
                with contextlib.suppress(OSError, ValueError, IndexError):
                    found[int(name)] = _read(int(name))
        return found

    def command(self, pid: int) -> str:
        """A program's command line."""
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as line:
            return line.read(4096).replace(b"\0", b" ").decode(errors="replace").strip()
        return ""

    def begin_round(self) -> None:
        """Count CPU time anew."""
        self._cpu_before = self._cpu(self.listed())
        self._sampled.begin()

    def excess(self) -> str | None:
        """What limit the programs are over together, if any: `memory` or `cpu`."""
        listed = self.listed()
        if self._over_memory(listed.values()):
            return "memory"
        sampled = self._sampled.add(sum(one.state in "RD" for one in listed.values()))
        if self._usage.cpu() is None and sampled > SAMPLED * self._limits.cpu:
            return "cpu"
        return "cpu" if self._cpu(listed) - self._cpu_before > self._limits.cpu else None

    def _over_memory(self, listed: Collection[Program]) -> bool:
        most, kills = self._limits.memory, self._usage.kills()
        if kills > self._kills:
            self._kills = kills
            return True
        used = self._usage.memory()
        if used is not None and used > most:
            return True
        if used is None and unseen_memory(one.pid for one in listed) > most:
            return True
        return sum(one.memory for one in listed) > most and sum(map(_share, listed)) > most

    def _set_score(self, score: bytes) -> None:
        if self._score is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._score, score, 0)

    def reap(self) -> None:
        """Take note of programs that have ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self.ended[pid] = os.waitstatus_to_exitcode(status)
                while len(self.ended) > 1000:
                    self.ended.pop(next(iter(self.ended)))

    def kill(self, spared: Sequence[Program | int] = ()) -> None:
        """End all programs but those that are spared, and wait until they are gone.

        All stand still meanwhile, so that none escapes.
        """
        pids = {one for one in spared if isinstance(one, int)}
        births = {(one.pid, one.born) for one in spared if isinstance(one, Program)}
        stopped = self.stop()
        killed: set[tuple[int, int]] = set()
        for _ in range(3):
            for one in self.listed().values():
                if one.alive and one.pid not in pids and (one.pid, one.born) not in births:
                    _send(one.pid, signal.SIGKILL)
                    killed.add((one.pid, one.born))
            self.reap()
        self.resume(stopped)
        self._wait(killed)

    def end(self, pid: int, born: int) -> None:
        """End one program, and wait until it is gone."""
        one = self.listed().get(pid)
        if one is not None and one.born == born:
            _send(pid, signal.SIGKILL)
            self._wait({(pid, born)})

    def stop(self) -> set[int]:
        """Let all stand still; the process ids of those that did so already."""
        before = {one.pid for one in self.listed().values() if one.state in "Tt"}
        _send(-1, signal.SIGSTOP)
        return before

    def resume(self, stopped: set[int]) -> None:
        """Let all go on but those that had been stopped before."""
        for pid in self.listed():
            if pid not in stopped:
                _send(pid, signal.SIGCONT)

    def _wait(self, killed: Collection[tuple[int, int]]) -> None:
        """Until killed programs, by pid and birth, are gone and their memory is given back."""
        until = time.monotonic() + ENDING
        while self._remain(killed) and time.monotonic() < until:
            time.sleep(0.002)

    def _remain(self, killed: Collection[tuple[int, int]]) -> bool:
        """Whether some of them run yet, or wait for process 1 to read how they ended."""
        self.reap()
        return any(
            (one.pid, one.born) in killed and (one.alive or one.parent == os.getpid())
            for one in self.listed().values()
        )

    def _cpu(self, listed: dict[int, Program]) -> float:
        counted = self._usage.cpu()
        if counted is not None:
            return counted
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return sum(one.cpu for one in listed.values()) + children.ru_utime + children.ru_stime

    def _become(self, streams: Sequence[int], folder: str) -> None:
        os.setsid()
        # Numbers above all targets first, so that no stream is lost to another one's place.
        high = [os.dup2(stream, 100 + number, inheritable=False) for number, stream in enumerate(streams)]
        for number, stream in enumerate(high):
            os.dup2(stream, number, inheritable=True)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        limits = self._limits
        for which, most in (
            (resource.RLIMIT_AS, 2 * limits.memory),
            (resource.RLIMIT_FSIZE, limits.disk),
            (resource.RLIMIT_NOFILE, limits.files),
            (resource.RLIMIT_NPROC, limits.processes),
            (resource.RLIMIT_CPU, limits.cpu),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_MEMLOCK, 65536),
            (resource.RLIMIT_MSGQUEUE, 65536),
            (resource.RLIMIT_STACK, SMALL_STACK),
        ):
            hard = resource.getrlimit(which)[1]
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(which, (value, value))
        os.umask(0o022)
        try:
            os.chdir(folder)
        except OSError:
            os.chdir("/")


def _read(pid: int) -> Program:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    cpu = sum(int(field) for field in fields[11:15]) / TICKS
    return Program(pid, int(fields[19]), fields[0], cpu, int(fields[21]) * PAGE, int(fields[1]))


def _share(program: Program) -> int:
    """Its memory in bytes, with shared pages divided among those that share them, where the kernel has it."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{program.pid}/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return program.memory


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
