"""reflexion: lessons from one path to the next, and which path is committed."""

import pytest

from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import Context
from services.contracts.episode import Budget, Episode, State
from services.contracts.event import EventType
from services.contracts.reflection import ReflectionRequest
from services.kit.failures import OutageError
from services.orchestrator.settings import Branches
from tests.orchestrator.conftest import Bench
from tests.orchestrator.locks import Lock, follow
from tests.orchestrator.test_replay import check_killed_anywhere

TRIES = ("lll", "rrr", "lrr", "lrl")
"""What the actor tries, by the number of lessons that it has."""


def learn(request: ActionRequest) -> list[Candidate]:
    """Take the actions that the newest lesson names; without a lesson the first try."""
    lessons = [path.lesson for path in request.context.tried if path.lesson]
    tries = lessons[-1].removeprefix("turn ") if lessons else TRIES[0]
    letter = tries[min(len(request.context.turns), len(tries) - 1)]
    return [Candidate(action={"l": "left", "r": "right"}[letter], thought="so", well_formed=True)]


def teach(request: ReflectionRequest) -> str:
    """Name the try after the one that was made."""
    return f"turn {TRIES[TRIES.index(follow(request.context)) + 1]}"


@pytest.fixture
def lock(bench: Bench) -> Lock:
    bench.environment = lock = Lock()
    bench.roles.act_by = learn
    bench.roles.reflect_by = teach
    bench.roles.good_by = lambda context: float(follow(context) == lock.key)
    return lock


async def play(bench: Bench, num_path: int = 4, **options: object) -> Episode:
    episode = await bench.run("reflexion", num_path=num_path, **options)
    assert episode.state is State.COMPLETED
    assert bench.environment.corridors == {}, "every session was closed"
    return episode


async def test_a_path_that_is_good_enough_needs_no_lesson(bench: Bench, lock: Lock) -> None:
    lock.key = "lll"
    episode = await play(bench)
    assert episode.result is not None
    assert (episode.result.branch, episode.result.success, episode.result.good_enough) == ("0.0", True, True)
    assert await bench.data(episode.id, EventType.REFLECTION_MADE) == []


async def test_each_path_begins_at_the_start_with_the_lessons_of_those_before(
    bench: Bench, lock: Lock
) -> None:
    seen: list[list[tuple[str, str]]] = []

    def act(request: ActionRequest) -> list[Candidate]:
        if not request.context.turns:
            seen.append(
                [("".join(a[0] for a in path.actions), path.lesson) for path in request.context.tried]
            )
        return learn(request)

    bench.roles.act_by = act
    episode = await play(bench)
    assert episode.result is not None
    assert (episode.result.branch, episode.result.success, episode.result.steps) == ("0.3", True, 3)
    assert seen == [
        [],
        [("lll", "turn rrr")],
        [("lll", "turn rrr"), ("rrr", "turn lrr")],
        [("lll", "turn rrr"), ("rrr", "turn lrr"), ("lrr", "turn lrl")],
    ]
    assert [data.to_step for data in await bench.data(episode.id, EventType.BACKTRACKED)] == [0, 0, 0]


async def test_only_the_newest_lessons_are_kept_and_all_actions(bench: Bench, lock: Lock) -> None:
    last: list[list[str]] = []

    def act(request: ActionRequest) -> list[Candidate]:
        last.append([path.lesson for path in request.context.tried])
        return learn(request)

    bench.roles.act_by = act
    episode = await play(bench, params={"memory": 1})
    assert episode.result is not None
    assert episode.result.success
    assert last[-1] == ["", "", "turn lrl"]


async def test_where_no_path_is_good_enough_the_judges_best_is_committed(bench: Bench, lock: Lock) -> None:
    bench.roles.best_by = lambda question: 1
    episode = await play(bench, num_path=3)
    assert episode.result is not None
    assert (episode.result.branch, episode.result.good_enough) == ("0.1", False)
    assert len(await bench.data(episode.id, EventType.REFLECTION_MADE)) == 2, "none after the last path"


async def test_a_judge_that_reflects_on_nothing_leaves_the_actions_that_were_tried(
    bench: Bench, lock: Lock
) -> None:
    def fail(request: ReflectionRequest) -> str:
        raise OutageError("judge", "scripted to be away")

    def act(request: ActionRequest) -> list[Candidate]:
        assert all(not path.lesson for path in request.context.tried)
        letter = TRIES[len(request.context.tried)][len(request.context.turns)]
        return [Candidate(action={"l": "left", "r": "right"}[letter], well_formed=True)]

    bench.set(outage_grace=0.0)
    bench.roles.reflect_by = fail
    bench.roles.act_by = act
    episode = await play(bench)
    assert episode.result is not None
    assert (episode.result.branch, episode.result.success) == ("0.3", True)


@pytest.mark.parametrize("heat", [None, 0.7])
async def test_the_paths_after_the_first_are_sampled_where_a_temperature_is_given(
    bench: Bench, lock: Lock, heat: float | None
) -> None:
    heats: dict[int, set[float | None]] = {}
    seeds: dict[int, set[int | None]] = {}

    def act(request: ActionRequest) -> list[Candidate]:
        heats.setdefault(len(request.context.tried), set()).add(request.temperature)
        seeds.setdefault(len(request.context.tried), set()).add(request.seed)
        return learn(request)

    bench.roles.act_by = act
    await play(bench, num_path=3, params={} if heat is None else {"temperature": heat})
    assert heats == {0: {None}, 1: {heat}, 2: {heat}}
    assert not seeds[0] & seeds[1]


async def test_what_feedback_shows_replaces_the_judge(bench: Bench, lock: Lock) -> None:
    bench.roles.good_by = lambda context: 0.0
    episode = await play(bench, feedback="done")
    assert episode.result is not None
    assert episode.result.branch == "0.0", "the environment is done, and that is success to the search"


async def test_a_threshold_decides_what_is_good_enough(bench: Bench, lock: Lock) -> None:
    values = {"lll": 0.2, "rrr": 0.6, "lrr": 0.7}
    bench.roles.good_by = lambda context: values[follow(context)]
    for threshold, branch in ((0.1, "0.0"), (0.5, "0.1"), (0.65, "0.2")):
        episode = await play(bench, path_threshold=threshold)
        assert episode.result is not None
        assert episode.result.branch == branch


@pytest.mark.parametrize("calls", range(1, 20))
async def test_any_budget_ends_with_a_result_and_is_never_exceeded(
    bench: Bench, lock: Lock, calls: int
) -> None:
    bench.roles.best_by = lambda question: len(question.paths) - 1
    episode = await play(bench, budget=Budget(model_calls=calls))
    assert len(bench.roles.calls) <= calls
    assert episode.result is not None
    assert episode.result.success == (calls >= 19), "four paths of 3 + 1 calls, and three lessons"


@pytest.mark.parametrize("placing", [Branches.LOCAL, Branches.SPREAD])
async def test_killed_anywhere_it_is_the_same(bench: Bench, lock: Lock, placing: Branches) -> None:
    bench.set(branches=placing)
    whole = await play(bench)
    await check_killed_anywhere(bench, "reflexion", whole, num_path=4)


async def test_a_reflection_sees_the_whole_path_that_was_judged(bench: Bench, lock: Lock) -> None:
    seen: list[Context] = []

    def reflect(request: ReflectionRequest) -> str:
        seen.append(request.context)
        return teach(request)

    bench.roles.reflect_by = reflect
    await play(bench, num_path=2)
    [context] = seen
    assert (follow(context), context.turns[-1].observation) == ("lll", "Turned lll.")
