"""Control groups for sandboxes: memory with the kernel's own, processes, CPU time; as far as the host allows.

Version 2 where this process may make groups below its own (a delegated unit, or root), else version 1. Each
sandbox has a group of its own, which its process joins before it does anything else. Where no group can be
made, process 1 of a sandbox counts what it can see, and `describe` gives the reason.
"""

import contextlib
import itertools
import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from envs.os_interaction.sandbox.limits import CHECK_ROOM, MIB, Limits

OFF = "off"
PREFIX = "espalier-os-"
SERVER = "espalier-server"
CONTROLLERS = ("memory", "pids", "cpu")
RESERVE = 64 * MIB
"""Of a group's memory, for its process 1 and for what the kernel keeps beside programs and files."""
TCP_BUFFERS = 16 * MIB
HELPERS = 16
"""Processes of a group that are not the agent's."""
CPUS = 2
"""A sandbox gets the time of so many CPUs at most."""
PERIOD = 100_000
JOIN = 'for place; do echo 0 > "$place" || exit 1; done'


@dataclass(frozen=True)
class Group:
    """The group of one sandbox: one folder, or in version 1 one for each controller."""

    folders: dict[str, Path]
    """By controller."""
    version: int
    ended: Callable[["Group"], None]

    @property
    def doors(self) -> list[str]:
        """The files that a process joins by."""
        return [str(folder / "cgroup.procs") for folder in dict.fromkeys(self.folders.values())]

    @property
    def gauges(self) -> dict[str, str]:
        """The files that process 1 reads what is used from."""
        names = {
            1: (("memory", "memory.stat"), ("memory", "memory.oom_control"), ("cpuacct", "cpuacct.usage")),
            2: (("memory", "memory.stat"), ("memory", "memory.events"), ("memory", "cpu.stat")),
        }
        kinds = ("memory", "kills", "cpu")
        return {
            kind: str(self.folders[controller] / name)
            for kind, (controller, name) in zip(kinds, names[self.version], strict=True)
            if controller in self.folders
        }

    def release(self) -> None:
        """Give it up; it is removed as soon as it is empty."""
        self.ended(self)


@dataclass
class Groups:
    """Makes groups.

    Args:
        bases: Where groups can be made, by controller; empty where none can.
        version: Of the control groups.
        trouble: Why none can be made.
    """

    bases: dict[str, Path] = field(default_factory=dict[str, Path])
    version: int = 2
    trouble: str = "they are switched off"
    _word: str = field(default_factory=lambda: secrets.token_hex(4))
    """Distinguishes this object's groups from those of others in the same process."""
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _ended: list[Group] = field(default_factory=list[Group])

    @classmethod
    def find(cls, setting: str = "auto") -> "Groups":
        """Find where groups can be made.

        Args:
            setting: `auto`, `off`, or a delegated folder of version 2.
        """
        if setting == OFF:
            return cls()
        found: list[str] = []
        for version, bases in ((2, _bases_2(setting)), (1, _bases_1() if setting == "auto" else {})):
            groups = cls(bases, version, "")
            why = groups._try()
            if not why:
                groups._sweep()
                return groups
            found.append(f"version {version}: {why}")
        return cls(trouble="; ".join(found))

    def describe(self) -> str:
        """What is limited by groups, or why nothing is."""
        if self.bases:
            named = sorted(set(self.bases) & set(CONTROLLERS), key=CONTROLLERS.index)
            return f"control groups v{self.version} ({', '.join(named)})"
        return f"no control groups ({self.trouble})"

    def make(self, limits: Limits) -> Group | None:
        """Make a group with the limits of a sandbox; None where none can be made.

        Raises:
            OSError: It cannot be made now.
        """
        self._remove_ended()
        if not self.bases:
            return None
        name = f"{PREFIX}{os.getpid()}-{self._word}-{next(self._numbers)}"
        group = Group({one: base / name for one, base in self.bases.items()}, self.version, self._end)
        for folder in dict.fromkeys(group.folders.values()):
            folder.mkdir()
        for controller, file, value in _settings(self.version, limits):
            if controller in group.folders:
                # A kernel may lack swap accounting or CPU quotas.
                with contextlib.suppress(OSError):
                    (group.folders[controller] / file).write_text(value)
        return group

    def close(self) -> bool:
        """Remove the groups that were given up; whether all could be."""
        self._remove_ended()
        return not self._ended

    def _end(self, group: Group) -> None:
        if group not in self._ended:
            self._ended.append(group)
        self._remove_ended()

    def _remove_ended(self) -> None:
        self._ended = [group for group in self._ended if not _remove(group)]

    def _try(self) -> str:
        """Why no process can join a new group; empty where one can."""
        if not self.bases:
            return "no memory controller for this process"
        try:
            group = self.make(Limits(64 * MIB, MIB, 8, 8, 1, 1.0))
            assert group is not None
        except OSError as error:
            self._forget_half_made()
            return f"{error.strerror} at {error.filename}"
        joined = subprocess.run(
            ["/bin/sh", "-c", JOIN, "--", *group.doors],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        group.release()
        return "" if joined.returncode == 0 else joined.stderr.strip()[:200]

    def _forget_half_made(self) -> None:
        for base in set(self.bases.values()):
            for folder in base.glob(f"{PREFIX}{os.getpid()}-{self._word}-*"):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _sweep(self) -> None:
        """Remove what servers left that were killed."""
        for base in set(self.bases.values()):
            for folder in base.glob(f"{PREFIX}*"):
                pid = folder.name.removeprefix(PREFIX).partition("-")[0]
                if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                    with contextlib.suppress(OSError):
                        folder.rmdir()


def _settings(version: int, limits: Limits) -> list[tuple[str, str, str]]:
    """What is written where: controller, file, value."""
    memory = str(limits.memory + CHECK_ROOM * limits.disk + RESERVE)
    processes = str(limits.processes + HELPERS)
    if version == 2:
        return [
            ("memory", "memory.max", memory),
            ("memory", "memory.swap.max", "0"),
            ("pids", "pids.max", processes),
            ("cpu", "cpu.max", f"{CPUS * PERIOD} {PERIOD}"),
        ]
    return [
        ("memory", "memory.limit_in_bytes", memory),
        ("memory", "memory.memsw.limit_in_bytes", memory),
        ("memory", "memory.kmem.tcp.limit_in_bytes", str(TCP_BUFFERS)),
        ("pids", "pids.max", processes),
        ("cpu", "cpu.cfs_period_us", str(PERIOD)),
        ("cpu", "cpu.cfs_quota_us", str(CPUS * PERIOD)),
    ]


def _remove(group: Group) -> bool:
    """Remove a group; whether it is gone."""
    gone = True
    for folder in dict.fromkeys(group.folders.values()):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone


def _bases_2(setting: str) -> dict[str, Path]:
    """Where groups of version 2 can be made, by controller."""
    base = Path(setting) if setting != "auto" else _own_folder("cgroup2", "")
    if base is None:
        return {}
    try:
        here = set((base / "cgroup.controllers").read_text().split()) & set(CONTROLLERS)
        if "memory" not in here:
            return {}
        wanted = here - set((base / "cgroup.subtree_control").read_text().split())
        if wanted:
            _hand_on(base, wanted)
    except OSError:
        return {}
    return dict.fromkeys(sorted(here), base)


def _hand_on(base: Path, controllers: set[str]) -> None:
    """Let groups below a folder have controllers; a group with processes cannot, so this one moves down."""
    words = " ".join(f"+{name}" for name in sorted(controllers))
    try:
        (base / "cgroup.subtree_control").write_text(words)
    except OSError:
        if (base / "cgroup.procs").read_text().split() != [str(os.getpid())]:
            raise
        (base / SERVER).mkdir(exist_ok=True)
        (base / SERVER / "cgroup.procs").write_text(str(os.getpid()))
        (base / "cgroup.subtree_control").write_text(words)


def _bases_1() -> dict[str, Path]:
    """Where groups of version 1 can be made, by controller."""
    found = {name: _own_folder("cgroup", name) for name in (*CONTROLLERS, "cpuacct")}
    bases = {name: base for name, base in found.items() if base is not None}
    return bases if "memory" in bases else {}


def _own_folder(kind: str, controller: str) -> Path | None:
    """The folder of this process's own group; None where the controller is not mounted."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().strip().split("\n")
        groups = Path("/proc/self/cgroup").read_text().strip().split("\n")
    except OSError:
        return None
    for line in mounts:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if kinds[0] != kind or (controller and controller not in kinds[2].split(",")):
            continue
        for group in groups:
            _, names, path = group.split(":", 2)
            if controller in names.split(","):
                inside = os.path.relpath(path, fields[3]) if path.startswith(fields[3]) else "."
                return Path(os.path.normpath(os.path.join(fields[4], inside)))
    return None
