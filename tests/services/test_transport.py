"""What becomes of connections that break: named rightly, repeated, and no timeouts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.kit.failures import OutageError
from services.kit.upstream import Upstream
from tests.support import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A server whose connections are numbered."""
    count = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        try:
            await answer(reader, writer, count)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_kept_connection_that_the_server_has_closed_is_no_outage() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()  # and closes, though it has promised to keep the connection

    async with serving(answer) as url:
        part = Upstream("actor", url)
        for _ in range(5):
            assert (await part.request("GET", "/")).status_code == 200
        await part.close()


@pytest.mark.parametrize(
    "broken", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", b"nonsense\r\n\r\n"]
)
async def test_an_answer_that_breaks_off_is_requested_again(broken: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(broken if count < 3 else OK)
        await writer.drain()

    async with serving(answer) as url:
        part = Upstream("actor", url)
        assert (await part.request("POST", "/v1/actions", {"a": 1})).status_code == 200
        await part.close()


async def test_a_refused_connection_is_named_so() -> None:
    part = Upstream("actor", f"http://127.0.0.1:{free_port()}", retry_for=0.1)
    assert "ConnectError" in (await part.alive() or "")
    with pytest.raises(OutageError, match="ConnectError"):
        await part.request("GET", "/")
    await part.close()


async def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        await reader.read()

    async with serving(answer) as url:
        part = Upstream("actor", url, timeout=0.2)
        with pytest.raises(OutageError, match="no answer"):
            await part.request("GET", "/")
        assert await part.alive() is not None
        await part.close()
