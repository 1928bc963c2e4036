"""A stream of bytes that is kept: the first of it in memory, all of it on disk when it grows."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator

IN_MEMORY = 2**18
"""So much stays in memory, bytes."""
PIECE = 2**18


class Spool:
    """Bytes that are written once and read many times; the file has no name and goes with the object.

    Args:
        limit: The most that it takes, bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._memory = bytearray()
        self._file: int | None = None
        self.size = 0

    async def add(self, piece: bytes) -> None:
        """Append a piece.

        Raises:
            ValueError: The limit is reached.
        """
        if self.size + len(piece) > self._limit:
            raise ValueError(f"a stream of more than {self._limit} bytes")
        self.size += len(piece)
        self._memory += piece
        if len(self._memory) > IN_MEMORY:
            whole, self._memory = bytes(self._memory), bytearray()
            await asyncio.to_thread(self._write, whole)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield all that was added, in order."""
        start, written = 0, self.size - len(self._memory)
        while start < written:
            assert self._file is not None
            piece = await asyncio.to_thread(os.pread, self._file, min(PIECE, written - start), start)
            if not piece:
                raise OSError("a spooled file is shorter than it was")
            start += len(piece)
            yield piece
        if self._memory:
            yield bytes(self._memory)

    def _write(self, whole: bytes) -> None:
        if self._file is None:
            with tempfile.TemporaryFile(prefix="espalier-os-") as file:
                self._file = os.dup(file.fileno())
        view = memoryview(whole)
        while view:
            view = view[os.write(self._file, view) :]

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)
