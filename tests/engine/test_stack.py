"""The real stack on this machine: vLLM on the CPU, ALFWorld's own engine, as a user starts it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from espalier.adapter_folder import CARD, CONFIG, compute_digest, read_card, write_card
from espalier.stack.adapters import SHIPPED
from services.contracts.card import Card
from services.contracts.episode import Episode, State
from tests.support import eventually

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
OFFSET = 2000
ESPALIER = [sys.executable, "-m", "espalier"]


class User:
    """Someone at a terminal, with a stack of their own."""

    def __init__(self, home: Path, data: Path) -> None:
        self.environment = {
            **os.environ,
            "ESPALIER_HOME": str(home),
            "ESPALIER_PORT_OFFSET": str(OFFSET),
            "ALFWORLD_DATA": str(data),
            "COLUMNS": "120",
        }

    def types(self, *words: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        """Type a command and wait for it."""
        return subprocess.run(
            [*ESPALIER, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@pytest.fixture(scope="module")
def user(official_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose stack is up; the caches of model and engine are the project's."""
    home = tmp_path_factory.mktemp("home")
    for kept in ("models", "cache"):
        (ROOT / ".espalier" / kept).mkdir(parents=True, exist_ok=True)
        (home / kept).symlink_to(ROOT / ".espalier" / kept)
    someone = User(home, official_data)
    started = someone.types("up", "--detach")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield someone
    finally:
        pids = [part["pid"] for part in json.loads((home / "run" / "stack.json").read_text())["parts"]]
        stopped = someone.types("down")
        assert stopped.stdout.strip() == "stopped"
        assert not [pid for pid in pids if psutil.pid_exists(pid)], "nothing is left behind"


def official_task(user: User) -> str:
    listed = user.types("tasks", "--env", "alfworld", "--split", "valid_seen", "--limit", "200")
    tasks = [line.split("\t")[0] for line in listed.stdout.splitlines()]
    assert len(tasks) == 140
    return tasks[0]


@pytest.mark.parametrize("method", ["react", "tmbr"])
def test_an_official_game_plays_through_the_command(user: User, method: str) -> None:
    run = ["run", "--env", "alfworld", "--task", official_task(user), "--method", method]
    ran = user.types(*run, "--max-steps", "4", "--seconds", "120", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    episode = Episode.model_validate_json(ran.stdout)
    assert episode.state is State.COMPLETED
    assert episode.result is not None
    assert episode.figures is not None
    usage, wall = episode.figures.usage, episode.figures.wall
    assert usage.calls > 0
    assert usage.prompt_tokens > usage.cached_tokens > 0, "the prefix cache serves what a path repeats"
    assert usage.completion_tokens > 0
    assert wall.model > wall.orchestration
    replayed = user.types("replay", episode.id)
    assert replayed.returncode == 0, replayed.stdout
    assert "identical" in replayed.stdout


def test_the_tree_is_drawn_and_the_last_line_says_solved_or_not(user: User) -> None:
    ran = user.types(
        "run", "--env", "alfworld", "--task", "generated_valid/1", "--method", "tmbr", "--max-steps", "2"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "path 0.0" in ran.stdout
    assert "plan" in ran.stdout
    assert ran.stdout.strip().splitlines()[-1] in ("solved", "not solved")


@pytest.mark.parametrize("environment", ["webshop", "mind2web", "os_interaction", "dbbench"])
def test_every_environment_is_evaluated(user: User, environment: str, tmp_path: Path) -> None:
    evaluate = [
        "eval",
        "--env",
        environment,
        "--split",
        "generated_valid",
        "--method",
        "react",
        "--limit",
        "2",
    ]
    done = user.types(*evaluate, "--max-steps", "5", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["env"], summary["n"], summary["failed"]) == (environment, 2, 0)
    assert summary["steps_mean"] > 0
    assert summary["format_error_rate"] < 0.5, "the tuned model answers in the form that it learned"


def test_every_part_is_ready_and_a_second_stack_is_refused(user: User) -> None:
    status = user.types("status")
    assert status.returncode == 0, status.stdout
    assert status.stdout.count("ready") == 12
    again = user.types("up")
    assert again.returncode == 1
    assert "up already" in again.stdout


def test_the_engine_that_dies_is_started_again_and_the_episode_goes_on(user: User) -> None:
    created = httpx.post(
        f"http://127.0.0.1:{8000 + OFFSET}/v1/episodes",
        json={"environment": "alfworld", "task_id": "generated_valid/2", "method": "react", "max_steps": 6},
        timeout=60,
    )
    assert created.status_code == 202, created.text
    home = Path(user.environment["ESPALIER_HOME"])
    parts = json.loads((home / "run" / "stack.json").read_text())["parts"]
    engine = next(part for part in parts if part["name"] == "engine")
    os.killpg(engine["pid"], 9)
    episode = created.json()["id"]
    with httpx.stream(
        "GET", f"http://127.0.0.1:{8000 + OFFSET}/v1/episodes/{episode}/events", timeout=300
    ) as stream:
        last = [line for line in stream.iter_lines() if line.startswith("event:")][-1]
    assert last == "event: episode.completed"


def weaker_adapter(folder: Path) -> str:
    """The shipped adapter at a little less than its strength, as an adapter of its own; its name."""
    shutil.copytree(SHIPPED / "agent", folder)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"lora_alpha": config["lora_alpha"] * 0.98}))
    card = Card.model_validate_json((folder / CARD).read_text())
    made = card.model_copy(update={"name": f"agent@{compute_digest(folder)}", "measured": []})
    write_card(folder, made)
    return made.name


def test_merged_weights_are_swapped_while_episodes_run(user: User, tmp_path: Path) -> None:
    new, old = weaker_adapter(tmp_path / "weaker"), read_card(SHIPPED / "agent").name
    body = {"environment": "alfworld", "task_id": "generated_valid/2", "method": "react", "max_steps": 8}
    push = subprocess.Popen(
        [*ESPALIER, "adapters", "push", str(tmp_path / "weaker"), "--retire"],
        env=user.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    made: list[Episode] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{8000 + OFFSET}", timeout=60) as http:
        try:
            while len(made) < 150 and (push.poll() is None or not made):
                made.append(
                    Episode.model_validate_json(
                        http.post("/v1/episodes", json=body).raise_for_status().content
                    )
                )
                with contextlib.suppress(subprocess.TimeoutExpired):
                    push.wait(4)
            found = "".join(push.communicate(timeout=300))
        finally:
            push.kill()
        assert push.returncode == 0, found
        assert "engine has stopped" in found
        made.append(
            Episode.model_validate_json(http.post("/v1/episodes", json=body).raise_for_status().content)
        )
        assert (made[0].adapter, made[-1].adapter) == (old, new)
        for episode in made:
            ended = Episode.model_validate_json(finished(http, episode.id))
            assert (ended.state, ended.adapter) == (State.COMPLETED, episode.adapter)
    status = user.types("status")
    assert status.stdout.count("ready") == 12, status.stdout
    assert "engine-2" in status.stdout


def finished(http: httpx.Client, episode: str) -> bytes:
    answers: list[bytes] = []

    def ended() -> bool:
        answers.append(http.get(f"/v1/episodes/{episode}").raise_for_status().content)
        return Episode.model_validate_json(answers[-1]).state not in (State.QUEUED, State.RUNNING)

    eventually(ended, 200)
    return answers[-1]
