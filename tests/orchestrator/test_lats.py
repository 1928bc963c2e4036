"""lats: which states are expanded, what ends teach, and which path is committed."""

import itertools
from typing import Any

import pytest

from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import Context
from services.contracts.episode import Budget, Episode, State
from services.contracts.event import EventType, PathJudged
from services.kit.failures import OutageError
from services.orchestrator.durable.world import RecordedWorld
from services.orchestrator.ports import BudgetExhaustedError, InfrastructureError, Opened, Seen
from services.orchestrator.search.lats import expansion
from services.orchestrator.search.lats.nodes import Node, backpropagate, exhaust, score, select
from services.orchestrator.search.line import Past
from services.orchestrator.search.repetitions import Repetitions
from services.orchestrator.settings import Branches
from services.orchestrator.twins import ScriptedEnvironment
from tests.orchestrator.conftest import Bench, shape
from tests.orchestrator.locks import Lock, follow, propose
from tests.orchestrator.test_replay import check_killed_anywhere

KEYS = ["".join(letters) for letters in itertools.product("lr", repeat=3)]


@pytest.fixture
def lock(bench: Bench) -> Lock:
    """A lock; the actor would always turn left, the judge recognises ends and values all states alike."""
    bench.environment = lock = Lock()
    bench.roles.act_by = propose("l", "r")
    bench.roles.good_by = lambda context: float(follow(context) == lock.key)
    return lock


async def play(bench: Bench, params: dict[str, Any] | None = None, **options: Any) -> Episode:
    """Play an episode. An end may be none that opens the lock, unless `only_good_ends`."""
    good = options.pop("only_good_ends", options.get("feedback") == "done")
    spec = {"done_means_success": good}
    episode = await bench.run("lats", spec=spec, params=params or {}, **options)
    assert episode.state is State.COMPLETED, episode.failure
    assert bench.environment.corridors == {}, "every session was closed"
    return episode


def count_calls(episode: Episode) -> int:
    assert episode.figures is not None
    return episode.figures.usage.calls


async def list_expanded(bench: Bench, episode: str) -> int:
    return len(await bench.data(episode, EventType.CANDIDATES_COMPARED))


# The tree


def grow(parent: Node | None, *values: float) -> list[Node]:
    nodes = [Node(past=Past(observation=""), session="s", parent=parent, total=value) for value in values]
    if parent is not None:
        parent.children = nodes
    return nodes


def test_an_unvisited_tree_is_expanded_at_its_root() -> None:
    [root] = grow(None, 0.0)
    assert select(root, 1.0) is root
    exhaust(root)
    assert select(root, 1.0) is None


def test_the_selection_weighs_values_against_visits() -> None:
    [root] = grow(None, 0.0)
    high, low = grow(root, 0.8, 0.5)
    backpropagate(root, 0.8)
    assert select(root, 1.0) is high
    for _ in range(4):
        backpropagate(high, 0.6)
    assert high.value == pytest.approx((0.8 + 4 * 0.6) / 5)
    assert (high.visits, root.visits, low.visits) == (5, 6, 1)
    assert score(low, 1.0) == pytest.approx(0.5 + 1.338566)  # sqrt(ln 6 / 1)
    assert select(root, 1.0) is low, "it was visited seldom"
    assert select(root, 0.0) is high, "without exploration the value alone counts"


def test_of_equal_states_the_first_is_selected_and_what_is_exhausted_is_left_out() -> None:
    [root] = grow(None, 0.0)
    first, second = grow(root, 0.5, 0.5)
    assert select(root, 1.0) is first
    exhaust(first)
    assert select(root, 1.0) is second
    below, *_ = grow(second, 0.1)
    assert select(root, 1.0) is below
    exhaust(below)
    assert second.exhausted
    assert root.exhausted
    assert select(root, 1.0) is None


# The search


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("rollout", [True, False])
async def test_every_key_is_found_though_the_judge_values_all_states_alike(
    bench: Bench, lock: Lock, key: str, rollout: bool
) -> None:
    lock.key = key
    episode = await play(bench, {"iterations": 7, "rollout": rollout})
    assert episode.result is not None
    assert (episode.result.success, episode.result.good_enough, episode.result.steps) == (True, True, 3)
    assert (await bench.data(episode.id, EventType.PATH_COMMITTED))[0].branch == episode.result.branch


async def test_a_greedy_trap_is_left_where_the_judge_sees_it(bench: Bench, lock: Lock) -> None:
    lock.key = "rrr"
    greedy = await bench.run("react")
    assert greedy.result is not None
    assert not greedy.result.success
    bench.roles.value_by = lambda context: 0.9 if set(follow(context)) == {"r"} else 0.1
    params = {"iterations": 3, "rollout": False}
    episode = await play(bench, params)
    assert episode.result is not None
    assert episode.result.success, "three expansions are the shortest way"
    bench.roles.value_by = lambda context: 0.5
    blind = await play(bench, params)
    assert blind.result is not None
    assert not blind.result.success


async def test_one_rollout_is_enough_where_it_ends_well(bench: Bench, lock: Lock) -> None:
    lock.key = "lll"
    episode = await play(bench)
    assert episode.result is not None
    assert (episode.result.branch, episode.result.success) == ("0.0", True)
    assert await list_expanded(bench, episode.id) == 1
    assert await bench.data(episode.id, EventType.REFLECTION_MADE) == []


async def test_an_end_that_the_tree_has_is_committed_in_the_root(bench: Bench, lock: Lock) -> None:
    lock.key = "r"
    episode = await play(bench)
    assert episode.result is not None
    assert (episode.result.branch, episode.result.success, episode.result.ended) == ("0", True, "done")


async def test_the_iterations_bound_the_search_and_the_best_end_is_committed(
    bench: Bench, lock: Lock
) -> None:
    worth = {"lll": 0.1, "llr": 0.2, "rll": 0.4}
    bench.roles.good_by = lambda context: worth.get(follow(context), 0.3)
    episode = await play(bench, {"iterations": 3})
    assert episode.result is not None
    assert episode.result.good_enough is False
    assert await list_expanded(bench, episode.id) == 3
    scores = {
        event.branch: event.data.scores
        for event in await bench.events(episode.id, EventType.VERDICT_PATH)
        if isinstance(event, PathJudged)
    }
    assert len(scores) == 3
    assert scores[episode.result.branch] == [0.4]


async def test_without_any_end_the_best_state_is_committed(bench: Bench, lock: Lock) -> None:
    lock.key = "rrrrr"
    bench.roles.value_by = lambda context: 0.8 if follow(context) in ("r", "rl") else 0.3
    episode = await play(bench, {"iterations": 2, "rollout": False, "judge_weight": 1.0})
    assert episode.result is not None
    assert (episode.result.branch, episode.result.ended, episode.result.steps) == ("0", "iterations", 2)
    [*_, last] = await bench.data(episode.id, EventType.CANDIDATES_COMPARED)
    assert [(one.action, one.value) for one in last.outcomes] == [("left", 0.8)]


async def test_steps_that_are_refused_are_dropped_without_the_judge(bench: Bench, lock: Lock) -> None:
    bench.roles.act_by = propose("jump", "r")
    lock.key = "rrr"

    def value(context: Context) -> float:
        assert "j" not in follow(context)
        return 0.5

    bench.roles.value_by = value
    episode = await play(bench, {"iterations": 4, "rollout": False})
    assert episode.result is not None
    assert episode.result.success
    [first, *_] = await bench.data(episode.id, EventType.CANDIDATES_COMPARED)
    assert [(one.action, one.dead) for one in first.outcomes] == [("jump", True), ("right", False)]


async def test_where_all_steps_are_refused_the_first_one_stays(bench: Bench, lock: Lock) -> None:
    """What was refused is seen by the actor, which does otherwise then."""

    def act(request: ActionRequest) -> list[Candidate]:
        return propose("right" if request.context.turns else "jump")(request)

    bench.roles.act_by = act
    lock.key = "jrr"
    episode = await play(bench)
    assert episode.result is not None
    assert episode.result.success


async def test_an_actor_without_any_action_ends_the_search(bench: Bench, lock: Lock) -> None:
    bench.roles.act_by = lambda request: []
    episode = await play(bench)
    assert episode.result is not None
    assert (episode.result.branch, episode.result.ended, episode.result.steps) == ("0", "malformed", 0)


async def test_the_samples_count_beside_the_judge(bench: Bench, lock: Lock) -> None:
    def act(request: ActionRequest) -> list[Candidate]:
        return [
            Candidate(action=action, thought="so", well_formed=True, count=count)
            for action, count in (("left", 1), ("right", 3))
        ]

    bench.roles.act_by = act
    bench.roles.value_by = lambda context: 0.8 if follow(context).endswith("l") else 0.4
    for weight, values in ((0.5, (0.525, 0.575)), (1.0, (0.8, 0.4)), (0.0, (0.25, 0.75))):
        bench.roles.calls.clear()
        episode = await play(bench, {"iterations": 1, "rollout": False, "judge_weight": weight})
        first, *_ = await bench.data(episode.id, EventType.CANDIDATES_COMPARED)
        assert [one.value for one in first.outcomes] == pytest.approx(values)
        assert first.chosen == int(values[1] > values[0])


async def test_later_expansions_have_the_lessons_of_ends(bench: Bench, lock: Lock) -> None:
    lessons: list[list[tuple[str, str]]] = []

    def act(request: ActionRequest) -> list[Candidate]:
        lessons.append(
            [("".join(action[0] for action in path.actions), path.lesson) for path in request.context.tried]
        )
        return propose("l", "r")(request)

    bench.roles.act_by = act
    bench.roles.reflect_by = lambda request: f"not {follow(request.context)}"
    lock.key = "rrr"
    await play(bench, {"iterations": 4, "memory": 2})
    assert lessons[0] == []
    assert [("lll", "not lll")] in lessons
    assert all(lesson == f"not {path}" for tried in lessons for path, lesson in tried)
    assert max(len(tried) for tried in lessons) == 2
    lessons.clear()
    episode = await play(bench, {"iterations": 4, "reflect": False})
    assert not any(lessons)
    assert await bench.data(episode.id, EventType.REFLECTION_MADE) == []


async def test_sessions_of_low_value_are_closed_and_forked_again(
    bench: Bench, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock.key = "rrrr"
    params = {"iterations": 15, "reflect": False}
    whole = await play(bench, params)
    widest, lock.most_open = lock.most_open, 0
    monkeypatch.setattr(expansion, "MAX_OPEN", 1)
    episode = await play(bench, params)
    assert episode.result is not None
    assert whole.result is not None
    assert (episode.result.success, episode.result.branch) == (True, whole.result.branch)
    assert lock.most_open <= 4 < widest, "a leaf, and the forks that it is being expanded in"


@pytest.mark.parametrize("reflect", [True, False])
async def test_a_rollout_is_walked_again_only_with_another_lesson(
    bench: Bench, lock: Lock, reflect: bool
) -> None:
    lock.key = "rrrr"
    walked: list[str] = []

    def good(context: Context) -> float:
        walked.append(follow(context))
        return 0.0

    bench.roles.good_by = good
    await play(bench, {"iterations": 6, "reflect": reflect})
    assert walked.count("llll") > 1 if reflect else walked.count("llll") == 1


async def test_a_rollout_that_breaks_ends_no_other(bench: Bench, lock: Lock) -> None:
    def act(request: ActionRequest) -> list[Candidate]:
        if request.n == 1 and follow(request.context).startswith("l"):
            raise OutageError("actor", "scripted to be away")
        return propose("l", "r")(request)

    bench.set(outage_grace=0.0)
    bench.roles.act_by = act
    lock.key = "rll"
    episode = await play(bench)
    assert episode.result is not None
    assert episode.result.success
    assert any(data.failure == "actor" for data in await bench.data(episode.id, EventType.BRANCH_CLOSED))


@pytest.mark.parametrize("ends", [True, False])
async def test_a_part_that_breaks_leaves_the_best_end(bench: Bench, lock: Lock, ends: bool) -> None:
    def act(request: ActionRequest) -> list[Candidate]:
        if not ends or (request.n > 1 and request.context.turns):
            raise OutageError("actor", "scripted to be away")
        return propose("l", "r")(request)

    bench.set(outage_grace=0.0)
    bench.roles.act_by = act
    episode = await bench.run("lats")
    if ends:
        assert episode.result is not None
        assert (episode.result.branch, episode.result.ended) == ("0.0", "done")
        assert bench.environment.corridors == {}
    else:
        assert episode.state is State.FAILED
        assert episode.failure is not None
        assert episode.failure.reason == "actor"


async def test_a_task_that_is_done_at_its_start_needs_no_call(bench: Bench, lock: Lock) -> None:
    lock.key = ""
    episode = await play(bench)
    assert episode.result is not None
    assert (episode.result.success, episode.result.steps, bench.roles.calls) == (True, 0, [])


async def test_a_judge_that_is_away_leaves_the_samples(bench: Bench, lock: Lock) -> None:
    bench.roles.away = {"judge"}
    bench.set(outage_grace=0.0)
    episode = await play(bench, {"iterations": 2})
    assert episode.result is not None
    assert (episode.result.ended, episode.result.good_enough) == ("done", False)


async def test_what_feedback_shows_replaces_the_judge(bench: Bench, lock: Lock) -> None:
    bench.roles.good_by = lambda context: 0.0
    episode = await play(bench, feedback="done")
    assert episode.result is not None
    assert (episode.result.branch, episode.result.good_enough) == ("0.0", True)


@pytest.mark.parametrize("rollout", [True, False])
async def test_any_budget_ends_with_a_result_and_is_never_exceeded(
    bench: Bench, lock: Lock, rollout: bool
) -> None:
    lock.key = "rll"
    params = {"iterations": 7, "rollout": rollout}
    needed = count_calls(await play(bench, params))
    first_end = 6  # an expansion is three calls, two steps two more, and the judge weighs the end
    for calls in range(1, needed + 2):
        episode = await play(bench, params, budget=Budget(model_calls=calls))
        assert count_calls(episode) <= calls
        assert episode.result is not None
        assert episode.result.steps > 0 or calls == 1
        assert episode.result.good_enough is (calls >= needed)
        if rollout:
            assert episode.result.ended == ("done" if calls >= first_end else "budget")


async def test_a_state_whose_session_has_moved_on_is_not_committed(bench: Bench, lock: Lock) -> None:
    """The start's first child steps in the start's own session, and looks better than all after it."""
    lock.key = "rrrrr"
    bench.roles.value_by = lambda context: 0.9 if follow(context) == "l" else 0.3
    episode = await play(bench, {"iterations": 2, "rollout": False, "judge_weight": 1.0})
    assert episode.result is not None
    assert episode.result.steps == 2
    [*_, last] = await bench.data(episode.id, EventType.CANDIDATES_COMPARED)
    steps = await bench.data(episode.id, EventType.STEP_TAKEN)
    [session] = [outcome.session for outcome in last.outcomes]
    [*_, stepped] = [step for step in steps if step.session == session]
    assert stepped.observation == "Turned ll."


@pytest.mark.parametrize("error", [BudgetExhaustedError("seconds"), InfrastructureError("environment", "")])
@pytest.mark.parametrize("second", [True, False])
async def test_an_expansion_that_is_interrupted_keeps_the_children_that_were_taken(
    bench: Bench, lock: Lock, monkeypatch: pytest.MonkeyPatch, error: Exception, *, second: bool
) -> None:
    """The first child is an end; the step to the second one, or the fork for it, fails."""
    step, fork = RecordedWorld.step, RecordedWorld.fork

    async def stepping(self: RecordedWorld, session: str, action: str) -> Seen:
        if second and action == "right":
            raise error
        return await step(self, session, action)

    async def forking(self: RecordedWorld, session: str, at_step: int | None = None) -> Opened:
        if not second:
            raise error
        return await fork(self, session, at_step)

    monkeypatch.setattr(RecordedWorld, "step", stepping)
    monkeypatch.setattr(RecordedWorld, "fork", forking)
    lock.key = "l"
    episode = await bench.run("lats", spec={"done_means_success": False})
    if isinstance(error, InfrastructureError) and not second:
        assert episode.state is State.FAILED, "nothing was taken yet"
        return
    assert episode.result is not None
    assert (episode.result.success, episode.result.steps, episode.result.ended) in (
        (True, 1, "done"),
        (True, 1, "budget"),
    )


@pytest.mark.parametrize("repeats", ["allow", "avoid"])
async def test_repetitions_are_dropped_where_they_are_avoided(
    bench: Bench, lock: Lock, monkeypatch: pytest.MonkeyPatch, repeats: str
) -> None:
    monkeypatch.setattr(Repetitions, "shows_again", lambda *_: True)
    lock.key = "lll"
    episode = await play(bench, {"iterations": 1, "rollout": False, "repeats": repeats})
    [first, *_] = await bench.data(episode.id, EventType.CANDIDATES_COMPARED)
    assert [one.dead for one in first.outcomes] == [repeats == "avoid"] * 2


async def test_an_end_that_was_refused_is_an_end(bench: Bench, lock: Lock) -> None:
    bench.roles.act_by = propose("l", "jump")
    bench.roles.good_by = lambda context: float(follow(context) == "j")
    lock.key = "j"
    episode = await play(bench)
    assert episode.result is not None
    assert (episode.result.success, episode.result.good_enough) == (True, True)


async def test_a_failure_that_feedback_shows_is_worth_nothing_whatever_the_judge_finds(
    bench: Bench, lock: Lock
) -> None:
    """The limit of steps ends every path, and none is a success."""
    bench.roles.good_by = lambda context: 0.99
    lock.key = "rrrrr"
    episode = await play(bench, {"iterations": 2, "reflect": False}, feedback="done", max_steps=2)
    assert episode.result is not None
    assert episode.result.good_enough is False
    assert await bench.data(episode.id, EventType.VERDICT_PATH) == []
    [*_, last] = await bench.data(episode.id, EventType.BRANCH_CLOSED)
    assert last.result["p_good_enough"] == 0.0


async def test_an_end_that_would_show_a_hidden_success_has_no_advantage(bench: Bench, lock: Lock) -> None:
    """`done` means success, and the judge, that alone may decide, thinks little of it."""
    bench.environment = ScriptedEnvironment(length=1)
    bench.roles.act_by = lambda request: [
        Candidate(action=action, well_formed=True) for action in ("north", "south")
    ]
    bench.roles.good_by = lambda context: 0.2
    bench.roles.value_by = lambda context: 0.6
    params = {"iterations": 1, "rollout": False}
    for hides, action in ((False, "north"), (True, "south")):
        episode = await play(bench, params, only_good_ends=hides)
        [*_, last] = await bench.data(episode.id, EventType.CANDIDATES_COMPARED)
        assert [one.action for one in last.outcomes] == [action]
        assert episode.result is not None
        assert episode.result.success is not hides
    bench.roles.good_by = lambda context: 0.9
    episode = await play(bench, params, only_good_ends=True)
    assert episode.result is not None
    assert episode.result.good_enough is True


@pytest.mark.parametrize("hides", [True, False])
async def test_whether_a_hidden_end_was_reached_decides_nothing_where_a_part_breaks(
    bench: Bench, lock: Lock, *, hides: bool
) -> None:
    bench.set(outage_grace=0.0)

    def act(request: ActionRequest) -> list[Candidate]:
        if request.context.turns:
            raise OutageError("actor", "scripted to be away")
        return propose("l", "r")(request)

    bench.roles.act_by = act
    spec = {"done_means_success": hides}
    episode = await bench.run("lats", spec=spec, params={"rollout": False})
    assert episode.state is (State.COMPLETED if hides else State.FAILED)


@pytest.mark.parametrize("placing", [Branches.LOCAL, Branches.SPREAD])
async def test_killed_anywhere_it_is_the_same(
    bench: Bench, lock: Lock, placing: Branches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "MAX_OPEN", 2)
    bench.set(branches=placing)
    lock.key = "rlr"
    options: dict[str, Any] = {"params": {"iterations": 6}}
    whole = await bench.run("lats", **options)
    await check_killed_anywhere(bench, "lats", whole, **options)


async def test_both_placements_write_the_same(bench: Bench, lock: Lock) -> None:
    lock.key = "rrl"
    shapes = []
    for placing in (Branches.LOCAL, Branches.SPREAD):
        bench.set(branches=placing)
        episode = await play(bench)
        shapes.append(shape(await bench.store.events(episode.id)))
    assert shapes[0] == shapes[1]
