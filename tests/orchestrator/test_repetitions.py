"""What had no effect is not taken again while nothing changes."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.contracts.action import ActionRequest, Candidate
from services.contracts.episode import Budget, Episode
from services.contracts.event import EventType
from services.contracts.verdict import SelectionQuestion
from services.orchestrator.durable.replay import replay_episode
from services.orchestrator.search import METHODS
from services.orchestrator.search.repetitions import Repetitions
from services.orchestrator.store.fold import Fold
from tests.orchestrator.conftest import Bench

ALLOW = {"repeats": "allow"}


def moves(*actions: str) -> list[Candidate]:
    return [Candidate(action=action, thought="so", well_formed=True) for action in actions]


def stubborn(*anew: str) -> Callable[[ActionRequest], list[Candidate]]:
    """An actor that jumps, which its environment refuses, and does something else only when it has to."""
    return lambda request: moves(*(anew if request.avoid else ("jump",)))


async def actions(bench: Bench, episode: Episode) -> list[str]:
    return [data.action for data in await bench.data(episode.id, EventType.STEP_TAKEN)]


# What a repetition is


def walked(*steps: tuple[str, str, bool]) -> list[str]:
    found = Repetitions()
    for action, observation, valid in steps:
        found.add(action, observation, valid=valid)
    assert all(found.has(action.upper() + " ") for action in found.actions)
    return found.actions


def test_refused_actions_gather_until_one_is_accepted() -> None:
    jump, fly, look = ("jump", "No.", False), ("fly", "No.", False), ("look", "A room.", True)
    assert walked(jump) == ["jump"]
    assert walked(jump, fly, ("JUMP ", "No.", False)) == ["JUMP ", "fly"]
    assert walked(jump, fly, look) == []
    assert walked(look, jump) == ["jump"]


def test_an_accepted_step_that_changed_nothing_lets_no_refused_action_pass() -> None:
    look, jump = ("look", "A room.", True), ("jump", "No.", False)
    assert sorted(walked(look, jump, look)) == ["jump", "look"]
    assert walked(look, jump, ("look", "A hall.", True)) == []


def test_an_action_that_showed_the_same_twice_waits_for_something_new() -> None:
    north, south, take = ("north", "A hall.", True), ("south", "A room.", True), ("take mug", "Taken.", True)
    assert walked(north, south) == []
    assert walked(north, south, north) == ["north"]
    assert sorted(walked(north, south, north, south)) == ["north", "south"]
    assert walked(north, south, north, take) == []
    assert walked(north, ("north", "A cellar.", True)) == []


# What a path does about it


async def test_a_refused_action_is_not_taken_again(bench: Bench) -> None:
    requests: list[ActionRequest] = []

    def act(request: ActionRequest) -> list[Candidate]:
        requests.append(request)
        return stubborn("JUMP", "north")(request)

    bench.roles.act_by = act
    episode = await bench.run("react", max_steps=3)
    assert await actions(bench, episode) == ["jump", "north", "jump"]
    _, second, again, last = requests
    assert (second.avoid, again.avoid, last.avoid) == ([], ["jump"], [])
    assert (second.n, again.n, again.temperature) == (1, 4, 1.0)
    assert len({request.seed for request in requests}) == 4
    assert [request.grammar for request in requests] == [False, True, True, False]
    repeated = await bench.data(episode.id, EventType.CANDIDATES_REPEATED)
    assert [(data.actions, data.avoided) for data in repeated] == [(["jump"], ["jump"]), (["JUMP"], ["jump"])]
    assert episode.figures is not None
    assert (episode.figures.refused_followed, episode.figures.refused_repeated) == (1, 0)


async def test_where_repetitions_are_allowed_it_is(bench: Bench) -> None:
    bench.roles.act_by = stubborn("north")
    episode = await bench.run("react", max_steps=3, params=ALLOW)
    assert await actions(bench, episode) == ["jump"] * 3
    assert await bench.events(episode.id, EventType.CANDIDATES_REPEATED) == []
    assert episode.figures is not None
    assert (episode.figures.refused_followed, episode.figures.refused_repeated) == (2, 2)


async def test_the_next_candidate_costs_no_call(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("jump", "north")
    episode = await bench.run("tmbr", max_steps=3, num_path=1, num_subtasks=0, params={"profile": "paper"})
    assert await actions(bench, episode) == ["jump", "north", "jump"]
    assert bench.roles.calls.count("actor") == 3


async def test_who_has_nothing_else_repeats_and_goes_on(bench: Bench) -> None:
    bench.roles.act_by = stubborn("jump", "Jump")
    episode = await bench.run("react", max_steps=3)
    assert await actions(bench, episode) == ["jump"] * 3
    assert bench.roles.calls == ["actor"] * 5, "one more request a step"
    assert episode.result is not None
    assert episode.result.ended == "max_steps"


async def test_the_temperature_rises_while_the_actor_is_stuck(bench: Bench) -> None:
    heats: list[float | None] = []

    def act(request: ActionRequest) -> list[Candidate]:
        if request.avoid:
            heats.append(request.temperature)
        return stubborn("north" if len(heats) == 5 else "jump")(request)

    bench.roles.act_by = act
    await bench.run("react", max_steps=8)
    assert heats == [1.0, 1.25, 1.5, 1.5, 1.5, 1.0]


async def test_a_spent_budget_leaves_the_first_candidate(bench: Bench) -> None:
    bench.roles.act_by = stubborn("north")
    episode = await bench.run("react", max_steps=3, budget=Budget(model_calls=2))
    assert await actions(bench, episode) == ["jump", "jump"]
    assert episode.result is not None
    assert episode.result.ended == "budget"


async def test_an_accepted_action_is_not_taken_a_third_time_without_effect(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("look" if not request.avoid else "north")
    episode = await bench.run("react", max_steps=5)
    assert await actions(bench, episode) == ["look", "look", "north", "look", "look"]


async def test_the_judge_chooses_among_what_is_no_repetition(bench: Bench) -> None:
    options: list[list[str]] = []

    def choose(question: SelectionQuestion) -> int:
        options.append([option.action for option in question.options])
        return 0

    bench.roles.act_by = lambda request: moves("jump", "south", "north")
    bench.roles.choose_by = choose
    episode = await bench.run("tmbr", max_steps=2, num_path=1, num_subtasks=0, params={"profile": "paper"})
    assert options == [["jump", "south", "north"], ["south", "north"]]
    tree = Fold(await bench.store.events(episode.id)).tree(episode.id)
    nodes = tree.branches[-1].nodes
    assert [(item.action, item.repeated, item.score) for item in nodes[1].candidates] == [
        ("jump", True, None),
        ("south", False, 1.0),
        ("north", False, 0.0),
    ]


# Replay


@pytest.mark.parametrize("method", ["react", "tmbr"])
async def test_an_episode_with_repetitions_replays(bench: Bench, method: str) -> None:
    bench.roles.act_by = stubborn("jump", "north")
    found = await bench.run(method, max_steps=4)
    record = await bench.store.record(found.id)
    assert record is not None
    events = await bench.store.events(found.id)
    assert EventType.CANDIDATES_REPEATED in {event.type for event in events}
    replay = await replay_episode(found, record, events)
    assert replay.identical, replay.detail


@pytest.mark.parametrize("params", [{}, {"grammar": "retry"}])
async def test_an_episode_of_version_1_ends_as_it_began(bench: Bench, params: dict[str, str]) -> None:
    requests: list[ActionRequest] = []

    def act(request: ActionRequest) -> list[Candidate]:
        requests.append(request)
        return stubborn("north")(request)

    bench.roles.act_by = act
    later, record = await bench.create("react", max_steps=3, params=params)
    await bench.store.cancel(later)
    old = record.model_copy(update={"version": "1"})
    episode, _ = await bench.store.create(old, None)
    found = await bench.finish(episode)
    assert await actions(bench, found) == ["jump"] * 3
    assert not any(request.grammar or request.avoid for request in requests)
    replay = await replay_episode(found, old, await bench.store.events(episode))
    assert replay.identical, replay.detail


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_actor_gets_a_path_that_repeats_no_refusal(bench: Bench, data: st.DataObject) -> None:
    """Unless it has nothing else."""
    names = st.lists(st.sampled_from(["jump", "fly", "look", "north", "south"]), max_size=3)
    proposed = data.draw(st.lists(names, min_size=8, max_size=8))

    def act(request: ActionRequest) -> list[Candidate]:
        step = len(request.context.turns)
        return moves(*proposed[step], f"way {step}")

    bench.roles.act_by = act
    found = await bench.run("react", max_steps=8)
    assert found.figures is not None
    assert found.figures.refused_repeated == 0


# Parameters


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_repeats_and_refuses_other_values(method: str) -> None:
    params = METHODS[method].params
    assert params.model_validate({}) == params.model_validate({"repeats": "avoid"})
    assert params.model_validate(ALLOW) != params.model_validate({})
    with pytest.raises(ValidationError):
        params.model_validate({"repeats": "sometimes"})
