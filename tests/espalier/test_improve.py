"""`espalier improve`: what a round does, when it ends, and how it goes on."""

import json
from pathlib import Path

import click
import pytest
import typer

from espalier.cli import app
from espalier.improve import Command, History, ImproveError, Plan, improve
from tests.conftest import ROOT

SHIPPED = "agent"


class Commands:
    """Does what commands do to files, and keeps what was run.

    Args:
        rewards: The mean reward of each adapter on the unseen tasks, in the order in which they are measured.
        fails: A command that fails, by its first words.
    """

    def __init__(self, rewards: list[float], fails: str = "") -> None:
        self._rewards = rewards
        self.fails = fails
        self.run: list[list[str]] = []

    def __call__(self, command: Command) -> None:
        self.run.append(list(command))
        line = " ".join(command)
        if self.fails and line.startswith(self.fails):
            raise ImproveError(f"{line} failed")
        out = Path(command[command.index("--out") + 1]) if "--out" in command else None
        if out is None:
            return
        if command[0] == "construct":
            out.write_text("{}\n")
        elif command[0] == "train":
            out.mkdir(exist_ok=True)
            for name in ("card.json", "adapter_config.json", "adapter_model.safetensors"):
                (out / name).write_bytes((ROOT / "training/adapters/agent" / name).read_bytes())
        else:
            out.mkdir(exist_ok=True)
            reward = self._rewards.pop(0)
            found = {"success_rate": reward, "mean_reward": reward, "n": 10}
            (out / "summary.json").write_text(json.dumps(found))

    def named(self, start: str) -> list[list[str]]:
        return [one for one in self.run if " ".join(one).startswith(start)]


def plan(**changes: object) -> Plan:
    given = {
        "env": "dbbench",
        "split": "generated_train",
        "unseen": "wiki_unseen",
        "rounds": 3,
        "limit": 20,
        "eval_limit": 10,
        "tokens": 1000,
        "data": [],
        "general": [Path("general.json")],
        "share": 0.9,
        "learning_rate": 1e-4,
        "corrections": 3,
        "temperature": 0.0,
        "seed": 5,
        "adapter": SHIPPED,
    }
    return Plan.model_validate(given | changes)


def go(tmp_path: Path, commands: Commands, **changes: object) -> History:
    return improve(plan(**changes), tmp_path, commands, "http://127.0.0.1:1", lambda line: None)


def test_rounds_go_on_while_unseen_tasks_gain_and_the_best_is_served(tmp_path: Path) -> None:
    commands = Commands([0.3, 0.5, 0.5, 0.9])
    history = go(tmp_path, commands)
    assert [score.mean_reward for score in history.scores] == [0.3, 0.5, 0.5], (
        "the second round gained nothing"
    )
    assert history.best.adapter == str(tmp_path / "adapter-1")
    assert commands.run[-1] == ["adapters", "push", str(tmp_path / "adapter-1")]
    second = commands.named("train")[1]
    assert second[second.index("--from") + 1] == str(tmp_path / "adapter-1")
    assert [path for path in second if path.endswith(".good.jsonl")] == [
        str(tmp_path / "round-1.good.jsonl"),
        str(tmp_path / "round-2.good.jsonl"),
    ]
    seeds = [one[one.index("--seed") + 1] for one in commands.named("construct corrected")]
    assert seeds == ["6", "7"], "each round plays other tasks"


def test_each_round_plays_the_adapter_that_it_goes_on_from(tmp_path: Path) -> None:
    commands = Commands([0.3, 0.5, 0.4])
    go(tmp_path, commands)
    for place, command in enumerate(commands.run):
        if command[:2] == ["construct", "corrected"]:
            learned = next(one for one in commands.run[place:] if one[0] == "train")
            served = [one[2] for one in commands.run[:place] if one[:2] == ["adapters", "push"]][-1]
            assert served in (SHIPPED, learned[learned.index("--from") + 1])
    with pytest.raises(ImproveError, match="another --unseen"):
        go(tmp_path, Commands([]), unseen="generated_train")


def test_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    with pytest.raises(ImproveError):
        go(tmp_path, Commands([0.3, 0.5], fails=f"train --from {tmp_path}"))
    commands = Commands([0.8, 0.7])
    history = go(tmp_path, commands)
    assert [score.mean_reward for score in history.scores] == [0.3, 0.5, 0.8, 0.7][: len(history.scores)]
    assert not any("adapter-1" in one[-1] for one in commands.named("train")), "round 1 is done"
    again = Commands([])
    assert go(tmp_path, again, rounds=len(history.scores) - 1) == history
    assert not again.named("train")


def test_another_plan_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    go(tmp_path, Commands([0.3, 0.1]), rounds=1)
    with pytest.raises(ImproveError, match="another plan"):
        go(tmp_path, Commands([0.3]), tokens=5)
    (tmp_path / "improve.json").write_text("{")
    with pytest.raises(ImproveError, match="cannot be read"):
        go(tmp_path, Commands([0.3]))


def test_a_round_without_corrected_runs_says_where_the_reasons_are(tmp_path: Path) -> None:
    class Nothing(Commands):
        def __call__(self, command: Command) -> None:
            if list(command[:2]) != ["construct", "corrected"]:
                super().__call__(command)

    with pytest.raises(ImproveError, match=r"rejected\.jsonl"):
        go(tmp_path, Nothing([0.3]))


def test_every_command_of_a_round_is_one_that_exists(tmp_path: Path) -> None:
    commands = Commands([0.3, 0.2])
    go(tmp_path, commands, rounds=1, options=["--batch", "2048", "--compile"])
    known = typer.main.get_command(app)
    for command in commands.run:
        group, left = known, list(command)
        while isinstance(group, click.Group):
            name, group, left = group.resolve_command(click.Context(group), left)
            assert group is not None, name
        assert group.make_context(command[0], left) is not None
