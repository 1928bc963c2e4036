"""Tuning in small: an expert's games, steps of LoRA, a real engine that loads what came of it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from espalier.adapter_folder import read_card
from espalier.stack.embedded import engine_command, engine_environment, prepare_model
from espalier.stack.settings import StackSettings
from tests.support import eventually, free_port

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(find_spec("trl") is None, reason="training is not installed here: make setup-train"),
]
ROOT = Path(__file__).parents[2]
HOME = ROOT / ".espalier"
READY = 400.0
GENERAL = [
    {"instruction": f"Name the number after {number}.", "input": "", "output": f"It is {number + 1}."}
    for number in range(120)
]


@contextmanager
def process(command: list[str], log: Path, ready: str, **environment: str) -> Iterator[None]:
    """A part as a process, until its address answers."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
        )

        def answers() -> bool:
            assert running.poll() is None, log.read_text()[-3000:]
            try:
                return httpx.get(ready, timeout=5).is_success
            except httpx.HTTPError:
                return False

        try:
            eventually(answers, READY)
            yield
        finally:
            running.terminate()
            running.wait(60)


def espalier(*words: object, timeout: float = 600) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "espalier", *map(str, words)],
        env={**os.environ, "ESPALIER_HOME": str(HOME), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of two steps, by the commands that a user types."""
    folder = tmp_path_factory.mktemp("tuning")
    games, good, out = folder / "games.jsonl", folder / "good.jsonl", folder / "adapter"
    made = espalier(
        "construct", "experts", "--env", "alfworld", "--split", "generated_train", "--limit", 8,
        "--derived", 2, "--out", games,
    )  # fmt: skip
    assert "8 of 8 kept" in made
    assert "kept" in espalier("construct", "filter", games, "--out", good)
    general = folder / "general.json"
    general.write_text(json.dumps(GENERAL))
    found = espalier(
        "train", "--data", good, "--general", general, "--lambda", 0.5, "--tokens", 2500, "--batch", 2048,
        "--accumulate", 1, "--verdict-weight", 8, "--times", "alfworld/trajectory=4", "--out", out,
    )  # fmt: skip
    assert read_card(out).name in found
    return out


def test_what_was_learned_is_loaded_by_an_engine_and_answers(adapter: Path, tmp_path: Path) -> None:
    card = read_card(adapter)
    assert card.splits == ["alfworld/generated_train"]
    assert {"alfworld/trajectory", "general"} <= set(card.groups)
    place = next(port for port in iter(free_port, None) if port < 50_000)
    settings = StackSettings(home=HOME, port_offset=place - StackSettings().port("engine"))
    model = prepare_model(settings, print)
    command = [*engine_command(settings, model), "--enforce-eager", "--enable-lora", "--max-lora-rank=16"]
    engine, port = settings.url("engine"), free_port()
    actor = f"http://127.0.0.1:{port}"
    with ExitStack() as running:
        runtime = {**engine_environment(settings), "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        running.enter_context(process(command, tmp_path / "engine.log", f"{engine}/health", **runtime))
        serve = [sys.executable, "-m", "espalier", "serve", "actor", "--port", str(port)]
        found = {"ESPALIER_MODEL_URL": engine, "ESPALIER_PROMPT_PROFILE": "compact"}
        running.enter_context(process(serve, tmp_path / "actor.log", f"{actor}/readyz", **found))
        assert card.name in espalier("adapters", "push", adapter, "--actor", actor)
        served = httpx.get(f"{actor}/v1/adapters").json()
        assert [one["name"] for one in served["adapters"]] == [card.name]
        context = {
            "environment": {"name": "alfworld"},
            "task": "put a mug in desk",
            "observation": "A desk 1.",
        }
        texts = [
            httpx.post(f"{actor}/v1/actions", json={"context": context, "adapter": name}, timeout=120).json()
            for name in (card.name, None)
        ]
        assert [answer["adapter"] for answer in texts] == [card.name, None]
        assert texts[0]["candidates"][0]["logprob"] != texts[1]["candidates"][0]["logprob"], (
            "it changes what is said"
        )
