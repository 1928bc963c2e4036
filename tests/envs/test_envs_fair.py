"""Places that go to whoever has used the least."""

import asyncio

import pytest

from envs.serving.fair import HALF_LIFE, FairPlaces


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def held(places: FairPlaces, key: str, clock: Clock, seconds: float, order: list[str]) -> None:
    async with places.place(key):
        order.append(key)
        clock.now += seconds
        await asyncio.sleep(0)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_newcomer_waits_for_one_heavy_call_and_not_for_all(clock: Clock) -> None:
    places, order = FairPlaces(1, clock), list[str]()
    heavy = [f"heavy-{number}" for number in range(12)]
    for key in heavy:
        await held(places, key, clock, 5.0, [])
    blocker = asyncio.Event()

    async def running() -> None:
        async with places.place("heavy-0"):
            await blocker.wait()

    tasks = [asyncio.create_task(running())]
    await settle()
    tasks += [asyncio.create_task(held(places, key, clock, 5.0, order)) for key in heavy[1:]]
    await settle()
    tasks.append(asyncio.create_task(held(places, "light", clock, 0.01, order)))
    await settle()
    blocker.set()
    await asyncio.gather(*tasks)
    assert order[0] == "light"
    assert sorted(order[1:]) == sorted(heavy[1:])


async def test_equals_are_served_as_they_came(clock: Clock) -> None:
    places, order = FairPlaces(2, clock), list[str]()
    await asyncio.gather(*(held(places, f"key-{number}", clock, 1.0, order) for number in range(8)))
    assert order == [f"key-{number}" for number in range(8)]


async def test_no_more_hold_a_place_than_there_are_and_none_is_lost(clock: Clock) -> None:
    places, now, most = FairPlaces(3, clock), 0, 0

    async def work(number: int) -> None:
        nonlocal now, most
        async with places.place(number % 4):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            if number % 5 == 0:
                raise ValueError(number)

    tasks = [asyncio.create_task(work(number)) for number in range(40)]
    await asyncio.sleep(0)
    for task in tasks[10:40:3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (now, most, places._free, places._waiting) == (0, 3, 3, [])


async def test_use_is_forgotten_by_and_by(clock: Clock) -> None:
    places = FairPlaces(1, clock)
    await held(places, "a", clock, 8.0, [])
    assert places.used("a") == pytest.approx(8.0)
    clock.now += 2 * HALF_LIFE
    assert places.used("a") == pytest.approx(2.0)


async def test_what_is_remembered_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.serving.fair.MOST_KEYS", 10)
    places = FairPlaces(1, clock)
    for number in range(100):
        await held(places, str(number), clock, 1.0, [])
    assert len(places._used) <= 10


async def test_a_waiter_that_leaves_as_places_pass_on_is_cancelled_and_nothing_else(clock: Clock) -> None:
    places = FairPlaces(1, clock)
    release = asyncio.Event()

    async def holding() -> None:
        async with places.place("a"):
            await release.wait()

    async def waiting() -> None:
        async with places.place("b"):
            pass

    holder, waiter = asyncio.create_task(holding()), asyncio.create_task(waiting())
    await settle()
    waiter.cancel()
    release.set()
    places._pass_on()
    places._free += 1
    places._pass_on()
    places._free -= 1
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await holder
