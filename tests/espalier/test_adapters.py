"""Which adapter is served, and what the roles are told of it."""

from pathlib import Path

import pytest

from espalier.stack.adapters import NONE, SHIPPED, ServedModel, find_adapter, shipped
from espalier.stack.embedded import MODEL, SetupError
from espalier.stack.settings import StackSettings
from services.contracts.adapter import Adapter
from services.prompting import load_profile
from training.sft.card import CONFIG, WEIGHTS, Card, digest, read_card, write_card

LARGEST = 10_000_000
"""Bytes of a shipped adapter."""


def make(folder: Path, weights: bytes = b"weights", **changes: object) -> Card:
    """A folder with a card; its weights are only bytes."""
    folder.mkdir()
    (folder / CONFIG).write_text("{}")
    (folder / WEIGHTS).write_bytes(weights)
    given = {
        "name": f"agent@{digest(folder)}",
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
    told = "agent" if len(card.roles) == 3 else "-".join(card.roles)
    assert Adapter(name=card.name).name.partition("@")[0] == told
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
    told = ServedModel(tmp_path, card).environment()
    assert told == {"ESPALIER_MERGED_ADAPTER": card.name, "ESPALIER_PROMPT_PROFILE": "compact"}
    monkeypatch.setenv("ESPALIER_PROMPT_PROFILE", "paper")
    assert ServedModel(tmp_path, card).environment()["ESPALIER_PROMPT_PROFILE"] == "paper"
    assert ServedModel(tmp_path).environment() == {}
