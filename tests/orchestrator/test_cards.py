"""The orchestrator finds what was calibrated for an adapter in its card."""

from pathlib import Path

import pytest

from services.contracts.card import Card
from services.orchestrator import cards as module
from services.orchestrator.cards import Cards
from services.orchestrator.settings import OrchestratorSettings


def make_card(name: str = "agent@aaaaaaaa", **fields: object) -> Card:
    return Card.model_validate(
        {
            "name": name,
            "base": "tiny",
            "profile": "compact@0",
            "roles": ["actor"],
            "rank": 4,
            "share": 0.5,
            "tokens": 1,
            "seed": 0,
            "data": "0",
            **fields,
        }
    )


async def test_a_card_is_found_by_its_adapters_name_in_both_layouts(tmp_path: Path) -> None:
    (tmp_path / "agent@aaaaaaaa.json").write_text(make_card(margins={"house": 0.2}).model_dump_json())
    (tmp_path / "other").mkdir()
    groups = {"house/plan": 3, "shop/plan": 0, "shop/step": 4}
    (tmp_path / "other" / "card.json").write_text(
        make_card("other@bbbbbbbb", groups=groups).model_dump_json()
    )
    cards = Cards(tmp_path)
    flat, nested = await cards.find("agent@aaaaaaaa"), await cards.find("other@bbbbbbbb")
    assert flat is not None
    assert nested is not None
    assert (flat.margins, nested.planned) == ({"house": 0.2}, ["house"])
    assert await cards.find("third@cccccccc") is None
    assert await cards.find(None) is None


async def test_a_card_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(
        make_card(margins={"house": 0.5}).model_dump_json().replace("0.5", "2.0")
    )
    (tmp_path / "c.json").write_text(make_card().model_dump_json())
    assert await Cards(tmp_path).find("agent@aaaaaaaa") is not None


async def test_a_card_that_comes_later_is_found_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = Cards(tmp_path)
    assert await cards.find("agent@aaaaaaaa") is None
    (tmp_path / "c.json").write_text(make_card().model_dump_json())
    assert await cards.find("agent@aaaaaaaa") is None, "the folder was read a moment ago"
    monkeypatch.setattr(module, "AGAIN", -1.0)
    assert await cards.find("agent@aaaaaaaa") is not None
    (tmp_path / "c.json").write_text(make_card(margins={"house": 0.3}).model_dump_json())
    changed = await cards.find("agent@aaaaaaaa")
    assert changed is not None
    assert changed.margins == {"house": 0.3}, "a margin that was calibrated later counts"


async def test_the_shipped_adapters_cards_are_found_by_default() -> None:
    folder = OrchestratorSettings().cards
    shipped = Card.model_validate_json((folder / "agent" / "card.json").read_bytes())
    found = await Cards(folder).find(shipped.name)
    assert found == shipped
    assert {"alfworld", "webshop"} <= set(shipped.planned)
