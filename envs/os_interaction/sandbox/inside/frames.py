"""Messages between the server and a sandbox: a length and JSON; a stream is many of them, then an end."""

import fcntl
import json
import os
import struct
from collections.abc import Iterable
from typing import Any

HEAD = struct.Struct("!I")
PIECE = 2**18
"""About so long are a stream's pieces, bytes."""
LONGEST = 8 * 2**20
"""The longest message, bytes."""
PRIVATE = 64
"""Descriptors of process 1's own have this number or a higher one."""


def move_away(number: int) -> int:
    """Give a descriptor a number out of the way of programs' streams; no program that is started has it."""
    moved = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, PRIVATE)
    os.close(number)
    return moved


def claim_streams() -> tuple[int, int]:
    """Take standard input and output for messages, and leave the null device in their place.

    The new descriptors are closed in every program that is started.
    """
    streams = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, PRIVATE) for number in (0, 1)]
    nowhere = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
    return streams[0], streams[1]


class Frames:
    """Messages over two file descriptors.

    Args:
        source: Where they come from.
        target: Where they go to.
    """

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self._target = target
        self._stream = b""
        self._read = 0

    def read(self) -> dict[str, Any]:
        """The next message.

        Raises:
            EOFError: There will be none.
        """
        return json.loads(self._payload())

    def write(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self._write(json.dumps(message).encode())

    def write_stream(self, pieces: Iterable[bytes]) -> None:
        """Send a stream, and an empty piece at its end, also where the pieces end with an error."""
        gathered = bytearray()
        try:
            for piece in pieces:
                gathered += piece
                if len(gathered) >= PIECE:
                    self._write(bytes(gathered))
                    gathered.clear()
            if gathered:
                self._write(bytes(gathered))
        finally:
            self._write(b"")

    def close(self) -> None:
        """Close both descriptors."""
        for number in {self.source, self._target}:
            os.close(number)

    def _write(self, payload: bytes) -> None:
        view = memoryview(HEAD.pack(len(payload)) + payload)
        while view:
            view = view[os.write(self._target, view) :]

    def read_stream(self, count: int) -> bytes:
        """Exactly so many bytes of a stream.

        Raises:
            EOFError: It is over.
        """
        while len(self._stream) - self._read < count:
            piece = self._payload()
            if not piece:
                raise EOFError("the stream is too short")
            self._stream, self._read = self._stream[self._read :] + piece, 0
        taken = self._stream[self._read : self._read + count]
        self._read += count
        return taken

    def forget_stream(self) -> None:
        """Forget what was read of a stream; another process has read it to its end."""
        self._stream, self._read = b"", 0

    def end_stream(self) -> None:
        """Read to the stream's end."""
        self._stream, self._read = b"", 0
        while self._payload():
            continue

    def _payload(self) -> bytes:
        (length,) = HEAD.unpack(self._exactly(HEAD.size))
        if length > LONGEST:
            raise EOFError("no message of ours")
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        gathered = bytearray()
        while len(gathered) < count:
            piece = os.read(self.source, count - len(gathered))
            if not piece:
                raise EOFError
            gathered += piece
        return bytes(gathered)
