"""A constrained answer is held to the actions that are valid in its session."""

from typing import Any

import pytest

from services.contracts.action import ActionRequest, Candidate
from services.contracts.event import EventType
from services.orchestrator.durable.replay import replay_episode
from tests.orchestrator.conftest import Bench

LANGUAGE = "(?:look|north|south)"


def record_requests(bench: Bench, *actions: str) -> list[ActionRequest]:
    """Let the actor take these actions, then the last of them again and again; return what it gets."""
    requests: list[ActionRequest] = []

    def act(request: ActionRequest) -> list[Candidate]:
        requests.append(request)
        return [Candidate(action=actions[min(len(requests), len(actions)) - 1], well_formed=True)]

    bench.roles.act_by = act
    bench.environment.grammar = LANGUAGE
    return requests


@pytest.mark.parametrize(
    ("params", "languages"),
    [
        ({}, ["", "", LANGUAGE, ""]),
        ({"grammar": "always"}, [LANGUAGE] * 4),
        ({"grammar": "never"}, [""] * 4),
        ({"grammar": "malformed"}, [""] * 4),
    ],
)
async def test_the_language_goes_with_the_grammar(
    bench: Bench, params: dict[str, Any], languages: list[str]
) -> None:
    requests = record_requests(bench, "look", "jump", "north", "south")
    await bench.run("react", max_steps=4, params=params)
    assert [request.language for request in requests] == languages
    assert bench.environment.reads == sum(map(bool, languages)), "it is read where it is needed only"


async def test_no_log_holds_it_and_no_replay_needs_it(bench: Bench) -> None:
    record_requests(bench, "look", "jump", "north")
    found = await bench.run("react", params={"grammar": "always"})
    record = await bench.store.record(found.id)
    assert record is not None
    events = await bench.store.events(found.id)
    assert not any(LANGUAGE in event.model_dump_json() for event in events)
    replay = await replay_episode(found, record, events)
    assert replay.identical, replay.detail
    digests = [event.digest for event in events if event.type is EventType.CANDIDATES_PROPOSED]

    requests = record_requests(bench, "look", "jump", "north")
    bench.environment.grammar = "look"
    again = await bench.run("react", params={"grammar": "always"})
    assert {request.language for request in requests} == {"look"}
    events = await bench.events(again.id, EventType.CANDIDATES_PROPOSED)
    assert [event.digest for event in events] == digests


@pytest.mark.parametrize("language", ["", "(", "a" * 20_001])
async def test_a_language_that_cannot_be_used_leaves_the_form(bench: Bench, language: str) -> None:
    requests = record_requests(bench, "north")
    bench.environment.grammar = language
    found = await bench.run("react", params={"grammar": "always"})
    assert found.result is not None
    assert found.result.success
    assert [(request.grammar, request.language) for request in requests] == [(True, "")] * 3


async def test_a_session_that_is_lost_has_none_until_it_is_built_again(bench: Bench) -> None:
    requests: list[ActionRequest] = []

    def act(request: ActionRequest) -> list[Candidate]:
        requests.append(request)
        if len(requests) == 1:
            bench.environment.lose_sessions()
        return [Candidate(action="north" if len(requests) > 1 else "?", well_formed=len(requests) > 1)]

    bench.roles.act_by = act
    bench.environment.grammar = LANGUAGE
    found = await bench.run("react", params={"grammar": "always"})
    assert found.result is not None
    assert found.result.success
    assert [request.language for request in requests] == [LANGUAGE, "", LANGUAGE, LANGUAGE]
