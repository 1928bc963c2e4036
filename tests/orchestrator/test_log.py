"""Entries of a log: long texts are stored once, and read as they were."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.action import Candidate
from services.contracts.event import EVENTS, EventType
from services.orchestrator.store.log import list_references, pack, put_back
from tests.orchestrator.conftest import Bench

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(data=st.dictionaries(st.text(max_size=5), JSON, max_size=6))
def test_an_entry_is_read_as_it_was_written(data: dict[str, Any]) -> None:
    packed, texts = pack(EventType.BACKTRACKED, 1.0, branch="0", seq=1, digest="d", data=data)
    raw = orjson.loads(packed)
    assert set(list_references(raw)) == set(texts)
    put_back(raw, texts)
    assert raw.get("data", {}) == data
    assert "refs" not in raw


@pytest.mark.parametrize("length", [100, 5000])
async def test_a_text_that_is_shown_again_is_stored_once(bench: Bench, length: int) -> None:
    state = bench.environment._state
    page = "p" * length
    bench.environment._state = lambda session: state(session).model_copy(update={"observation": page})  # pyright: ignore[reportAttributeAccessIssue]
    bench.roles.act_by = lambda request: [Candidate(action="look", well_formed=True)]
    found = await bench.run("tmbr", max_steps=20, num_path=1, num_subtasks=0, params={"repeats": "allow"})
    fields = await bench.store.redis.hgetall(bench.store.partitions.of(found.id).episode(found.id))
    shown = [data.observation for data in await bench.data(found.id, EventType.STEP_TAKEN)]
    assert shown == [page] * 20
    assert int(fields[b"bytes"]) < 20_000 + length
    [closed] = await bench.data(found.id, EventType.BRANCH_CLOSED)
    assert all(turn["observation"] == page for turn in closed.result["context"]["turns"])


def test_every_type_of_event_has_a_model() -> None:
    schema = EVENTS.json_schema()
    assert set(schema["discriminator"]["mapping"]) == {kind.value for kind in EventType}
