"""Held-out records in `espalier train`: what is evaluated, when a run stops, which weights are written."""

import json
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from espalier.adapter_folder import AdapterError, read_card
from espalier.cli import app
from espalier.stack.adapters import SHIPPED
from services.contracts.card import Card
from tests.training.support import record, turn
from tests.training.tiny import plan, train, trajectory
from training.construct.record import Record, append_records
from training.sft.examples import IGNORED, Example
from training.sft.mix import MixError

if TYPE_CHECKING:
    from training.sft.held_out import HeldOutRecords
    from training.sft.train import Plan

pytestmark = pytest.mark.skipif(
    find_spec("trl") is None, reason="training is not installed here: make setup-train"
)


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Runs as in the training data, of other tasks."""
    path = tmp_path / "held.jsonl"
    append_records(path, [trajectory(number) for number in range(100, 104)])
    return path


def rising(base: Path, data: Path, alpaca: Path, out: Path, patience: int = 2) -> "Plan":
    """A run that learns fast, and held-out actions that have little in common with what it learns."""
    from training.sft.held_out import HeldOut

    path = data.parent / "odd.jsonl"
    if not path.exists():
        turns = turn("XQZ 77%% KJ", "You see ZZ."), turn("WWVVUU 99", "Q")
        append_records(path, [record(*turns, task_id=f"generated_train/{number}") for number in (200, 201)])
    made = plan(base, data, alpaca, out, held_out=HeldOut([path], every=1, patience=patience))
    return replace(made, hyper=replace(made.hyper, learning_rate=6e-2))


def measured(plan: "Plan", adapter: Path) -> float:
    """The loss of a written adapter on the plan's held-out records."""
    from transformers import AutoTokenizer

    from training.sft.lora import rows, trainer
    from training.sft.train import read_pools

    tokenizer = AutoTokenizer.from_pretrained(str(plan.base))
    examples = list(read_pools(plan, print).held_out)
    out = plan.out.parent / "measured"
    made = trainer(plan.base, tokenizer, examples, out, plan.hyper, [], start=adapter)
    return made.measure_loss(rows([examples], 1.0))


def test_held_out_records_are_evaluated_and_change_nothing(
    base: Path, data: Path, alpaca: Path, held: Path, tmp_path: Path
) -> None:
    from training.sft.held_out import HeldOut

    plain = train(plan(base, data, alpaca, tmp_path / "plain"), print)
    watched = plan(base, data, alpaca, tmp_path / "watched", held_out=HeldOut([held], every=3))
    lines: list[str] = []
    card = train(watched, lines.append)
    assert card == read_card(tmp_path / "watched")
    assert card.name == plain.name, "the last weights are written, and no random number was drawn"
    assert card.losses == plain.losses
    steps = [step for step, _ in card.held_out]
    last = steps[-1]
    assert steps == [*range(3, last, 3), last]
    assert card.held_out[-1][1] < card.held_out[0][1]
    shown = f"step 3 of {last}, held-out loss {card.held_out[0][1]:.3f}, best {card.held_out[0][1]:.3f} at 3"
    assert shown in lines
    assert measured(watched, tmp_path / "watched") == pytest.approx(card.held_out[-1][1], abs=2e-3)
    assert (plain.held_out, plain.best_step, card.best_step) == ([], None, None)
    keys = set(json.loads((tmp_path / "plain" / "run.json").read_text()))
    assert keys == {"data", "base", "hyper"}, "a run of an earlier version goes on"
    with pytest.raises(MixError, match="holds another run"):
        train(replace(watched, held_out=HeldOut([held], every=2)), print)


class _StopError(Exception):
    pass


def test_a_run_stops_early_and_writes_the_best_weights(
    base: Path, data: Path, alpaca: Path, tmp_path: Path
) -> None:
    made = rising(base, data, alpaca, tmp_path / "whole")
    lines: list[str] = []
    card = train(made, lines.append)
    losses = dict(card.held_out)
    last = max(losses)
    assert card.best_step is not None
    assert card.best_step == min(losses, key=lambda step: losses[step]) == last - 2
    assert any(line.startswith(f"stopped at step {last} of 13") for line in lines)
    assert losses[last] > losses[card.best_step] + 0.02
    assert measured(made, made.out) == pytest.approx(losses[card.best_step], abs=4e-3)

    cut = rising(base, data, alpaca, tmp_path / "cut")

    def stop(line: str) -> None:
        if line.startswith(f"step {last} of 13, held-out"):
            raise _StopError

    with pytest.raises(_StopError):
        train(cut, stop)
    partial = cut.out / "checkpoints" / f"checkpoint-{last}"
    partial.mkdir()
    (partial / "adapter_model.safetensors").write_bytes(b"cut off while it was written")
    again: list[str] = []
    resumed = train(cut, again.append)
    assert (resumed.name, resumed.held_out, resumed.best_step) == (card.name, card.held_out, card.best_step)
    evaluated = [line for line in again if "held-out loss" in line and line.startswith("step")]
    assert [line.split()[1] for line in evaluated] == [str(last)], "earlier evaluations were kept"

    evaluated.clear()
    assert train(made, evaluated.append).name == card.name
    assert not any(line.startswith("step") for line in evaluated), "a run that has stopped learns no further"
    further = train(replace(made, held_out=replace(made.held_out, patience=100)), print)
    assert further.held_out[: len(losses)] == card.held_out
    assert further.held_out[-1][0] == 13
    gone = cut.out / "checkpoints" / f"checkpoint-{card.best_step}" / "adapter_model.safetensors"
    gone.unlink()
    with pytest.raises(AdapterError, match="--patience 0"):
        train(cut, print)


@pytest.mark.parametrize("learned", [trajectory(101), trajectory(101, valid=[True, False])])
def test_a_task_that_is_learned_cannot_be_held_out(
    base: Path, alpaca: Path, held: Path, tmp_path: Path, learned: Record
) -> None:
    from training.sft.held_out import HeldOut

    data = tmp_path / "both.jsonl"
    append_records(data, [trajectory(1), learned, trajectory(102)])
    made = plan(base, data, alpaca, tmp_path / "out", held_out=HeldOut([held]))
    with pytest.raises(
        MixError, match=r"alfworld/generated_train/101 is held out by .*held\.jsonl.*take"
    ) as found:
        train(made, print)
    assert "both.jsonl" in str(found.value)
    assert not (tmp_path / "out").exists()


def collected(*records: Record) -> "HeldOutRecords":
    from training.sft.held_out import HeldOutRecords

    return HeldOutRecords(list(records), {(one.environment, one.task_id): Path("held") for one in records})


def test_tasks_of_other_environments_and_roles_may_have_the_same_id(held: Path) -> None:
    from training.sft.held_out import read_held_out

    collected(trajectory(1)).check_apart(trajectory(1, environment="webshop"), Path("data"))
    assert len(read_held_out([held], ["actor"]).records) == 4
    assert read_held_out([held], ["judge"]).tasks == {}


def test_what_is_evaluated_is_drawn_by_the_seed_and_bounded() -> None:
    from training.sft.held_out import draw_held_out

    records = [trajectory(number) for number in range(40)]

    def encode(record: Record) -> Example | None:
        number = int(record.task_id.rpartition("/")[2])
        return Example([number], [number], "alfworld/trajectory") if number % 2 else None

    def numbers(most: int, seed: int) -> list[int]:
        return [example.input_ids[0] for example in draw_held_out(records, encode, most, seed)]

    assert len(numbers(7, 0)) == len(set(numbers(7, 0))) == 7
    assert numbers(7, 0) == numbers(7, 0) != numbers(7, 1)
    assert sorted(numbers(100, 0)) == list(range(1, 40, 2)), "what is too long is left out"
    with pytest.raises(MixError, match="raise --longest"):
        draw_held_out(records[::2], encode, 7, 0)


def test_the_best_is_lower_by_more_than_the_least_gain() -> None:
    from training.sft.held_out import find_best, is_exhausted

    slow = [(25, 0.7), (50, 0.6995), (75, 0.6985), (100, 0.698)]
    assert find_best(slow) == (75, 0.6985)
    assert not is_exhausted(slow, 2)
    assert is_exhausted(slow, 1)
    assert not is_exhausted(slow, 0)
    assert not is_exhausted([], 1)
    diverged = [(25, 0.7), (50, math.nan), (75, math.inf)]
    assert find_best(diverged) == (25, 0.7)
    assert is_exhausted(diverged, 2)
    assert find_best(diverged[1:]) is None
    assert is_exhausted(diverged[1:], 2)


def test_the_loss_is_a_mean_over_tokens_of_equal_weight(base: Path, tokenizer: Any, tmp_path: Path) -> None:
    import torch

    from training.sft.lora import Hyper, rows, trainer

    long, short = list(range(20, 60)), list(range(60, 80))
    action = Example(long, [IGNORED] * 10 + long[10:], "alfworld/trajectory")
    verdict = Example(short, [IGNORED] * 19 + short[19:], "alfworld/selection")
    hyper = Hyper(rank=4, alpha=8, dropout=0.5, verdict_weight=16)
    made: Any = trainer(base, tokenizer, [action, verdict], tmp_path / "run", hyper, [])
    for name, parameter in made.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)  # at 0, as they begin, dropout would change nothing
    made.model.train()
    found = made.measure_loss(rows([[action], [verdict]], 1.0))
    assert made.model.training
    assert all(parameter.grad is None for parameter in made.model.parameters())
    made.model.eval()
    with torch.no_grad():
        sums = [
            made.model(
                input_ids=torch.tensor([example.input_ids]), labels=torch.tensor([example.labels])
            ).loss.item()
            * sum(label != IGNORED for label in example.labels)
            for example in (action, verdict)
        ]
    assert found == pytest.approx(sum(sums) / 31, rel=1e-4)


def test_the_curve_has_a_second_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    from training.sft.train import plot

    drawn: list[list[Any]] = []
    draw = Axes.plot

    def watched(axes: Axes, *xy: Any, **style: Any) -> Any:
        drawn.append([list(one) for one in xy])
        return draw(axes, *xy, **style)

    monkeypatch.setattr(Axes, "plot", watched)
    old = read_card(SHIPPED / "agent")
    assert (old.held_out, old.best_step) == ([], None), "a card without the fields is read"
    plot(old, tmp_path / "old.png")
    assert len(drawn) == 1
    plot(old.model_copy(update={"held_out": [(25, 0.7), (50, 0.6)]}), tmp_path / "new.png")
    assert drawn[2] == [[25, 50], [0.7, 0.6]]


@pytest.mark.parametrize("wrong", [{"every": 0}, {"most": 0}, {"patience": -1}, {"patience": 1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    from training.sft.held_out import HeldOut

    with pytest.raises(MixError, match="--held-out" if wrong == {"patience": 1} else "got"):
        HeldOut(**wrong)


def test_the_command_hands_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.sft import train as module
    from training.sft.held_out import HeldOut

    plans: list[Plan] = []

    def learn(plan: "Plan", report: object) -> Card:
        plans.append(plan)
        return read_card(SHIPPED / "agent")

    monkeypatch.setattr(module, "train", learn)
    common = ["train", "--data", "a", "--out", str(tmp_path / "out"), "--base", str(tmp_path)]
    options = ["--held-out", "b", "--held-out", "c", "--held-out-every", "5", "--held-out-most", "9"]
    assert CliRunner().invoke(app, [*common, *options, "--patience", "2"]).exit_code == 0
    assert CliRunner().invoke(app, common).exit_code == 0
    assert plans[0].held_out == HeldOut(paths=[Path("b"), Path("c")], every=5, most=9, patience=2)
    assert plans[1].held_out == HeldOut(paths=[], every=25, most=200, patience=0)
    refused = CliRunner().invoke(app, [*common, "--patience", "2"])
    assert refused.exit_code == 1
    assert "--held-out" in refused.output
