"""What one sandbox may take."""

from dataclasses import dataclass

from envs.os_interaction.settings import OsSettings

MIB = 2**20
INODES_PER_MIB = 256
"""Files and folders for each MiB of disk."""
FIXED_INODES = 2048
"""About so many files and folders every sandbox has from the start."""
BYTES_PER_HEAD = 2048
CHECK_ROOM = 2
"""A checker's sandbox has so many times the disk, so that it can write beside what it checks."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of a sandbox and of each command in it."""

    memory: int
    """Of all its programs together, bytes."""
    disk: int
    """Of its writable files, which are in memory too, bytes."""
    processes: int
    files: int
    """Open files of one program."""
    cpu: int
    """CPU time of its programs from one command to the next, seconds."""
    seconds: float
    """One command's deadline."""

    @classmethod
    def of(cls, settings: OsSettings) -> "Limits":
        """Return the limits of the settings."""
        return cls(
            memory=settings.os_memory * MIB,
            disk=settings.os_disk * MIB,
            processes=settings.os_processes,
            files=256,
            cpu=settings.os_cpu,
            seconds=settings.os_command_timeout,
        )

    @property
    def copied(self) -> int:
        """The most bytes that a copy of its files has: their content, and 2 KiB of names for each."""
        return self.disk + (self.inodes + FIXED_INODES) * BYTES_PER_HEAD

    @property
    def inodes(self) -> int:
        """How many files and folders it may have."""
        return self.disk // MIB * INODES_PER_MIB
