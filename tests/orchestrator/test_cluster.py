"""A real cluster of Valkey processes: every key of an episode in one slot, and a failover during a run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from services.orchestrator.settings import Branches, OrchestratorSettings, TenantLimits
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.store.jobs import JobStore
from tests.orchestrator.conftest import Bench
from tests.orchestrator.nodes import PASSWORD, Node, play_through, start_node
from tests.support import eventually, free_port

SLOTS = 16384
NODE_TIMEOUT = 1000
"""A master that is silent for so long is replaced, milliseconds."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[Node]]:
    """Three masters, and behind them their replicas."""
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT)]
    options += ["--cluster-announce-ip", "127.0.0.1"]
    nodes: list[Node] = []
    try:
        for number in range(6):
            bus = ["--cluster-port", str(free_port())]
            nodes.append(start_node(tmp_path / str(number), *options, *bus))
        for node in nodes:
            eventually(node.answers)
        for other in nodes[1:]:
            bus = str(_bus(other))
            nodes[0].send("CLUSTER", "MEET", "127.0.0.1", str(other.port), bus)
        for number, master in enumerate(nodes[:3]):
            first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
            master.send("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        eventually(lambda: all(node.send("CLUSTER", "NODES").count("@") == 6 for node in nodes))
        for replica, master in zip(nodes[3:], nodes[:3], strict=True):
            replica.send("CLUSTER", "REPLICATE", master.send("CLUSTER", "MYID"))
        eventually(lambda: all("cluster_state:ok" in _info(node) for node in nodes))
        eventually(lambda: all(node.replicates() for node in nodes[3:]))
        yield nodes
    finally:
        for node in nodes:
            node.end()


def _bus(node: Node) -> int:
    return int(node.send("CLUSTER", "NODES").split("@")[1].split()[0].split(",")[0])


def _info(node: Node) -> str:
    with contextlib.suppress(RedisError):
        return node.send("CLUSTER", "INFO").replace("'cluster_state': 'ok'", "cluster_state:ok")
    return ""


async def test_episodes_live_through_a_failover(cluster: list[Node]) -> None:
    settings = OrchestratorSettings(
        redis_url=f"redis://:{PASSWORD}@127.0.0.1:{cluster[0].port}",  # pyright: ignore[reportArgumentType]
        redis_cluster=True,
        partitions=4,
        branches=Branches.SPREAD,
        lease=2,
        watch=0.2,
        outage_pause=0.2,
        tenant_limits={"local": TenantLimits(episodes=1000, branches=1000, tokens_per_minute=10**9)},
    )
    await play_through(settings, lambda bench, episode: _master_of(cluster, bench, episode).process.kill())


async def test_the_memory_of_a_cluster_of_one_master_is_measured(tmp_path: Path) -> None:
    bus = ["--cluster-port", str(free_port()), "--cluster-announce-ip", "127.0.0.1"]
    node = start_node(tmp_path / "node", "--cluster-enabled", "yes", *bus)
    try:
        eventually(node.answers)
        node.send("CLUSTER", "ADDSLOTSRANGE", "0", str(SLOTS - 1))
        eventually(lambda: "cluster_state:ok" in _info(node))
        redis = RedisCluster(host="127.0.0.1", port=node.port, password=PASSWORD)
        try:
            used, limit = await EpisodeStore(redis, OrchestratorSettings(redis_cluster=True)).measure_memory()
        finally:
            await redis.aclose()
        assert 0 < used < limit
    finally:
        node.end()


def _master_of(cluster: list[Node], bench: Bench, episode: str) -> Node:
    key = bench.jobs.log_key(episode)
    slot = int(cluster[0].send("CLUSTER", "KEYSLOT", key))
    return cluster[min(2, slot * 3 // SLOTS)]


def test_all_keys_of_an_episode_lie_in_one_slot() -> None:
    store = EpisodeStore(RedisCluster(host="127.0.0.1", port=1), OrchestratorSettings(partitions=7))
    jobs = JobStore(store.redis, store.settings)
    for number in range(50):
        episode = f"ep_{number}"
        partition = jobs.partitions.of(episode)
        keys = [partition.episode(episode, part) for part in ("", "log", "branches", "texts")]
        keys += [partition.index, partition.ready, partition.leases, partition.wake, partition.live]
        keys += [partition.ended, partition.cleanup, partition.idempotency("k")]
        keys += [partition.tenant_live("a"), partition.spent]
        assert {key[key.index("{") : key.index("}")] for key in keys} == {"{" + f"p{partition.number:02}"}
