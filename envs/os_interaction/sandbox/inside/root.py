"""The file system of a sandbox: one in memory, with a cap, and the host's programs read-only in it."""

import contextlib
import fcntl
import os
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from envs.os_interaction.sandbox.inside import kernel as k

PLACE = "/tmp"  # noqa: S108 - only a place that is there to mount on, in a namespace of our own
DEVICES = ("null", "zero", "full", "random", "urandom")
HIDDEN = ("kcore", "keys", "kmsg", "timer_list", "sched_debug", "latency_stats", "sysrq-trigger", "kallsyms")
"""Files of `/proc` that describe the machine, or act on it."""
HEADROOM = 64
"""Inodes for what we make."""
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def build(kernel: k.Kernel, config: dict[str, Any]) -> None:
    """Make the new root and move into it; nothing of the host's is left but what was bound."""
    kernel.mount("", "/", "", k.MS_REC | k.MS_PRIVATE)
    options = f"size={config['disk']},nr_inodes={config['inodes'] + HEADROOM},mode=755"
    kernel.mount("tmpfs", PLACE, "tmpfs", k.MS_NOSUID | k.MS_NODEV, options)
    os.chdir(PLACE)
    for source, target in config["binds"]:
        os.makedirs(target, exist_ok=True)
        kernel.bind(source, target, k.ATTR_RDONLY | k.ATTR_NOSUID | k.ATTR_NODEV)
    os.makedirs("dev/shm", exist_ok=True)
    os.chmod("dev/shm", 0o1777)  # noqa: S103
    for name in DEVICES:
        _touch(f"dev/{name}")
        kernel.bind(f"/dev/{name}", f"dev/{name}", k.ATTR_NOSUID | k.ATTR_NOEXEC)
    os.makedirs("proc", exist_ok=True)
    # Read-only from the start: in a container the kernel grants no more than the container's own proc has.
    kernel.mount("proc", "proc", "proc", k.MS_RDONLY | k.MS_NOSUID | k.MS_NODEV | k.MS_NOEXEC)
    for name in HIDDEN:
        if os.path.exists(f"proc/{name}"):
            kernel.bind("/dev/null", f"proc/{name}", k.ATTR_RDONLY | k.ATTR_NOSUID | k.ATTR_NOEXEC)
    kernel.pivot_root()
    kernel.unmount(".")
    os.chdir("/")
    socket.sethostname(config["host"])
    with contextlib.suppress(OSError):
        _loopback_up()


def furnish(tree: Sequence[Sequence[Any]]) -> None:
    """Make the files, folders and links of a list: path, kind, mode, content."""
    for path, kind, mode, content in tree:
        place = f"/{path}"
        if kind == "folder":
            os.makedirs(place, exist_ok=True)
        elif kind == "symlink":
            os.symlink(content, place)
        else:
            with open(place, "wb") as file:
                file.write(content.encode())
        if kind != "symlink":
            os.chmod(place, mode)


def solid(folder: str) -> None:
    """Make a folder, whatever stands in its way."""
    if folder != "/":
        solid(os.path.dirname(folder))
        if not os.path.isdir(folder):
            remove(folder)
            os.mkdir(folder)


def settle(tree: Sequence[Sequence[Any]]) -> None:
    """Give all that was made one time, so that lists by time are the same in every new sandbox."""
    now = time.time_ns()
    for place in (*(f"/{line[0]}" for line in tree), "/etc", *(f"/{name}" for name in os.listdir("/")), "/"):
        with contextlib.suppress(OSError):
            os.utime(place, ns=(now, now), follow_symlinks=False)


def seal(kernel: k.Kernel, folder: str) -> None:
    """Make a folder read-only for good, with what is mounted below it."""
    kernel.bind(f"/{folder}", f"/{folder}", k.ATTR_RDONLY)


def remove(place: str) -> None:
    """Remove a file or folder with all below it, as far as that is possible."""
    with contextlib.suppress(OSError):
        if os.path.isdir(place) and not os.path.islink(place):
            for name in os.listdir(place):
                remove(os.path.join(place, name))
            os.rmdir(place)
        else:
            os.unlink(place)


def _touch(place: str) -> None:
    os.close(os.open(place, os.O_WRONLY | os.O_CREAT, 0o666))


def _loopback_up() -> None:
    """The sandbox's own loopback, so that its programs can talk to each other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        name = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(one, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
