"""Which adapter is served, and what the roles are told of it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from typer.testing import CliRunner

from espalier.adapter_folder import CONFIG, WEIGHTS, AdapterError, compute_digest, read_card, write_card
from espalier.cli import app
from espalier.stack.adapters import NONE, SHIPPED, ServedModel, find_adapter, shipped
from espalier.stack.embedded import MODEL, SetupError
from espalier.stack.merge import NOT_PLAIN, MergeError, merge
from espalier.stack.settings import StackSettings
from services.contracts.adapter import Adapter
from services.contracts.card import Card
from services.prompting import load_profile
from training.sft.average import average
from training.sft.shrink import shrink

LARGEST = 10_000_000
"""Bytes of a shipped adapter."""


def make(folder: Path, weights: bytes = b"weights", config: str = "{}", **changes: object) -> Card:
    """A folder with a card; its weights are only bytes."""
    folder.mkdir()
    (folder / CONFIG).write_text(config)
    (folder / WEIGHTS).write_bytes(weights)
    given = {
        "name": f"agent@{compute_digest(folder)}",
        "base": f"{MODEL}-1",
        "profile": "compact@0123456789ab",
        "roles": ["actor"],
        "rank": 16,
        "share": 0.3,
        "tokens": 1,
        "seed": 0,
        "data": "0",
    }
    card = Card.model_validate(given | changes)
    write_card(folder, card)
    return card


@pytest.mark.parametrize("name", shipped())
def test_what_is_shipped_is_whole(name: str) -> None:
    found = find_adapter(name)
    assert found is not None
    folder, card = found
    assert (folder / WEIGHTS).stat().st_size <= LARGEST
    outcome = "agent" if len(card.roles) == 3 else "-".join(card.roles)
    assert Adapter(name=card.name).name.partition("@")[0] == outcome
    assert load_profile(card.profile.partition("@")[0]).id == card.profile, "the profile has changed since"
    assert card.measured, "a shipped adapter says what it was measured at"
    assert not any(one.trained_on for one in card.measured if not one.split.startswith("generated"))


def test_the_default_is_shipped() -> None:
    assert StackSettings().adapter in shipped()
    assert SHIPPED.is_dir()


def test_an_adapter_is_found_by_its_folder(tmp_path: Path) -> None:
    card = make(tmp_path / "mine")
    assert find_adapter(str(tmp_path / "mine")) == (tmp_path / "mine", card)
    assert find_adapter(NONE) is None


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"is one of .*none"):
        find_adapter("nobody")
    make(tmp_path / "other", base="Llama-2-7b")
    with pytest.raises(SetupError, match="an adapter of Llama-2-7b"):
        find_adapter(str(tmp_path / "other"))
    make(tmp_path / "changed")
    (tmp_path / "changed" / WEIGHTS).write_bytes(b"others")
    with pytest.raises(SetupError, match="the weights are not those"):
        find_adapter(str(tmp_path / "changed"))
    (tmp_path / "changed" / WEIGHTS).unlink()
    with pytest.raises(SetupError, match=f"lacks {WEIGHTS}"):
        find_adapter(str(tmp_path / "changed"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SetupError, match=r"card\.json"):
        find_adapter(str(tmp_path / "empty"))


def test_the_roles_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = make(tmp_path / "mine")
    assert read_card(tmp_path / "mine") == card
    monkeypatch.delenv("ESPALIER_PROMPT_PROFILE", raising=False)
    monkeypatch.delenv("ESPALIER_MERGED_ADAPTER", raising=False)
    outcome = ServedModel(tmp_path, card).environment()
    assert outcome == {"ESPALIER_MERGED_ADAPTER": card.name, "ESPALIER_PROMPT_PROFILE": "compact"}
    monkeypatch.setenv("ESPALIER_PROMPT_PROFILE", "paper")
    assert ServedModel(tmp_path, card).environment()["ESPALIER_PROMPT_PROFILE"] == "paper"
    assert ServedModel(tmp_path).environment() == {}


def test_a_shrunk_adapter_changes_the_weights_by_a_part(tmp_path: Path) -> None:
    """W + (alpha / r) B A: of the change, three quarters are left."""
    model = tmp_path / "model"
    model.mkdir()
    before = torch.randn(6, 4)
    save_file({"layer.weight": before}, model / "model.safetensors")
    pair = {"lora_A": torch.randn(2, 4), "lora_B": torch.randn(6, 2)}
    weights = save({f"base_model.model.layer.{name}.weight": tensor for name, tensor in pair.items()})
    config = json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "alpha_pattern": {}})
    card = make(tmp_path / "whole", weights, config)
    part = shrink(tmp_path / "whole", 0.75, tmp_path / "part")
    assert part == read_card(tmp_path / "part")
    assert (part.scale, part.measured) == (0.75, [])
    assert part.name != card.name
    changes: list[torch.Tensor] = []
    for name in ("whole", "part"):
        merge(model, tmp_path / name, tmp_path / f"merged-{name}")
        changes.append(load_file(tmp_path / f"merged-{name}" / "model.safetensors")["layer.weight"] - before)
    assert changes[0].abs().max() > 0.1
    torch.testing.assert_close(changes[1], changes[0] * 0.75)
    assert shrink(tmp_path / "part", 0.5, tmp_path / "less").scale == 0.375


def test_the_alphas_of_single_layers_shrink_too(tmp_path: Path) -> None:
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "alpha_pattern": {"layer": 8}}
    make(tmp_path / "whole", config=json.dumps(config))
    shrink(tmp_path / "whole", 0.75, tmp_path / "part")
    outcome = json.loads((tmp_path / "part" / CONFIG).read_text())
    assert (outcome["lora_alpha"], outcome["alpha_pattern"]) == (3, {"layer": 6})


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_an_adapter_that_is_no_plain_lora_is_not_merged(name: str, tmp_path: Path) -> None:
    """Its layers would be changed by something else than was learned."""
    model = tmp_path / "model"
    model.mkdir()
    save_file({"layer.weight": torch.zeros(6, 4)}, model / "model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    weights = save(
        {
            "base_model.model.layer.lora_A.weight": torch.ones(2, 4),
            "base_model.model.layer.lora_B.weight": torch.ones(6, 2),
        }
    )
    make(tmp_path / "plain", weights, json.dumps(config | {name: None}))
    merge(model, tmp_path / "plain", tmp_path / "merged")
    make(tmp_path / "other", weights, json.dumps(config | {name: {"layer": 8}}))
    with pytest.raises(MergeError, match=name):
        merge(model, tmp_path / "other", tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_what_cannot_be_shrunk_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "mine")
    for by in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(AdapterError, match="a factor above 0"):
            shrink(tmp_path / "mine", by, tmp_path / "out")
    with pytest.raises(AdapterError, match="lora_alpha"):
        shrink(tmp_path / "mine", 0.5, tmp_path / "out")
    with pytest.raises(AdapterError, match="there already"):
        shrink(tmp_path / "mine", 0.5, tmp_path / "mine")
    outcome = CliRunner().invoke(
        app, ["adapters", "shrink", str(tmp_path / "none"), "--out", str(tmp_path / "x")]
    )
    assert outcome.exit_code != 0
    assert not (tmp_path / "out").exists()


def test_an_average_lies_between_two_adapters(tmp_path: Path) -> None:
    one, other = torch.randn(2, 4), torch.randn(2, 4)
    cards = [
        make(tmp_path / name, save({"layer.lora_A.weight": tensor}), splits=[f"shop/{name}"])
        for name, tensor in (("one", one), ("other", other))
    ]
    card = average(tmp_path / "one", tmp_path / "other", 0.25, tmp_path / "out")
    assert card == read_card(tmp_path / "out")
    assert card.averaged == [cards[0].name, cards[1].name]
    assert card.splits == ["shop/one", "shop/other"]
    assert card.name not in card.averaged
    found = load_file(tmp_path / "out" / WEIGHTS)["layer.lora_A.weight"]
    torch.testing.assert_close(found, 0.75 * one + 0.25 * other)


def test_what_has_no_average_is_refused(tmp_path: Path) -> None:
    weights = save({"layer.lora_A.weight": torch.zeros(2, 4)})
    make(tmp_path / "one", weights)
    make(tmp_path / "ranked", weights, rank=8)
    make(tmp_path / "wider", save({"layer.lora_A.weight": torch.zeros(2, 8)}))
    for share in (0.0, 1.0):
        with pytest.raises(AdapterError, match="between 0 and 1"):
            average(tmp_path / "one", tmp_path / "one", share, tmp_path / "out")
    for name, why in (("ranked", "rank"), ("wider", "matrices")):
        with pytest.raises(AdapterError, match=why):
            average(tmp_path / "one", tmp_path / name, 0.5, tmp_path / "out")
    with pytest.raises(AdapterError, match="new folder"):
        average(tmp_path / "one", tmp_path / "one", 0.5, tmp_path / "wider")
