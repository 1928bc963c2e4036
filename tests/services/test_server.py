"""Connections that hold a place and send nothing."""

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from services.kit.server import GuardedProtocol, server_options
from services.kit.settings import Settings
from tests.services.test_door import probe
from tests.support import eventually, free_port


class Hasty(GuardedProtocol):
    """Waits for a moment only."""

    header_seconds = 0.3


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    options = {**server_options(Settings()), "http": Hasty}
    config = uvicorn.Config(probe(), host="127.0.0.1", port=free_port(), **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    yield config.port
    server.should_exit = True
    thread.join(20)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HT",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nGET /he",
    ],
)
async def test_a_connection_whose_request_does_not_come_is_closed(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 60)
    assert answer.startswith(b"HTTP/1.1 200") == (b"\r\n\r\n" in sent)
    writer.close()


def test_requests_that_come_are_answered_on_one_connection(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert [client.get("/healthz").status_code for _ in range(3)] == [200] * 3
