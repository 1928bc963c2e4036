"""The system calls that Python has no function for."""

import ctypes
import os

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
OPEN_TREE, MOVE_MOUNT, AT_SYMLINK_NOFOLLOW, OPEN_TREE_CLONE, FROM_DESCRIPTOR = 428, 429, 0x100, 1, 4
MNT_DETACH = 2
NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
"""Mounts, cgroups, host name, IPC, users, process ids, network."""
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_CAPBSET_DROP = 1, 4, 15, 24
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 22, 38, 47
SECCOMP_MODE_FILTER, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
CAPABILITY_VERSION = 0x20080522
LAST_CAPABILITY = 63
KEPT_CAPABILITIES = (0, 1, 3, 4, 5, 10)
"""CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, NET_BIND_SERVICE: over the sandbox's own files and programs."""
DAC_OVERRIDE = 1
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


class Kernel:
    """The C library, with errors raised as `OSError`."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def unshare(self, flags: int) -> None:
        """Leave the namespaces that are named."""
        self._check(self._libc.unshare(flags), "unshare")

    def mount(self, source: str, target: str, kind: str, flags: int, data: str = "") -> None:
        """Mount a file system, or change a mount."""
        made = self._libc.mount(
            source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode() or None
        )
        self._check(made, f"mount {target}")

    def bind(self, source: str, target: str, attributes: int) -> None:
        """Show a folder or file of the host at another place, with all that is mounted below it.

        Args:
            source: The host's path.
            target: Where it is shown.
            attributes: `ATTR_RDONLY` and its like; they hold for what is mounted below it too.
        """
        self.mount(source, target, "", MS_BIND | MS_REC)
        self.restrict(target, attributes)

    def restrict(self, target: str, attributes: int) -> None:
        """Add attributes to a mount and to those below it (`mount_setattr`, Linux 5.12)."""
        flags = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
        made = self._libc.syscall(
            MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, ctypes.byref(flags), ctypes.sizeof(flags)
        )
        self._check(made, f"mount_setattr {target}")

    def pin(self, path: str) -> None:
        """Mount an entry over itself, so that it cannot be removed or renamed; a link is not followed."""
        tree = self._libc.syscall(OPEN_TREE, AT_FDCWD, path.encode(), AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE)
        self._check(tree, f"open_tree {path}")
        try:
            made = self._libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, path.encode(), FROM_DESCRIPTOR)
            self._check(made, f"move_mount {path}")
        finally:
            os.close(tree)

    def unmount(self, target: str) -> None:
        """Take a mount away at once."""
        self._check(self._libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")

    def pivot_root(self) -> None:
        """Make the current folder the root, with the old root over it."""
        number = PIVOT_ROOT[os.uname().machine]
        self._check(self._libc.syscall(number, b".", b"."), "pivot_root")

    def prctl(self, option: int, value: int | bytes = 0, more: object = None) -> None:
        """Change a property of this process."""
        wide = value if isinstance(value, bytes) else ctypes.c_ulong(value)
        self._check(self._libc.prctl(option, wide, more, None, None), f"prctl {option}")

    def drop_capabilities(self) -> None:
        """Keep those of `KEPT_CAPABILITIES` for good, in this process and all that it starts."""
        for number in range(LAST_CAPABILITY + 1):
            if number not in KEPT_CAPABILITIES and self._libc.prctl(
                PR_CAPBSET_DROP, ctypes.c_ulong(number), None, None, None
            ):
                break  # the kernel has no more of them
        self.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
        low = sum(1 << number for number in KEPT_CAPABILITIES)
        self._set_capabilities(low, low)

    def hide_memory(self) -> None:
        """Make the next program that this process becomes unreadable for all others.

        The kernel does so for a program whose file the process may not read: the file's mode must be
        without reading, and the right to read all the same is given up until then.
        """
        low = sum(1 << number for number in KEPT_CAPABILITIES)
        self._set_capabilities(low & ~(1 << DAC_OVERRIDE), low)

    def _set_capabilities(self, effective: int, permitted: int) -> None:
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
        sets = (ctypes.c_uint32 * 6)(effective, permitted, permitted, 0, 0, 0)
        self._check(self._libc.capset(header, sets), "capset")

    def filter_calls(self, program: bytes) -> None:
        """Put a seccomp program on this process and all that it starts."""

        class Program(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

        code = ctypes.create_string_buffer(program, len(program))
        loaded = Program(len(program) // 8, ctypes.addressof(code))
        self.prctl(PR_SET_NO_NEW_PRIVS, 1)
        self.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(loaded))

    def rename_process(self, name: str) -> None:
        """Show this process under another name, and its command line without the host's paths."""
        self.prctl(PR_SET_NAME, name.encode())
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        if 0 < start < end:
            text = name.encode()[: end - start - 1]
            ctypes.memset(start, 0, end - start)
            ctypes.memmove(start, text, len(text))

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")
