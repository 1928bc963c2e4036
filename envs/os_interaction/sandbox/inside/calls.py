"""The seccomp program: which system calls an agent's programs may make.

It is a list of what is allowed (`numbers.py`); all else does not exist. A sandbox has one user only: changing
owners and users does nothing and answers that it worked, as `useradd` and `su` need it.
"""

import errno
import os
import struct
from collections.abc import Iterator

from envs.os_interaction.sandbox.inside.numbers import ALLOWED, CHECKED, FAKED, REFUSED

ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000
NEW_ANYTHING = 0x7E020000
"""The flags of `clone` that make a namespace."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
F_SETPIPE_SZ = 1031
MAP_HUGETLB = 0x40000
SOL_SOCKET = 1
BUFFERS = (7, 8, 32, 33)
"""Options of sockets that set the size of their buffers, which stay as they are."""
EQUAL, GREATER, GREATER_OR_EQUAL, ANY_BIT = 0x15, 0x25, 0x35, 0x45


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
        code += [_jump(GREATER_OR_EQUAL, X32, 0, 1), _answer(ERRNO | errno.ENOSYS)]
    for name, checks in _checked().items():
        code += _when(CHECKED[name][which], checks)
    for numbers in FAKED.values():
        code += _when(numbers[which], [_answer(ERRNO)])
    for low, high in _ranges(
        sorted(n for n in (numbers[which] for numbers in ALLOWED.values()) if n is not None)
    ):
        code += [_jump(GREATER, high, 2, 0), _jump(GREATER_OR_EQUAL, low, 0, 1), _answer(ALLOW)]
    for numbers in REFUSED.values():
        code += _when(numbers[which], [_answer(ERRNO | errno.EPERM)])
    code.append(_answer(ERRNO | errno.ENOSYS))
    return b"".join(code)


def _checked() -> dict[str, list[bytes]]:
    """What is done with the calls that depend on their arguments."""
    no, yes = _answer(ERRNO | errno.EPERM), _answer(ALLOW)
    families = [step for family in (AF_UNIX, AF_INET, AF_INET6) for step in _when(family, [yes])]
    routes = _when(AF_NETLINK, [_load(32), *_when(0, [yes])])
    buffers = [step for option in BUFFERS for step in _when(option, [_answer(ERRNO)])]
    return {
        "clone": [_load(16), _jump(ANY_BIT, NEW_ANYTHING, 0, 1), no, yes],
        "clone3": [_answer(ERRNO | errno.ENOSYS)],
        "fcntl": [_load(24), *_when(F_SETPIPE_SZ, [no]), yes],
        "ioctl": [_load(24), *_when(TIOCSTI, [no]), *_when(TIOCLINUX, [no]), yes],
        "mmap": [_load(40), _jump(ANY_BIT, MAP_HUGETLB, 0, 1), _answer(ERRNO | errno.ENOMEM), yes],
        "setsockopt": [_load(24), *_when(SOL_SOCKET, [_load(32), *buffers]), yes],
        "socket": [_load(16), *families, *routes, _answer(ERRNO | errno.EAFNOSUPPORT)],
    }


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of numbers: the first and the last of each."""
    low = high = numbers[0]
    for number in numbers[1:]:
        if number > high + 1:
            yield low, high
            low = number
        high = number
    yield low, high


def _load(offset: int) -> bytes:
    """Load a word of `seccomp_data`: 0 the call's number, 4 the architecture, 16, 24, 32 its arguments."""
    return struct.pack("=HBBI", 0x20, 0, 0, offset)


def _answer(value: int) -> bytes:
    return struct.pack("=HBBI", 0x06, 0, 0, value)


def _jump(kind: int, value: int, true: int, false: int) -> bytes:
    return struct.pack("=HBBI", kind, true, false, value)


def _when(value: int | None, then: list[bytes]) -> list[bytes]:
    """Instructions that run where the loaded word is a value; they end with an answer, or fall through."""
    return [] if value is None else [_jump(EQUAL, value, 0, len(then)), *then]


def _unless(value: int, then: list[bytes]) -> list[bytes]:
    return [_jump(EQUAL, value, len(then), 0), *then]
