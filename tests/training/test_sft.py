"""Training with a model of a few thousand weights: the mix, what bears loss, the run, the card, resuming."""

import copy
import json
import random
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from espalier.adapter_folder import AdapterError, read_card
from services.prompting import Renderer, load_profile
from tests.training.tiny import CHAT, plan, train, trajectory
from training.construct.record import append_records
from training.sft.examples import (
    IGNORED,
    ChatTemplateError,
    Example,
    GeneralDataError,
    Tokens,
    general,
    spoken,
)
from training.sft.mix import MixError, mix, taken

pytestmark = pytest.mark.skipif(
    find_spec("trl") is None, reason="training is not installed here: make setup-train"
)


@pytest.fixture
def lines() -> list[str]:
    """What a run tells."""
    return []


def said(example: Example, tokenizer: Any) -> str:
    return tokenizer.decode([label for label in example.labels if label != IGNORED])


@pytest.mark.parametrize(
    ("changes", "learned"),
    [
        ({}, ["go to desk 1", "take pen"]),
        ({"valid": [True, False]}, ["go to desk 1"]),
        ({"valid": [True, True], "taught": [False, True]}, ["take pen"]),
    ],
)
def test_loss_is_on_what_is_to_be_learned(
    tokenizer: Any, changes: dict[str, Any], learned: list[str]
) -> None:
    renderer = Renderer(load_profile("compact"))
    example = Tokens(tokenizer, 4096).example(spoken(trajectory(**changes), renderer))
    assert example is not None
    assert said(example, tokenizer).count("<|im_end|>") == len(learned)
    for action in ("go to desk 1", "take pen"):
        assert (action in said(example, tokenizer)) == (action in learned)
    assert "You see a pen" in tokenizer.decode(example.input_ids)
    assert Tokens(tokenizer, 8).example(spoken(trajectory(), renderer)) is None


LAST_THINKS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if loop.last and message['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DROPS_EARLIER = (
    "{% for message in messages %}{% if loop.last or message['role'] != 'system' %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COUNTS_TURNS = "{{ messages | length }}" + CHAT


@pytest.mark.parametrize("template", [LAST_THINKS, COUNTS_TURNS])
def test_a_template_that_rewrites_earlier_turns_is_refused(tokenizer: Any, template: str) -> None:
    rewriting = copy.deepcopy(tokenizer)
    rewriting.chat_template = template
    chat = spoken(trajectory(), Renderer(load_profile("compact")))
    with pytest.raises(ChatTemplateError, match="earlier turns"):
        Tokens(rewriting, 4096).example(chat)


def test_a_template_that_leaves_out_the_system_prompt_is_taken(tokenizer: Any) -> None:
    leaving = copy.deepcopy(tokenizer)
    leaving.chat_template = DROPS_EARLIER
    example = Tokens(leaving, 4096).example(spoken(trajectory(), Renderer(load_profile("compact"))))
    assert example is not None
    assert "take pen" in said(example, leaving)
    assert "You see a pen" not in said(example, leaving)


def test_general_data_is_read_and_its_last_held_out(alpaca: Path, tmp_path: Path) -> None:
    assert len(list(general([alpaca], 2))) == 4
    lines = tmp_path / "self.jsonl"
    instances = [{"input": "A", "output": "B"}]
    lines.write_text(json.dumps({"instruction": "Do.", "instances": instances}) + "\n")
    (chat,) = general([lines], 0)
    assert [message["content"] for message in chat.messages] == ["Do.\n\nA", "B"]
    for bad in ("[{}]", "{", '[{"instruction": "x"}]'):
        (tmp_path / "bad.json").write_text(bad)
        with pytest.raises(GeneralDataError, match=r"bad\.json"):
            list(general([tmp_path / "bad.json"], 0))


def drawn(share: float, seed: int = 0) -> list[Example]:
    agent = [Example([n] * 10, [n] * 10, "agent") for n in range(50)]
    plain = [Example([n] * 10, [n] * 10, "general") for n in range(50)]
    return mix(agent if share else [], plain if share < 1 else [], share, 10_000, seed)


def test_kinds_are_taken_as_often_as_was_said() -> None:
    kinds = {"webshop/selection": 8, "alfworld/step": 8, "alfworld/path": 8, "dbbench/path": 3}
    agent = [Example([number], [number], kind) for kind, n in kinds.items() for number in range(n)]
    times = {"webshop/selection": 2.0, "alfworld/step": 0.25, "alfworld/path": 0.0}
    made = taken(agent, times, seed=1)
    assert Counter(one.group for one in made) == {
        "webshop/selection": 16,
        "alfworld/step": 2,
        "dbbench/path": 3,
    }
    assert made == taken(agent, times, seed=1)
    assert any(taken(agent, times, seed=1) != taken(agent, times, seed=seed) for seed in range(2, 9))
    assert taken(agent, {}, seed=1) == agent
    with pytest.raises(MixError, match="no webshop/step in the data; there is alfworld/path"):
        taken(agent, {"webshop/step": 1.0}, seed=1)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(MixError, match="0 to 100"):
            taken(agent, {"alfworld/step": wrong}, seed=1)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_agent_data_is_drawn_with_its_probability(share: float) -> None:
    examples = drawn(share)
    agent = sum(example.group == "agent" for example in examples)
    assert abs(agent / len(examples) - share) < 0.05
    assert sum(len(example.input_ids) for example in examples) >= 10_000
    assert examples == drawn(share)
    assert share in (0.0, 1.0) or examples != drawn(share, seed=1)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_a_probability(base: Path, data: Path, alpaca: Path, tmp_path: Path, share: float) -> None:
    with pytest.raises(MixError, match="from 0 to 1"):
        train(plan(base, data, alpaca, tmp_path / "out", share=share), print)
    assert not (tmp_path / "out").exists()


def test_data_that_is_missing_is_told(base: Path, alpaca: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(MixError, match="no agent data"):
        train(plan(base, empty, alpaca, tmp_path / "out"), print)


def test_a_run_writes_adapter_card_and_curve(
    base: Path, data: Path, alpaca: Path, tmp_path: Path, lines: list[str]
) -> None:
    out = tmp_path / "adapter"
    card = train(plan(base, data, alpaca, out), lines.append)
    assert card == read_card(out)
    assert card.name.startswith("agent@")
    assert (card.base, card.rank, card.share, card.seed) == ("Tiny", 4, 0.5, 0)
    assert card.tokens >= 4000
    assert set(card.groups) == {"alfworld/trajectory", "general"}
    assert card.splits == ["alfworld/generated_train"]
    assert card.losses[-1][1] < card.losses[0][1] * 1.05
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path) not in (out / "adapter_config.json").read_text()
    assert any("min left" in line for line in lines)
    again = train(plan(base, data, alpaca, tmp_path / "again"), print)
    assert (again.data, again.losses) == (card.data, card.losses), "the seed decides"
    other = replace(plan(base, data, alpaca, out), tokens=8000)
    with pytest.raises(MixError, match="holds another run"):
        train(other, print)


class _StopError(Exception):
    pass


def test_an_interrupted_run_goes_on_where_it_was(
    base: Path, data: Path, alpaca: Path, tmp_path: Path
) -> None:
    whole = train(plan(base, data, alpaca, tmp_path / "whole"), print)
    out = tmp_path / "cut"

    def cut(line: str) -> None:
        if line.startswith("step 5"):
            raise _StopError

    with pytest.raises(_StopError):
        train(plan(base, data, alpaca, out), cut)
    assert list((out / "checkpoints").glob("checkpoint-*"))
    resumed = train(plan(base, data, alpaca, out), print)
    assert resumed.data == whole.data
    assert resumed.name == whole.name, "the weights are those of a run that was not interrupted"


def test_a_run_goes_on_from_an_adapter(base: Path, data: Path, alpaca: Path, tmp_path: Path) -> None:
    first = train(plan(base, data, alpaca, tmp_path / "first"), print)
    other = tmp_path / "other.jsonl"
    append_records(other, [trajectory(9, environment="webshop")])
    second = train(plan(base, other, alpaca, tmp_path / "second", start=tmp_path / "first"), print)
    assert second.start == first.name
    assert second.name != first.name
    assert second.splits == ["alfworld/generated_train", "webshop/generated_train"]
    assert second.losses[0][1] < first.losses[0][1]
    from training.sft.lora import Hyper

    unlike = plan(base, data, alpaca, tmp_path / "third", start=tmp_path / "first", hyper=Hyper(rank=8))
    with pytest.raises(AdapterError, match="rank 4"):
        train(unlike, print)


@pytest.fixture
def learner(base: Path, tokenizer: Any, tmp_path: Path) -> Any:
    from training.sft.lora import Hyper, trainer

    draw = random.Random(0)
    examples = [
        Example(ids, [IGNORED] * (len(ids) // 2) + ids[len(ids) // 2 :], "general")
        for ids in ([draw.randrange(250) for _ in range(length)] for length in (20, 12))
    ]
    return trainer(base, tokenizer, examples, tmp_path / "run", Hyper(rank=4, alpha=8), [])


def test_the_sparse_loss_is_the_models_own(learner: Any) -> None:
    import torch

    batch = learner.data_collator([learner.train_dataset[0]])
    loss = learner.compute_loss(learner.model, batch)
    reference = learner.model(
        **{name: batch[name] for name in ("input_ids", "labels", "attention_mask")}
    ).loss
    assert torch.allclose(loss, reference, rtol=1e-4)


def test_a_verdict_counts_as_much_as_was_said(base: Path, tokenizer: Any, tmp_path: Path) -> None:
    import torch

    from training.sft.lora import Hyper, trainer

    asked, other = list(range(20, 40)), list(range(60, 80))
    action = Example(asked, [IGNORED] * 10 + asked[10:], "alfworld/trajectory")
    verdict = Example(other, [IGNORED] * 19 + other[19:], "alfworld/selection")

    def lost(examples: list[Example], weight: float) -> torch.Tensor:
        """The loss summed over the tokens."""
        hyper = Hyper(rank=4, alpha=8, verdict_weight=weight)
        made: Any = trainer(base, tokenizer, examples, tmp_path / "run", hyper, [])
        batch = made.data_collator([made.train_dataset[0]])
        return made.compute_loss(made.model, batch) * (batch["labels"] != IGNORED).sum()

    both = lost([action], 1) + 16 * lost([verdict], 1)
    assert torch.allclose(lost([action, verdict], 16), both, rtol=1e-4)


def test_compiled_layers_lose_the_same(learner: Any) -> None:
    import torch

    from training.sft.lora import compile_layers

    batch = learner.data_collator([learner.train_dataset[0]])
    before = learner.compute_loss(learner.model, batch)
    compile_layers(learner.model, backend="eager")
    torch._dynamo.utils.counters.clear()
    after = learner.compute_loss(learner.model, batch)
    assert torch.allclose(before, after, rtol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_batches_hold_what_was_drawn_within_their_tokens() -> None:
    from training.sft.lora import NEAR, batches

    draw = random.Random(1)
    drawn = [Example([1] * draw.randint(1, 900), [1], "general") for _ in range(NEAR + 300)]
    made = batches(drawn, 800, seed=3)
    assert sorted(map(id, drawn)) == sorted(id(one) for batch in made for one in batch)
    for batch in made:
        assert len(batch) == 1 or len(batch) * max(len(one.input_ids) for one in batch) <= 800
    assert max(map(len, made)) > 3
    assert [len(batch) for batch in batches(drawn, 800, seed=4)] != [len(batch) for batch in made]


def test_general_ability_is_compared(
    base: Path, data: Path, alpaca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    """An adapter that learned general instructions alone has the lower loss on a held-out one."""
    from evaluation.general import General, main

    learned = plan(base, data, alpaca, tmp_path / "adapter", share=0.0, tokens=6000)
    card = train(learned, lines.append)
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"turns": ["Say 3."]}\n{"turns": ["Say 4."]}\n')
    outcome = ["general", tmp_path / "adapter", "--base", base, "--held-out", alpaca, "--last", 1]
    outcome += ["--questions", questions, "--limit", 2, "--most", 4, "--out", tmp_path / "out"]
    monkeypatch.setattr("sys.argv", [str(part) for part in outcome])
    main()
    found = General.model_validate_json((tmp_path / "out" / "general.json").read_bytes())
    assert (found.adapter, found.n) == (card.name, 1)
    assert found.tuned < found.base
    assert found.difference == pytest.approx(found.tuned - found.base)
    answers = (tmp_path / "out" / "answers.md").read_text()
    assert answers.count("**Base:**") == answers.count("**Tuned:**") == 2


def test_mixes_are_compared_on_what_was_held_out(
    base: Path, data: Path, alpaca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    """The adapter of agent data predicts agent records better, that of general data general answers."""
    from evaluation.mixes import Mix, main

    made = [
        train(plan(base, data, alpaca, tmp_path / f"{share}", share=share, tokens=6000), lines.append)
        for share in (0.0, 1.0)
    ]
    held = tmp_path / "held.jsonl"
    append_records(held, [trajectory(number) for number in range(6, 9)])
    outcome = ["mixes", tmp_path / "0.0", tmp_path / "1.0", "--base", base, "--records", held]
    outcome += ["--held-out", alpaca, "--last", 1, "--out", tmp_path / "out"]
    monkeypatch.setattr("sys.argv", [str(part) for part in outcome])
    main()
    found = [Mix.model_validate(one) for one in json.loads((tmp_path / "out" / "mixes.json").read_text())]
    assert [mix.adapter for mix in found] == ["", *(card.name for card in made)]
    assert [mix.share for mix in found] == [None, 0.0, 1.0]
    environment, general = found[0].losses
    assert general == "general"
    assert found[0].losses[environment].n == 3
    plain, talks, acts = ({name: one.mean for name, one in mix.losses.items()} for mix in found)
    assert acts[environment] < min(talks[environment], plain[environment])
    assert talks["general"] < min(acts["general"], plain["general"])
    rows = (tmp_path / "out" / "mixes.md").read_text().splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| base", "| 0", "| 1"]
