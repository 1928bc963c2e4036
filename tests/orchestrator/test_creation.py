"""Creating episodes: the idempotency key comes first."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.contracts.adapter import Adapter, Adapters
from services.contracts.episode import EpisodeCreate
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction
from services.contracts.task import Task
from services.kit.failures import OutageError
from services.kit.problems import ProblemError
from services.orchestrator.api.admission import Admission
from services.orchestrator.api.creation import EpisodeCreator
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.conftest import Bench

REQUEST = EpisodeCreate(environment="twin", task_id="a", method="react")


class Parts:
    """The environment and the actor, as far as a creation needs them."""

    def __init__(self) -> None:
        self.away = False
        self.merged = "agent@1"

    async def metadata(self) -> Metadata:
        self._reach("twin")
        return Metadata(
            name="twin",
            version="1",
            fork=Fork.NATIVE,
            done_means=DoneMeans.SUCCESS,
            terminal_action=TerminalAction.NONE,
            splits=["all"],
        )

    async def task(self, task_id: str) -> Task:
        self._reach("twin")
        return Task(id=task_id, split="all", instruction="Go north.")

    async def adapters(self) -> Adapters:
        self._reach("actor")
        return Adapters(base="base", runtime=True, adapters=[Adapter(name=self.merged, merged=True)])

    def _reach(self, part: str) -> None:
        if self.away:
            raise OutageError(part, "away")


def creator(bench: Bench, parts: Any) -> EpisodeCreator:
    settings = OrchestratorSettings()
    admission = Admission(bench.store, settings, CollectorRegistry())
    return EpisodeCreator(bench.store, {"twin": parts}, parts, settings, admission)


async def test_a_key_that_was_used_is_answered_while_parts_are_away(bench: Bench) -> None:
    parts = Parts()
    first, new = await creator(bench, parts).create(REQUEST, "once")
    assert new
    parts.away = True
    assert await creator(bench, parts).create(REQUEST, "once") == (first, False)
    with pytest.raises(OutageError):
        await creator(bench, parts).create(REQUEST, "another")


async def test_a_key_holds_for_the_body_as_it_came(bench: Bench) -> None:
    """A swap of the adapter between two attempts changes what is pinned, and not what was requested."""
    parts = Parts()
    first, _ = await creator(bench, parts).create(REQUEST, "once")
    parts.merged = "agent@2"
    assert await creator(bench, parts).create(REQUEST, "once") == (first, False)
    assert (await bench.get(first)).adapter == "agent@1"


async def test_a_key_of_another_body_is_refused(bench: Bench) -> None:
    parts = Parts()
    await creator(bench, parts).create(REQUEST, "once")
    parts.away = True
    with pytest.raises(ProblemError, match="used for another request"):
        await creator(bench, parts).create(REQUEST.model_copy(update={"seed": 1}), "once")
