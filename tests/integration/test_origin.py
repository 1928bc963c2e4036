"""Every model call of an episode names the episode and its urgency at the engine."""

import pytest

from espalier.client import Espalier
from services.contracts.episode import EpisodeCreate, Priority, State
from tests.integration.conftest import Stack


@pytest.mark.parametrize(("priority", "sent"), [(Priority.INTERACTIVE, 0), (Priority.BATCH, 2)])
def test_the_engine_gets_the_episode_and_its_priority(
    stack: Stack, worker: str, priority: Priority, sent: int
) -> None:
    stack.model.log.clear()
    with Espalier(stack.url) as client:
        body = EpisodeCreate(environment="twin", task_id="corridors/2", method="tmbr", priority=priority)
        episode = client.wait(client.create(body).id)
    assert episode.state is State.COMPLETED, episode.failure
    assert len(stack.model.log) >= 4, "planner, actor and judge were called"
    assert {(logged.call.session, logged.call.priority) for logged in stack.model.log} == {(episode.id, sent)}
