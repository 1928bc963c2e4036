"""Messages between the server and a sandbox: a length and JSON; a stream is many of them, then an end."""

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
        """Send a stream, and an empty piece at its end."""
        gathered = bytearray()
        for piece in pieces:
            gathered += piece
            if len(gathered) >= PIECE:
                self._write(bytes(gathered))
                gathered.clear()
        if gathered:
            self._write(bytes(gathered))
        self._write(b"")

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
        told = self._stream[self._read : self._read + count]
        self._read += count
        return told

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
        told = b""
        while len(told) < count:
            piece = os.read(self.source, count - len(told))
            if not piece:
                raise EOFError
            told += piece
        return told
