"""Redis behind sentinels and behind TLS."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from services.orchestrator.connection import connect
from services.orchestrator.settings import Branches, OrchestratorSettings
from services.orchestrator.store.errors import SettingsError
from tests.orchestrator.nodes import PASSWORD, Node, play_through, run_valkey, start_node
from tests.support import eventually, free_port

SENTINEL = """
port {port}
requirepass sentinels-{password}
sentinel monitor primary 127.0.0.1 {master} 1
sentinel auth-pass primary {password}
sentinel down-after-milliseconds primary 1000
sentinel failover-timeout primary 3000
"""


@dataclass
class Guarded:
    """A master with a replica, and the sentinel that watches them."""

    master: Node
    url: str


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    nodes = [start_node(tmp_path / "master")]
    sentinel: subprocess.Popen[bytes] | None = None
    try:
        nodes.append(start_node(tmp_path / "replica", "--replicaof", f"127.0.0.1 {nodes[0].port}"))
        for node in nodes:
            eventually(node.answers)
        eventually(nodes[1].replicates)
        port = free_port()
        file = tmp_path / "sentinel.conf"
        file.write_text(SENTINEL.format(port=port, master=nodes[0].port, password=PASSWORD))
        sentinel = run_valkey(tmp_path, str(file), "--sentinel")

        def watches() -> bool:
            try:
                with redis.Redis(port=port, password=f"sentinels-{PASSWORD}") as client:
                    return len(client.sentinel_slaves("primary")) == 1
            except redis.RedisError:
                return False

        eventually(watches)
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{port}"  # the first one is away
        url = f"redis+sentinel://:{PASSWORD}@{hosts}/primary/0?sentinel_password=sentinels-{PASSWORD}"
        yield Guarded(nodes[0], url)
    finally:
        if sentinel is not None:
            sentinel.kill()
            sentinel.wait(10)
        for node in nodes:
            node.end()


async def test_episodes_live_through_a_failover_by_sentinel(guarded: Guarded) -> None:
    settings = OrchestratorSettings(
        redis_url=guarded.url,  # pyright: ignore[reportArgumentType]
        branches=Branches.SPREAD,
        lease=2,
        watch=0.2,
        outage_pause=0.2,
    )
    await play_through(settings, lambda bench, episode: guarded.master.process.kill())


@pytest.mark.parametrize(
    ("url", "cluster", "says"),
    [
        ("redis+sentinel://host:26379", False, "names no master"),
        ("redis+sentinel://:1,:2/primary", False, "no host"),
        ("redis+sentinel://host:port/primary", False, "such as"),
        ("redis+sentinel://host:26379/primary/x", False, "such as"),
        ("redis+sentinel://host:26379/primary", True, "cluster"),
    ],
)
async def test_an_address_of_sentinels_that_is_none_is_refused(url: str, cluster: bool, says: str) -> None:
    settings = OrchestratorSettings(redis_url=url, redis_cluster=cluster)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SettingsError, match=says):
        async with connect(settings):
            pass


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that is its own authority, in one file."""
    file = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=redis", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key.pem"), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text((tmp_path / "key.pem").read_text() + file.read_text())
    return file


@pytest.fixture
async def encrypted(valkey: str, certificate: Path) -> AsyncIterator[int]:
    """A port where the Valkey is reached over TLS."""
    port = int(valkey.rpartition(":")[2].partition("/")[0])

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            target.write(chunk)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain_reader, plain_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, plain_writer), copy(plain_reader, writer), return_exceptions=True)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_redis_behind_tls_is_believed_by_its_certificate(encrypted: int, certificate: Path) -> None:
    async def ping(url: str) -> bool:
        async with connect(OrchestratorSettings(redis_url=url)) as client:  # pyright: ignore[reportArgumentType]
            return bool(await client.ping())  # pyright: ignore[reportGeneralTypeIssues]

    url = f"rediss://127.0.0.1:{encrypted}/0"
    assert await ping(f"{url}?ssl_ca_certs={certificate}")
    with pytest.raises(redis.ConnectionError, match="certificate"):
        await ping(url)
    with pytest.raises(redis.ConnectionError):
        await ping(f"redis://127.0.0.1:{encrypted}/0")
