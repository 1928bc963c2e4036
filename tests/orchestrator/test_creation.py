"""Creating episodes: the idempotency key comes first."""

from dataclasses import replace
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
from services.orchestrator.store.episodes import EpisodeStore
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


@pytest.mark.parametrize("partitions", [1, 3])
async def test_each_tenant_has_keys_of_its_own(bench: Bench, partitions: int) -> None:
    settings = bench.store.settings.model_copy(update={"partitions": partitions})
    bench = replace(bench, store=EpisodeStore(bench.store.redis, settings))
    door = creator(bench, Parts())
    other = REQUEST.model_copy(update={"seed": 1})
    ours, new = await door.create(REQUEST, "nightly-1", "a")
    theirs, also_new = await door.create(REQUEST, "nightly-1", "b")
    assert (new, also_new, ours != theirs) == (True, True, True)
    third, _ = await door.create(other, "nightly-1", "c")
    local, _ = await door.create(other, "nightly-1")
    assert len({ours, theirs, third, local}) == 4
    assert (await door.create(other, "a:nightly-1"))[1], "it is no other name for the key of a"
    for request, tenant, episode in (
        (REQUEST, "a", ours),
        (REQUEST, "b", theirs),
        (other, "c", third),
        (other, "local", local),
    ):
        assert await door.create(request, "nightly-1", tenant) == (episode, False)
    with pytest.raises(ProblemError, match="used for another request"):
        await door.create(other, "nightly-1", "a")


async def share_key(bench: Bench, key: str, tenant: str) -> None:
    """Put the record of a tenant's key where releases with one place for all tenants have it."""
    partition = bench.store.partitions.of(key)
    await bench.store.redis.rename(partition.idempotency(key, tenant), partition.idempotency(key))


async def test_a_key_of_an_older_release_holds_for_the_tenant_that_used_it(bench: Bench) -> None:
    door = creator(bench, Parts())
    other = REQUEST.model_copy(update={"seed": 1})
    ours, _ = await door.create(REQUEST, "once", "a")
    await share_key(bench, "once", "a")
    assert await door.create(REQUEST, "once", "a") == (ours, False)
    with pytest.raises(ProblemError, match="used for another request"):
        await door.create(other, "once", "a")
    assert (await door.create(REQUEST, "once", "b"))[1]
    assert (await door.create(other, "once", "c"))[1]


async def test_a_key_of_a_release_without_tenants_holds_for_an_equal_request(bench: Bench) -> None:
    door = creator(bench, Parts())
    ours, _ = await door.create(REQUEST, "once", "a")
    await share_key(bench, "once", "a")
    await bench.store.redis.hdel(bench.store.key(ours), "tenant")
    assert await door.create(REQUEST, "once", "a") == (ours, False)
    assert (await door.create(REQUEST.model_copy(update={"seed": 1}), "once", "b"))[1]
