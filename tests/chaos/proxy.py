"""A TCP proxy between two parts, which can cut, delay and garble what passes."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

CHUNK = 65_536
GARBAGE = b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-type: application/json\r\n\r\n{"a": \xff\xfe}'
"""What a broken part in between answers: the form is right, the body is not."""


@dataclass
class Link:
    """The way from callers to one part, by a port of its own."""

    name: str
    target: int
    """The part's port."""
    port: int
    """Where callers connect."""
    cut: bool = False
    """Connections are refused, and those that are open end."""
    late: float = 0.0
    """Seconds that every piece of an answer is held back."""
    garbage: int = 0
    """So many answers from now on are replaced."""
    garbled: int = 0
    """Answers that were replaced so far."""
    open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])


class Network:
    """All links, served by a thread.

    Args:
        links: They can be changed while they are served.
    """

    def __init__(self, links: list[Link]) -> None:
        self.links = {link.name: link for link in links}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        for link in self.links.values():
            asyncio.run_coroutine_threadsafe(self._listen(link), self._loop).result(30)

    def stop(self) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self, link: Link) -> None:
        """Refuse connections of a link and end those that are open."""
        link.cut = True
        self._loop.call_soon_threadsafe(_drop, link)

    @contextlib.contextmanager
    def without(self, *links: Link) -> Iterator[None]:
        """Keep links cut inside the block."""
        for link in links:
            self.cut(link)
        try:
            yield
        finally:
            for link in links:
                link.cut = False

    async def _listen(self, link: Link) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.CancelledError):  # the run is over
                await _serve(link, reader, writer)

        await asyncio.start_server(serve, "127.0.0.1", link.port)


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _drop(link: Link) -> None:
    for writer in list(link.open):
        writer.transport.abort()


async def _serve(link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if link.cut:
        writer.transport.abort()
        return
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", link.target)
    except OSError:
        writer.transport.abort()
        return
    pair = {writer, far_writer}
    link.open |= pair
    try:
        await asyncio.gather(
            _pass(link, reader, far_writer, answer=False), _pass(link, far_reader, writer, answer=True)
        )
    finally:
        link.open -= pair
        for each in pair:
            each.transport.abort()


async def _pass(
    link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer: bool
) -> None:
    try:
        while data := await reader.read(CHUNK):
            if answer and link.late:
                await asyncio.sleep(link.late)
            if answer and link.garbage:
                link.garbage -= 1
                link.garbled += 1
                writer.write(GARBAGE)
                writer.close()  # else later answers would be taken for those of other requests
                return
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()
