"""The origin of a request: read from headers, carried to the next part, sent to the engine."""

from typing import Any

import pytest
from fastapi import FastAPI, HTTPException

from services.kit.engine import Engine
from services.kit.origin import URGENCY, Origin, carry, current_origin, read_origin
from services.kit.settings import RoleSettings
from tests.support import served


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({}, Origin()),
        ({"x-session-id": "ep_01", "priority": "u=5"}, Origin("ep_01", 5)),
        ({"priority": "i, u=0"}, Origin("", 0)),
        ({"priority": "u=5;x, i"}, Origin("", 5)),
        ({"priority": "u=8"}, Origin()),
        ({"priority": "u=55"}, Origin()),
        ({"x-session-id": "a b"}, Origin()),
        ({"x-session-id": "a" * 129}, Origin()),
        ({"x-session-id": "a\r\nHost: b"}, Origin()),
    ],
)
def test_an_origin_is_read_from_headers_and_what_is_malformed_is_absent(
    headers: dict[str, str], origin: Origin
) -> None:
    assert read_origin(lambda name: headers.get(name, "")) == origin


@pytest.mark.parametrize("origin", [Origin(), Origin("ep_01"), Origin("ep_01", 0), Origin("", 7)])
def test_headers_carry_an_origin_unchanged(origin: Origin) -> None:
    headers = origin.headers()
    assert read_origin(lambda name: headers.get(name, "")) == origin
    assert origin.engine_priority == origin.urgency - URGENCY


def test_an_origin_lasts_as_long_as_its_block() -> None:
    with carry(Origin("outer")):
        with carry(Origin("inner")):
            assert current_origin().session == "inner"
        assert current_origin().session == "outer"
    assert current_origin() == Origin()


async def test_an_engine_that_refuses_priorities_is_called_without() -> None:
    seen: list[dict[str, Any]] = []
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(body: dict[str, Any]) -> dict[str, Any]:
        seen.append(body)
        if "priority" in body:
            raise HTTPException(422, "unknown field `priority`")
        return {"choices": []}

    with served(app) as url, carry(Origin("ep_01", 5)):
        engine = Engine(url, RoleSettings())
        for _ in range(2):
            assert await engine.send("/v1/chat/completions", {"model": "m"}) == {"choices": []}
        await engine.close()
    assert [body.get("priority") for body in seen] == [2, None, None]
