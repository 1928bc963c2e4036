"""Episodes that release 0.1 wrote: its logs are test data, laid out as it did."""

import json
from typing import Any

import pytest

from services.contracts.action import ActionRequest, Candidate
from services.contracts.episode import State
from services.orchestrator.settings import Branches
from services.orchestrator.store.adoption import Adoption
from tests.orchestrator.conftest import Bench
from tests.orchestrator.test_replay import LOGS, branching

SCRIPTS: dict[str, Any] = {
    "react": (None, 1.0),
    "tmbr-backtracks": (branching, None),
    "tmbr-best-of-three": (branching, 0.0),
}


def script(bench: Bench, name: str) -> None:
    act, good = SCRIPTS[name]
    bench.roles.act_by = act or north
    bench.roles.good_by = (
        (lambda context: float(bool(context.tried))) if good is None else lambda context: good
    )
    if name == "tmbr-best-of-three":
        bench.roles.done_by = lambda question: float(len(question.context.turns) % 2 == 0)


def north(request: ActionRequest) -> list[Candidate]:
    return [Candidate(action="north", thought="the end is there", well_formed=True)]


async def lay_out(bench: Bench, name: str, length: int | None) -> str:
    """Write an episode as release 0.1 had it, live after so many events or ended; its id."""
    kept = LOGS[name]
    episode, redis = kept["episode"], bench.store.redis
    key = f"espalier:episode:{{{episode}}}"
    events = kept["log"][:length]
    over = length is None
    fields = {"state": kept["state"] if over else "running", "created": events[0][1]["at"]}
    fields |= {"spec": json.dumps(kept["record"]), "events": len(events), "bytes": 1000}
    if over:
        outcome = {"result": kept["result"], "figures": kept["figures"]}
        fields |= {"ended": events[-1][1]["at"], "outcome": json.dumps(outcome)}
    await redis.hset(key, mapping=fields)
    for entry, event in events:
        await redis.xadd(f"{key}:log", {"e": json.dumps(event)}, id=entry)
    await redis.hset(f"{key}:epochs", mapping={"0": 1, "0.0": 1})
    await redis.zadd("espalier:episodes", {episode: 0})
    if over:
        await redis.pexpire(key, 100_000)
        await redis.pexpire(f"{key}:log", 100_000)
    else:
        await redis.sadd("espalier:live", episode)
    return episode


@pytest.mark.parametrize("way", [Branches.LOCAL, Branches.SPREAD])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_live_episode_goes_on_from_wherever_release_0_1_left_it(
    bench: Bench, name: str, way: Branches
) -> None:
    bench.set(branches=way)
    script(bench, name)
    log = LOGS[name]["log"]
    for length in range(2, len(log) - 1):
        await bench.store.redis.flushall()
        episode = await lay_out(bench, name, length)
        assert await Adoption(bench.store.redis, bench.store.settings).adopt() == 1
        assert await bench.store.count_live() == (1, {})
        found = await bench.finish(episode)
        assert found.state is State.COMPLETED, f"after {length} events: {found.failure}"
        assert found.result is not None
        assert found.result.model_dump(mode="json") == LOGS[name]["result"], f"after {length} events"
        left = [key async for key in bench.store.redis.scan_iter("espalier:episode*")]
        assert left == []


async def test_an_ended_episode_stays_with_its_result_and_its_lifetime(bench: Bench) -> None:
    episode = await lay_out(bench, "tmbr-backtracks", None)
    assert await Adoption(bench.store.redis, bench.store.settings).adopt() == 1
    assert await Adoption(bench.store.redis, bench.store.settings).adopt() == 0
    found = await bench.get(episode)
    assert found.result is not None
    assert found.result.model_dump(mode="json") == LOGS["tmbr-backtracks"]["result"]
    listed, _ = await bench.store.page(None, 10)
    assert [item.id for item in listed] == [episode]
    assert await bench.store.count_live() == (0, {})
    partition = bench.store.partitions.of(episode)
    assert 0 < await bench.store.redis.pttl(partition.episode(episode)) <= 100_000
    assert len(await bench.store.events(episode)) == len(LOGS["tmbr-backtracks"]["log"])
