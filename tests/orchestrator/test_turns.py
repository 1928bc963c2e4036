"""The order in which jobs are taken: fair by weight, priorities within a tenant, beside workers of before."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.orchestrator.store import scripts, turns
from services.orchestrator.store.keys import Partition

TENANTS = ("a", "b", "c")
BY_DUE = (Path(__file__).parent / "take_by_due.lua").read_text()
Put = tuple[str, str]
"""A job's tenant and priority."""


class Queue:
    """A partition whose episodes have nothing but what taking a job needs."""

    def __init__(self, client: redis.Redis) -> None:
        self.redis = client
        self.partition = Partition(0)
        self._take = client.register_script(scripts.SHARED + turns.TAKE)
        self._take_by_due = client.register_script(BY_DUE)
        self._release = client.register_script(scripts.SHARED + scripts.RELEASE)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._count = itertools.count(1)
        self.given: dict[str, dict[str, float]] = {"weights": {}, "branches": {}, "blocked": {}}
        self.redis.flushall()

    def put(self, tenant: str, priority: str = "interactive", due: int | None = None) -> str:
        """Add an episode whose root is ready; by default they became due one after the other."""
        number = next(self._count)
        episode = f"{tenant}{number:05}{priority[0]}"
        key = self.partition.episode(episode)
        self.redis.hset(key, items=["state", "running", "epoch", 0])
        if tenant:
            self.redis.hset(key, items=["tenant", tenant, "priority", priority])
        self.redis.zadd(self.partition.ready, {f"{episode}/0": number if due is None else due})
        return episode

    def take(self) -> str | None:
        """Take the next job and return its episode."""
        return self._run(self._take, json.dumps(self.given))

    def take_by_due(self) -> str | None:
        """Take a job as a worker of before does."""
        return self._run(self._take_by_due)

    def _run(self, script: Any, *more: str) -> str | None:
        keys = [self.partition.ready, self.partition.leases]
        answer = script(keys=keys, args=[self.partition.episode(""), 3_600_000, "one", 1.5, *more])
        return answer[1].decode() if answer[0] == b"job" else None

    def release(self, episode: str, pause: int = 0) -> None:
        """Lay a job aside for some milliseconds."""
        partition = self.partition
        branches = partition.episode(episode, "branches")
        keys = [branches, partition.ready, partition.leases, partition.wake]
        epoch = self.redis.hget(branches, "0:epoch")
        assert self._release(keys=keys, args=[episode, "0", epoch or "", pause]) == b"ok"

    def drain(self) -> list[str]:
        """Take all that is due."""
        return list(iter(self.take, None))

    def names(self) -> set[str]:
        """The keys that are not of episodes, without the partition's tag."""
        tag = self.partition.tag
        found = {key.decode().removeprefix(tag) for key in self.redis.scan_iter(f"{tag}*")}
        return {name for name in found if not name.startswith("episode:")}


@pytest.fixture(scope="module")
def queue(valkey: str) -> Iterator[Queue]:
    with redis.Redis.from_url(valkey) as client:
        yield Queue(client)


@pytest.fixture(autouse=True)
def _empty(queue: Queue) -> None:
    queue.clear()


ACTIONS = st.lists(
    st.one_of(st.tuples(st.sampled_from(TENANTS), st.sampled_from(["interactive", "batch"])), st.none()),
    max_size=60,
)
"""Jobs that are put, and takes between them."""
WEIGHTS = st.fixed_dictionaries({tenant: st.sampled_from([0.25, 1.0, 3.0]) for tenant in TENANTS})


def play(queue: Queue, weights: dict[str, float], actions: list[Put | None]) -> list[tuple[str, set[str]]]:
    """Return what was taken in turn, each with the tenants whose jobs waited before."""
    queue.clear()
    queue.given["weights"] = weights
    waiting: Counter[str] = Counter()
    taken: list[tuple[str, set[str]]] = []
    for action in [*actions, *[None] * len(actions)]:
        if action is not None:
            queue.put(*action)
            waiting[action[0]] += 1
            continue
        before = {tenant for tenant, count in waiting.items() if count}
        episode = queue.take()
        assert (episode is None) == (not before)
        if episode is not None:
            taken.append((episode, before))
            waiting[episode[0]] -= 1
    return taken


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weights=WEIGHTS, actions=ACTIONS)
def test_shares_follow_the_weights_and_nothing_is_left(
    queue: Queue, weights: dict[str, float], actions: list[Put | None]
) -> None:
    taken = play(queue, weights, actions)
    puts = [action for action in actions if action is not None]
    assert Counter(episode[0] for episode, _ in taken) == Counter(tenant for tenant, _ in puts)
    assert len({episode for episode, _ in taken}) == len(puts)
    for one, other in itertools.combinations(TENANTS, 2):
        ahead = [0.0]  # the service of one less that of the other, by weight, while both have jobs that wait
        for episode, waiting in taken:
            if not {one, other} <= waiting:
                ahead = [0.0]
                continue
            served = {one: 1 / weights[one], other: -1 / weights[other]}.get(episode[0], 0.0)
            ahead.append(ahead[-1] + served)
            assert max(ahead) - min(ahead) <= 1 / weights[one] + 1 / weights[other] + 1e-9
    assert queue.names() <= {"leases"}
    assert play(queue, weights, actions) == taken


def test_a_tenant_that_rested_saves_no_turns_up(queue: Queue) -> None:
    queue.put("b")
    queue.take()
    for _ in range(20):
        queue.put("a")
    assert [queue.take() for _ in range(10)]
    for _ in range(5):
        queue.put("b")
    assert Counter(episode[0] for episode in queue.drain()[:8]) == {"a": 4, "b": 4}


def test_interactive_jobs_come_first_and_every_eighth_is_a_batch_job(queue: Queue) -> None:
    for priority in ("batch", "interactive"):
        for _ in range(20):
            queue.put("a", priority)
    order = "".join(episode[-1] for episode in queue.drain())
    assert order == ("i" * 7 + "b") * 2 + "i" * 6 + "b" * 18


def test_marking_all_work_interactive_takes_nothing_from_others(queue: Queue) -> None:
    for _ in range(20):
        queue.put("a", "interactive")
    for _ in range(4):
        queue.put("b", "batch")
    assert Counter(episode[0] for episode in queue.drain()[:8]) == {"a": 4, "b": 4}


def test_a_pause_is_waited_for_and_costs_no_turn(queue: Queue) -> None:
    first, second = queue.put("a"), queue.put("b")
    assert {queue.take(), queue.take()} == {first, second}
    queue.release(first, 3_600_000)
    queue.release(second)
    assert queue.drain() == [second]


def test_a_branch_limit_lets_jobs_wait_and_others_pass(queue: Queue) -> None:
    queue.given["branches"] = {"a": 2, "*": 0}
    jobs = [queue.put("a") for _ in range(4)]
    other = [queue.put("b") for _ in range(2)]
    assert sorted(queue.drain()) == sorted([*jobs[:2], *other])
    queue.release(jobs[0])
    assert queue.drain() == [jobs[2]]
    queue.redis.zrem(queue.partition.leases, f"{jobs[1]}/0")  # its branch has ended
    assert queue.drain() == [jobs[3]]


def test_a_tenant_without_tokens_waits_and_says_how_long(queue: Queue) -> None:
    queue.given["blocked"] = {"a": 4000}
    first, second = queue.put("a"), queue.put("b")
    assert queue.drain() == [second]
    keys = [queue.partition.ready, queue.partition.leases]
    args = [queue.partition.episode(""), 3_600_000, "one", 1.5, json.dumps(queue.given)]
    assert queue.redis.register_script(scripts.SHARED + turns.TAKE)(keys=keys, args=args) == [b"none", 4000]
    queue.given["blocked"] = {}
    assert queue.drain() == [first]


def test_a_tenant_that_was_held_back_has_no_turns_to_make_up(queue: Queue) -> None:
    queue.given["blocked"] = {"a": 4000}
    for tenant in "ab":
        for _ in range(20):
            queue.put(tenant)
    assert {episode[0] for episode in (queue.take() for _ in range(10)) if episode} == {"b"}
    queue.given["blocked"] = {}
    assert Counter(episode[0] for episode in queue.drain()[:8])["a"] in (4, 5)


def test_jobs_of_before_have_a_turn(queue: Queue) -> None:
    old = [queue.put("") for _ in range(5)]
    new = [queue.put("a") for _ in range(5)]
    taken = queue.drain()
    assert sorted(taken) == sorted([*old, *new])
    assert len({episode[:1] == "a" for episode in taken[:2]}) == 2


def test_workers_of_before_take_the_same_jobs(queue: Queue) -> None:
    jobs = [queue.put(tenant, priority) for tenant in TENANTS for priority in ("batch", "interactive")]
    later = queue.put("a", due=4_000_000_000_000)
    taken = [queue.take(), queue.take_by_due(), queue.take_by_due(), queue.take()]
    taken += [queue.put("b"), *[queue.take_by_due() for _ in range(2)]][1:]
    assert None not in taken
    queue.release(str(taken[1]))
    again = [queue.take(), queue.take_by_due()]
    rest = queue.drain()
    assert len({*taken, *again, *rest} - {None}) == len(jobs) + 1
    assert queue.redis.zrange(queue.partition.ready, 0, -1) == [f"{later}/0".encode()]
    assert queue.names() <= {"leases", "ready", "wake"}


def test_a_job_that_no_queue_holds_is_found(queue: Queue) -> None:
    first, second = queue.put("a"), queue.put("a")
    assert queue.take() == first
    queue.redis.delete(*(queue.partition.tag + name for name in ("turns", "queue:a", "fair")))
    assert queue.drain() == [second]
