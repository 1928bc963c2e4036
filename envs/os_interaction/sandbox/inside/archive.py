"""The writable layer of a sandbox as a stream: what makes a copy of it.

A record is the length of its head (4 bytes), the head in JSON, and the bytes of a file without its holes.
Folders come before what is in them and are named by number, so that a record's length does not grow with
its depth. Owners, sockets and extended attributes are not kept. Names are those of the sandbox, and only
its process 1 reads and writes them: nothing outside ever follows a path that an agent made. No single entry
ends a copy: one that cannot be read or made is left out and counted.
"""

import contextlib
import json
import os
import stat
import struct
from collections.abc import Callable, Iterator
from typing import Any

BLOCK = 65536
DEEPEST = 200
"""Folders nested deeper are left out."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
Read = Callable[[int], bytes]


class TooLargeError(Exception):
    """Raised when a layer takes more bytes than its limit."""


def pack(root: str = "/", limit: int | None = None) -> Iterator[bytes]:
    """Yield the records of all that is on the root's own file system; the last one counts what was left out.

    Args:
        root: The folder.
        limit: The most bytes that the stream may have.

    Raises:
        TooLargeError: The stream would be longer; raised before the record that is too much.
    """
    return _Packer(limit).records(root)


def unpack(read: Read, root: str = "/") -> int:
    """Make again what was packed and count the entries that were left out, then and now.

    Args:
        read: Gives exactly so many bytes of the stream.
        root: Where to.
    """
    return _Unpacker(read, root).run()


class _Packer:
    def __init__(self, limit: int | None) -> None:
        self._room = limit
        self._links: dict[int, int] = {}
        """Numbers of files with several names, by inode."""
        self._count = 0
        self._left = 0

    def records(self, root: str) -> Iterator[bytes]:
        top = os.open(root, FOLDER)
        device = os.fstat(top).st_dev
        yield self._head(_common(-1, "", os.fstat(top)) | {"kind": "folder"})
        stack = [(top, 0, iter(sorted(os.listdir(top))))]
        try:
            while stack:
                folder, number, names = stack[-1]
                name = next(names, None)
                if name is None:
                    os.close(stack.pop()[0])
                    continue
                try:
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if found.st_dev != device:
                        continue
                    if stat.S_ISDIR(found.st_mode):
                        if len(stack) > DEEPEST:
                            self._left += 1
                            continue
                        inner = os.open(name, FOLDER, dir_fd=folder)
                        yield self._head(_common(number, name, found) | {"kind": "folder"})
                        stack.append((inner, self._count - 1, iter(sorted(os.listdir(inner)))))
                    else:
                        yield from self._entry(folder, number, name, found)
                except OSError:
                    self._left += 1
        finally:
            for folder, _, _ in stack:
                os.close(folder)
        yield self._head({"kind": "end", "left": self._left})

    def _entry(self, folder: int, number: int, name: str, found: os.stat_result) -> Iterator[bytes]:
        head = _common(number, name, found)
        if stat.S_ISLNK(found.st_mode):
            yield self._head(head | {"kind": "symlink", "to": _text(os.readlink(name, dir_fd=folder))})
        elif stat.S_ISFIFO(found.st_mode):
            yield self._head(head | {"kind": "fifo"})
        elif stat.S_ISREG(found.st_mode):
            if found.st_ino in self._links:
                yield self._head(head | {"kind": "link", "to": self._links[found.st_ino]})
                return
            yield from self._file(folder, name, head, found.st_ino)

    def _file(self, folder: int, name: str, head: dict[str, Any], inode: int) -> Iterator[bytes]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME
        handle = os.open(name, flags, dir_fd=folder)
        try:
            if head["many"]:
                self._links[inode] = self._count
            size = os.fstat(handle).st_size
            pieces = list(_pieces(handle, size))
            self._take(sum(length for _, length in pieces))
            yield self._head(head | {"kind": "file", "size": size, "pieces": pieces})
            for start, length in pieces:
                yield from _bytes(handle, start, length)
        finally:
            os.close(handle)

    def _head(self, head: dict[str, Any]) -> bytes:
        text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
        self._take(len(text) + 4)
        self._count += 1
        return struct.pack("!I", len(text)) + text

    def _take(self, count: int) -> None:
        if self._room is not None:
            self._room -= count
            if self._room < 0:
                raise TooLargeError("the files take more than a copy may hold")


class _Unpacker:
    def __init__(self, read: Read, root: str) -> None:
        self._read = read
        self._root = root
        self._stack: list[tuple[int, int, tuple[int, int]]] = []
        """Open folders: number, descriptor, times."""
        self._places: dict[int, tuple[int, str]] = {}
        """Folder and name of each folder and of each file that may have other names, by number."""
        self._refused = 0

    def run(self) -> int:
        number = 0
        try:
            while True:
                (length,) = struct.unpack("!I", self._read(4))
                head: dict[str, Any] = json.loads(self._read(length))
                if head["kind"] == "end":
                    return head["left"] + self._refused
                self._one(number, head)
                number += 1
        finally:
            while self._stack:
                self._leave()

    def _one(self, number: int, head: dict[str, Any]) -> None:
        unread = sum(length for _, length in head.get("pieces", ()))

        def read(count: int) -> bytes:
            nonlocal unread
            unread -= count
            return self._read(count)

        try:
            self._make(number, head, read)
        except OSError:
            self._refused += 1
        while unread:
            read(min(BLOCK, unread))

    def _make(self, number: int, head: dict[str, Any], read: Read) -> None:
        if head["in"] < 0:
            top = os.open(self._root, FOLDER)
            self._stack.append((number, top, _times(head)))
            os.fchmod(top, head["mode"])
            return
        if not any(number == head["in"] for number, _, _ in self._stack):
            raise OSError("the folder was left out")
        while self._stack[-1][0] != head["in"]:
            self._leave()
        folder, name, kind = self._stack[-1][1], _name(head["name"]), head["kind"]
        if kind == "folder":
            self._folder(number, head, folder, name)
            return
        if kind == "link":
            self._link(head["to"], folder, name)
            return
        if kind == "symlink":
            os.symlink(_name(head["to"]), name, dir_fd=folder)
        elif kind == "fifo":
            os.mkfifo(name, dir_fd=folder)
            os.chmod(name, head["mode"], dir_fd=folder)
        else:
            _write(folder, name, head, read)
            if head["many"]:
                self._places[number] = (head["in"], name)
        os.utime(name, ns=_times(head), dir_fd=folder, follow_symlinks=False)

    def _folder(self, number: int, head: dict[str, Any], folder: int, name: str) -> None:
        with contextlib.suppress(FileExistsError):  # a folder of ours may stand there
            os.mkdir(name, dir_fd=folder)
        inner = os.open(name, FOLDER, dir_fd=folder)
        self._stack.append((number, inner, _times(head)))
        self._places[number] = (head["in"], name)
        os.fchmod(inner, head["mode"])

    def _link(self, to: int, folder: int, name: str) -> None:
        if to not in self._places:
            raise OSError("the file was left out")
        inside, first = self._places[to]
        source = self._reach(inside)
        try:
            os.link(first, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source)

    def _reach(self, number: int) -> int:
        """A descriptor of a folder that was made."""
        names: list[str] = []
        while number:
            number, name = self._places[number]
            names.append(name)
        folder = os.open(self._root, FOLDER)
        for name in reversed(names):
            try:
                inner = os.open(name, FOLDER, dir_fd=folder)
            finally:
                os.close(folder)
            folder = inner
        return folder

    def _leave(self) -> None:
        """Close the innermost folder; its times change no more."""
        _, folder, times = self._stack.pop()
        try:
            os.utime(folder, ns=times)
        finally:
            os.close(folder)


def _common(inside: int, name: str, found: os.stat_result) -> dict[str, Any]:
    return {
        "in": inside,
        "name": _text(name),
        "mode": stat.S_IMODE(found.st_mode),
        "times": (found.st_atime_ns, found.st_mtime_ns),
        "many": found.st_nlink > 1,
    }


def _times(head: dict[str, Any]) -> tuple[int, int]:
    return head["times"][0], head["times"][1]


def _text(name: str) -> str:
    """A name's bytes as characters, whatever they are."""
    return os.fsencode(name).decode("latin-1")


def _name(text: str) -> str:
    return os.fsdecode(text.encode("latin-1"))


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
        try:
            block = os.pread(handle, min(BLOCK, length), start)
        except OSError:
            block = b""
        # All programs stand still; should a file be shorter all the same, the stream must not be.
        block = block or bytes(min(BLOCK, length))
        yield block
        start += len(block)
        length -= len(block)


def _write(folder: int, name: str, head: dict[str, Any], read: Read) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    handle = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        os.ftruncate(handle, head["size"])
        for start, length in head["pieces"]:
            for offset in range(0, length, BLOCK):
                block = read(min(BLOCK, length - offset))
                if os.pwrite(handle, block, start + offset) < len(block):
                    raise OSError("no room")
        os.fchmod(handle, head["mode"])
    finally:
        os.close(handle)
