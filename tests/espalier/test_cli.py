"""The `espalier` command against a whole stack with a scripted model."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from uvicorn.importer import import_from_string

from espalier.cli import main, parse_params
from espalier.client import Espalier
from espalier.serve import FACTORIES
from evaluation.samples import SEED_STRIDE
from services.contracts.episode import Episode, State
from tests.integration.conftest import Stack, act
from tests.support import free_port

PROMISED = {
    *("env", "split", "method", "model", "feedback", "n", "failed", "success_rate", "mean_reward", "ci95"),
    *("steps_mean", "invalid_action_rate", "format_error_rate", "loop_rate", "llm_calls", "prompt_tokens"),
    *("cached_tokens", "completion_tokens", "wall_s", "adapter", "profile", "num_branch", "num_path"),
    *("max_steps", "seed", "version", "success_rate_failed_as_zero"),
}
"""What DESIGN and PROTOCOL promise of `summary.json`."""


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def espalier(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Types a command; its exit code and what it printed."""
    monkeypatch.setenv("ESPALIER_URL", stack.url)
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["espalier", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else int(code is not None), printed.out, printed.err)

    return command


RUN = ("run", "--env", "twin", "--task", "corridors/1", "--method", "react")


def total(stack: Stack) -> int:
    """How many episodes there are."""
    with Espalier(stack.url) as client:
        return len(client.list(limit=200).episodes)


def test_tasks_are_listed_over_pages(espalier: Command) -> None:
    found = espalier("tasks", "--env", "twin", "--split", "corridors", "--limit", "3")
    assert found.code == 0
    assert [line.split("\t")[0] for line in found.out.splitlines()] == [f"corridors/{n}" for n in range(3)]
    assert found.out.splitlines()[0].endswith("Go 1 cells north.")


def test_a_run_draws_the_tree_and_says_solved(espalier: Command, worker: str) -> None:
    found = espalier("run", "--env", "twin", "--task", "corridors/1", "--method", "tmbr")
    assert found.code == 0, found.err
    assert found.out.splitlines()[-1] == "solved"
    for part in ("Go 2 cells north.", "path 0.0", "1. look", "north", "good enough", "model calls", "cached"):
        assert part in found.out


def test_a_run_that_does_not_solve_ends_well_all_the_same(
    espalier: Command, stack: Stack, worker: str
) -> None:
    stack.model.script = act("THOUGHT: hm\nACTION: look")
    try:
        found = espalier(*RUN, "--max-steps", "2")
    finally:
        stack.model.script = act("THOUGHT: on\nACTION: north")
    assert (found.code, found.out.splitlines()[-1]) == (0, "not solved")


def test_a_run_as_json_is_the_record(espalier: Command, worker: str) -> None:
    found = espalier(*RUN, "--seed", "7", "--json")
    episode = Episode.model_validate_json(found.out)
    assert (found.code, episode.state, episode.request.seed) == (0, State.COMPLETED, 7)
    assert episode.figures is not None
    assert episode.figures.steps == 2


def test_a_recorded_episode_is_replayed(espalier: Command, stack: Stack, worker: str) -> None:
    episode = json.loads(espalier(*RUN, "--json").out)["id"]
    asked = len(stack.model.log)
    found = espalier("replay", episode)
    assert (found.code, "identical" in found.out) == (0, True)
    assert len(stack.model.log) == asked, "a replay asks no model"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--env", "nowhere", "--task", "x"), ("'nowhere' is not one of", "allowed: away, twin")),
        (("tasks", "--env", "nowhere"), ("'nowhere' is not one of", "allowed: away, twin")),
        ((*RUN[:-1], "magic"), ("'magic' is not one of", "allowed: best_of_n, cot, io")),
        ((*RUN, "--num-branch", "99"), ("num_branch", "16")),
        ((*RUN, "--num-branch", "3"), ("react does not use",)),
        ((*RUN, "--adapter", "actor@00000000"), ("not served",)),
        (("run", "--env", "twin", "--task", "corridors/999"), ("corridors/999", "/tasks")),
        (("replay", "ep_nothing"), ("There is no episode ep_nothing",)),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    espalier: Command, words: tuple[str, ...], says: tuple[str, ...]
) -> None:
    found = espalier(*words)
    assert found.code == 1
    assert found.err.startswith("error: ")
    assert "Traceback" not in found.err
    for part in says:
        assert part in found.err.replace("\n", " ")


@pytest.mark.parametrize("words", [("run",), ("run", "--env", "twin", "--feedback", "god"), ("prune",)])
def test_misuse_is_2(espalier: Command, words: tuple[str, ...]) -> None:
    assert espalier(*words).code == 2


def test_nobody_there_is_told(espalier: Command) -> None:
    found = espalier("tasks", "--env", "twin", "--url", f"http://127.0.0.1:{free_port()}")
    assert found.code == 1
    assert "is the stack up" in found.err


def test_without_a_stack_status_and_down_say_so(espalier: Command) -> None:
    assert espalier("status").code == 1
    assert (espalier("down").code, espalier("down").out.strip()) == (0, "nothing is up")


@pytest.mark.parametrize("part", sorted(set(FACTORIES) - {"worker"}))
def test_a_part_told_to_listen_off_loopback_needs_a_key(
    espalier: Command, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def load(target: str, **_options: object) -> None:
        """As uvicorn does, without serving."""
        import_from_string(target)()

    monkeypatch.setattr("uvicorn.run", load)
    for name in ("ESPALIER_HOST", "ESPALIER_API_KEYS", "ESPALIER_MODEL_KEY"):
        monkeypatch.setenv(name, "")  # so that it is set back, whatever the command sets
        monkeypatch.delenv(name)
    monkeypatch.setenv("ESPALIER_ROUTER_ENGINES", "http://127.0.0.1:1")  # the router serves nothing without
    refused = espalier("serve", part, "--host", "0.0.0.0")
    assert (refused.code, "without authentication" in refused.err) == (1, True)
    assert espalier("serve", part, "--host", "127.0.0.1").code == 0


def test_a_part_that_is_none_is_told(espalier: Command) -> None:
    found = espalier("serve", "oven")
    assert (found.code, "planner" in found.err) == (2, True)


# Evaluation

EVAL = (
    "eval",
    "--env",
    "twin",
    "--split",
    "corridors",
    "--method",
    "react",
    "--max-steps",
    "2",
    "--limit",
    "4",
)


def test_parameters_of_a_method_are_json_or_texts() -> None:
    given = ["grammar=always", "parallel=true", "ratio=0.5", "name=a=b"]
    assert parse_params(given, 0.7) == {
        "temperature": 0.7,
        "grammar": "always",
        "parallel": True,
        "ratio": 0.5,
        "name": "a=b",
    }
    assert parse_params([], None) == {}


@pytest.mark.parametrize("given", [["grammar"], ["=x"], ["a=1", "a=2"], ["temperature=1"]])
def test_a_parameter_that_is_malformed_or_twice_is_refused(given: list[str]) -> None:
    with pytest.raises(typer.BadParameter, match="NAME=VALUE"):
        parse_params(given, 0.7)


def test_an_evaluation_is_written_and_not_run_twice(
    espalier: Command, stack: Stack, worker: str, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    first = espalier(*EVAL, "--out", str(out))
    assert first.code == 0, first.err
    summary = json.loads((out / "summary.json").read_text())
    assert json.loads(first.out) == summary
    assert set(summary) >= PROMISED
    assert (summary["n"], summary["failed"]) == (4, 0)
    assert summary["success_rate"] == 0.5, "corridors of 1 and 2 cells are walked in 2 steps, 3 and 4 are not"
    assert set(summary["ci95"]) == {"success_rate", "mean_reward"}
    assert summary["feedback"] == "judge"
    episodes = [Episode.model_validate_json(line) for line in (out / "episodes.jsonl").open()]
    assert {found.request.task_id for found in episodes} == {f"corridors/{n}" for n in range(4)}

    before = total(stack)
    again = espalier(*EVAL, "--out", str(out))
    assert json.loads(again.out) == summary
    assert total(stack) == before
    assert len((out / "episodes.jsonl").read_text().splitlines()) == 4


def test_an_interrupted_evaluation_takes_its_episodes_up(
    espalier: Command, stack: Stack, worker: str, tmp_path: Path
) -> None:
    """Lines are lost (the process was killed before it wrote them), the episodes are not."""
    out = tmp_path / "results"
    summary = json.loads(espalier(*EVAL, "--out", str(out)).out)
    path = out / "episodes.jsonl"
    lines = path.read_text().splitlines()
    path.write_text(f"{lines[0]}\n{lines[1][:50]}\n")
    before = total(stack)
    assert json.loads(espalier(*EVAL, "--out", str(out)).out) == summary
    assert total(stack) == before


def test_a_folder_of_another_policy_is_left_alone(espalier: Command, worker: str, tmp_path: Path) -> None:
    out = tmp_path / "results"
    espalier(*EVAL, "--out", str(out))
    kept = {path.name: path.read_bytes() for path in out.iterdir()}
    found = espalier(*EVAL, "--out", str(out), "--seed", "1")
    assert (found.code, "holds another run" in found.err) == (1, True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == kept


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--method", "magic"), "'magic'"),
        (("--split", "none"), "none"),
        (("--num-path", "3"), "does not use"),
    ],
)
def test_an_evaluation_that_cannot_begin_says_why(
    espalier: Command, tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    found = espalier(*EVAL, *change, "--out", str(tmp_path / "results"))
    assert found.code == 1
    assert found.err.count("error: ") == 1
    assert says in found.err
    assert "Traceback" not in found.err


def test_the_command_runs_samples_and_takes_them_up(
    espalier: Command, stack: Stack, worker: str, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    command = (*EVAL, "--samples", "2", "--temperature", "0.7", "--out", str(out))
    first = espalier(*command)
    assert first.code == 0, first.err
    found = json.loads((out / "samples.json").read_text())
    assert json.loads(first.out) == found
    assert (found["samples"], found["n"], found["pass_at_k"], found["temperature"]) == (2, 4, 0.5, 0.7)
    seeds: list[int] = []
    for number in (0, 1):
        lines = (out / f"sample-{number}" / "episodes.jsonl").read_text().splitlines()
        episodes = [Episode.model_validate_json(line) for line in lines]
        assert len(episodes) == 4
        assert all(one.request.params == {"temperature": 0.7} for one in episodes)
        seeds.append(episodes[0].request.seed)
    assert seeds == [0, SEED_STRIDE]
    assert json.loads(espalier(*command).out) == found, "no episode runs twice"
    greedy = espalier(*EVAL, "--samples", "2", "--out", str(tmp_path / "greedy"))
    assert (greedy.code, "give a temperature above 0" in greedy.err) == (1, True)


def test_a_mistake_does_not_take_the_folder(espalier: Command, worker: str, tmp_path: Path) -> None:
    out = tmp_path / "results"
    assert espalier(*EVAL, "--method", "magic", "--out", str(out)).code == 1
    assert espalier(*EVAL, "--out", str(out)).code == 0
