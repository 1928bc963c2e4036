"""The writable layer of a sandbox as a stream: what makes a copy of it.

A record is the length of its head (4 bytes), the head in JSON, and the bytes of a file without its holes.
Ids of files, sockets and extended attributes are not kept. Paths are those of the sandbox, and only
its process 1 reads and writes them: nothing outside ever follows a path that an agent made.
"""

import json
import os
import stat
import struct
from collections.abc import Callable, Iterator
from typing import Any

BLOCK = 65536
DEEPEST = 200
"""Folders nested deeper are left out."""
LONGEST = 4000
"""The longest path, characters."""
TIMES = tuple[int, int]


def pack(root: str = "/") -> Iterator[bytes]:
    """The records of all that is on the root's own file system; the last one says how many were left out."""
    device = os.lstat(root).st_dev
    links: dict[int, str] = {}
    left = 0
    yield from _record(root, os.lstat(root), root, links)
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            try:
                told = os.lstat(path)
            except OSError:
                left += 1
                continue
            if told.st_dev != device:
                continue
            if stat.S_ISDIR(told.st_mode):
                if path.count("/") - root.count("/") < DEEPEST and len(path) < LONGEST:
                    waiting.append(path)
                else:
                    left += 1
                    continue
            yield from _record(path, told, root, links)
    yield _head({"kind": "end", "left": left})


def unpack(read: Callable[[int], bytes], root: str = "/") -> int:
    """Make again what was packed; how many entries were left out then.

    Args:
        read: Gives exactly so many bytes of the stream.
        root: Where to.
    """
    folders: list[tuple[str, TIMES]] = []
    refused = 0
    while True:
        (length,) = struct.unpack("!I", read(4))
        head: dict[str, Any] = json.loads(read(length))
        if head["kind"] == "end":
            # A folder's times change with what is put into it.
            for path, times in reversed(folders):
                os.utime(path, ns=times, follow_symlinks=False)
            return head["left"] + refused
        path = os.path.join(root, head["path"])
        if not _free(path, head["kind"]):
            # A sandbox whose /usr was moved away gets it back: programs come from the host alone.
            for _, length in head.get("pieces", ()):
                for start in range(0, length, BLOCK):
                    read(min(BLOCK, length - start))
            refused += 1
            continue
        _make(path, head, read, root)
        if head["kind"] == "folder":
            folders.append((path, (head["times"][0], head["times"][1])))


def _record(path: str, told: os.stat_result, root: str, links: dict[int, str]) -> Iterator[bytes]:
    head: dict[str, Any] = {
        "path": path.removeprefix(root).lstrip("/"),
        "mode": stat.S_IMODE(told.st_mode),
        "times": (told.st_atime_ns, told.st_mtime_ns),
    }
    if stat.S_ISDIR(told.st_mode):
        yield _head(head | {"kind": "folder"})
    elif stat.S_ISLNK(told.st_mode):
        yield _head(head | {"kind": "symlink", "to": os.readlink(path)})
    elif stat.S_ISFIFO(told.st_mode):
        yield _head(head | {"kind": "fifo"})
    elif stat.S_ISREG(told.st_mode):
        if told.st_ino in links:
            yield _head(head | {"kind": "link", "to": links[told.st_ino]})
            return
        if told.st_nlink > 1:
            links[told.st_ino] = head["path"]
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME)
        try:
            size = os.fstat(handle).st_size
            pieces = list(_pieces(handle, size))
            yield _head(head | {"kind": "file", "size": size, "pieces": pieces})
            for start, length in pieces:
                yield from _bytes(handle, start, length)
        finally:
            os.close(handle)


def _head(head: dict[str, Any]) -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("!I", len(text)) + text


def _pieces(handle: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has bytes: starts and lengths."""
    end = 0
    while end < size:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError:
            return
        end = min(os.lseek(handle, start, os.SEEK_HOLE), size)
        if start < end:
            yield start, end - start


def _bytes(handle: int, start: int, length: int) -> Iterator[bytes]:
    while length > 0:
        block = os.pread(handle, min(BLOCK, length), start)
        # All programs stand still; should a file be shorter all the same, the stream must not be.
        block = block or bytes(min(BLOCK, length))
        yield block
        start += len(block)
        length -= len(block)


def _free(path: str, kind: str) -> bool:
    """Whether an entry can be made at a path, where only folders of ours stand."""
    return not os.path.lexists(path) or (kind == "folder" and os.path.isdir(path))


def _make(path: str, head: dict[str, Any], read: Callable[[int], bytes], root: str) -> None:
    kind = head["kind"]
    if kind == "link":
        os.link(os.path.join(root, head["to"]), path, follow_symlinks=False)
        return
    if kind == "symlink":
        os.symlink(head["to"], path)
    elif kind == "folder":
        os.makedirs(path, exist_ok=True)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        _write(path, head, read)
    if kind != "symlink":
        os.chmod(path, head["mode"])
    if kind != "folder":
        os.utime(path, ns=(head["times"][0], head["times"][1]), follow_symlinks=False)


def _write(path: str, head: dict[str, Any], read: Callable[[int], bytes]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(handle, head["size"])
        for start, length in head["pieces"]:
            for offset in range(0, length, BLOCK):
                os.pwrite(handle, read(min(BLOCK, length - offset)), start + offset)
    finally:
        os.close(handle)
