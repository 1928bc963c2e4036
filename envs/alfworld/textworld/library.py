"""The planner's shared library, without what is never loaded.

TextWorld copies `libdownward.so` for every game, so that games do not share state. It has 33 MB, of
which all but 1.1 MB is debugging information behind the last segment that the loader maps: cut
there, a copy costs a thirtieth of the time and of the disk, and runs the very same code.
"""

import os
import struct
from pathlib import Path

HEADER = struct.Struct("<4sBB10x16x Q 14x HH")
"""ELF64: magic, class, byte order; offset, size and number of the program headers (elf(5))."""
SEGMENT = struct.Struct("<IIQQQQQQ")
LOADED = 1


def loadable_size(image: bytes) -> int | None:
    """Bytes of an ELF image up to the end of its last loaded segment; None where it is not such an image."""
    if len(image) < HEADER.size:
        return None
    magic, width, order, offset, size, count = HEADER.unpack_from(image)
    if magic != b"\x7fELF" or (width, order) != (2, 1) or size != SEGMENT.size:
        return None
    if offset + size * count > len(image):
        return None
    segments = [SEGMENT.unpack_from(image, offset + size * number) for number in range(count)]
    ends = [segment[2] + segment[5] for segment in segments if segment[0] == LOADED]
    return max(ends, default=None)


def trimmed(source: Path, cache: Path) -> Path:
    """A copy of a shared library that ends where loading does; the source where none can be made."""
    stamp = source.stat()
    target = cache / f"{source.stem}-{stamp.st_size}-{stamp.st_mtime_ns}.so"
    if target.exists():
        return target
    image = source.read_bytes()
    size = loadable_size(image)
    if size is None:
        return source
    try:
        cache.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        part.write_bytes(image[:size])
        part.replace(target)
    except OSError:
        return source
    return target
