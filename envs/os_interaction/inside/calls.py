"""The seccomp program: which system calls an agent's programs may make.

Everything is allowed but what reaches for the kernel or for other programs' memory, and what pins memory
that the watch cannot see. A sandbox has one user only: changing owners and users does nothing and says that
it worked, as `useradd` and `su` need it.
"""

import errno
import os
import struct

ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000
NEW_ANYTHING = 0x7E020000
"""The flags of `clone` that make a namespace."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16

DENIED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "set_mempolicy": (238, 237),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "shmget": (29, 194),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
"""Calls answered "not permitted", by their numbers on x86_64 and aarch64."""
FAKED: dict[str, tuple[int | None, int | None]] = {
    "chown": (92, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "lchown": (94, None),
    "setfsgid": (123, 152),
    "setfsuid": (122, 151),
    "setgid": (106, 144),
    "setgroups": (116, 159),
    "setregid": (114, 143),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setreuid": (113, 145),
    "setuid": (105, 146),
}
"""Calls that do nothing and say that it worked."""
CLONE, CLONE3, SOCKET, IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)


def program(machine: str | None = None) -> bytes:
    """The filter's instructions for a machine, by default this one.

    Raises:
        KeyError: A machine that it has no numbers for.
    """
    machine = machine or os.uname().machine
    which = list(ARCHITECTURES).index(machine) if machine in ARCHITECTURES else None
    if which is None:
        raise KeyError(f"no seccomp program for {machine}: x86_64 and aarch64 are known")
    code = [_load(4), *_unless(ARCHITECTURES[machine], [_answer(KILL)]), _load(0)]
    if machine == "x86_64":
        code += [_jump(0x35, X32, 0, 1), _answer(ERRNO | errno.ENOSYS)]
    for numbers in DENIED.values():
        code += _when(numbers[which], [_answer(ERRNO | errno.EPERM)])
    for numbers in FAKED.values():
        code += _when(numbers[which], [_answer(ERRNO)])
    code += _when(CLONE3[which], [_answer(ERRNO | errno.ENOSYS)])
    code += _when(
        CLONE[which],
        [_load(16), _jump(0x45, NEW_ANYTHING, 0, 1), _answer(ERRNO | errno.EPERM), _answer(ALLOW)],
    )
    code += _when(
        IOCTL[which],
        [
            _load(24),
            *_when(TIOCSTI, [_answer(ERRNO | errno.EPERM)]),
            *_when(TIOCLINUX, [_answer(ERRNO | errno.EPERM)]),
            _answer(ALLOW),
        ],
    )
    families = [step for family in (AF_UNIX, AF_INET, AF_INET6) for step in _when(family, [_answer(ALLOW)])]
    routes = _when(AF_NETLINK, [_load(32), *_when(0, [_answer(ALLOW)])])
    code += _when(SOCKET[which], [_load(16), *families, *routes, _answer(ERRNO | errno.EAFNOSUPPORT)])
    code.append(_answer(ALLOW))
    return b"".join(code)


def _load(offset: int) -> bytes:
    """Load a word of `seccomp_data`: 0 the call's number, 4 the architecture, 16, 24, 32 its arguments."""
    return struct.pack("=HBBI", 0x20, 0, 0, offset)


def _answer(value: int) -> bytes:
    return struct.pack("=HBBI", 0x06, 0, 0, value)


def _jump(kind: int, value: int, true: int, false: int) -> bytes:
    return struct.pack("=HBBI", kind, true, false, value)


def _when(value: int | None, then: list[bytes]) -> list[bytes]:
    """Instructions that run where the loaded word is a value; they end with an answer, or fall through."""
    return [] if value is None else [_jump(0x15, value, 0, len(then)), *then]


def _unless(value: int, then: list[bytes]) -> list[bytes]:
    return [_jump(0x15, value, len(then), 0), *then]
