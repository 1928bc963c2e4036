"""Processes of parts that get SIGTERM: what is in flight is finished, and they end with 0."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.conftest import Bench
from tests.support import eventually, free_port

Start = Callable[..., tuple["subprocess.Popen[bytes]", httpx.Client]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a part and returns its process and a client of it."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(part: str, **settings: str) -> tuple["subprocess.Popen[bytes]", httpx.Client]:
        port = free_port()
        command = [sys.executable, "-m", "espalier", "serve", part, "--port", str(port)]
        environment = os.environ | {"ESPALIER_HOME": str(tmp_path)} | settings
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        processes.append(process)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

        def answers() -> bool:
            assert process.poll() is None
            try:
                return client.get("/metrics").status_code == 200
            except httpx.HTTPError:
                return False

        eventually(answers)
        return process, client

    yield begin
    for process in processes:
        process.kill()
        process.wait(10)


def test_a_request_in_flight_is_answered(start: Start) -> None:
    process, http = start("scripted-model", ESPALIER_SCRIPTED_LATENCY="3")
    (model,) = [each["id"] for each in http.get("/v1/models").json()["data"]]
    body = {"model": model, "messages": [{"role": "user", "content": "go"}]}
    running = re.compile(r"^vllm:num_requests_running\{.*\} 1\.0$", re.MULTILINE)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(http.post, "/v1/chat/completions", json=body)
        eventually(lambda: running.search(http.get("/metrics").text))
        process.terminate()
        answer = asked.result(60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"]
    assert process.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        http.get("/healthz")


async def test_an_open_stream_holds_no_orchestrator_up(
    bench: Bench, settings: OrchestratorSettings, start: Start
) -> None:
    episode, _ = await bench.create()
    process, http = start("orchestrator", ESPALIER_REDIS_URL=settings.redis_url.get_secret_value())
    with http.stream("GET", f"/v1/episodes/{episode}/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("id: ")
        process.terminate()
        try:
            rest = list(lines)
        except httpx.HTTPError:
            rest = []
    assert not [line for line in rest if "episode.completed" in line]
    assert process.wait(20) == 0
