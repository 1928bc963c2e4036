"""How tmbr chooses: the greedy candidate first, margins, look-ahead, and the way back to the weakest step."""

import math
from collections import Counter
from typing import Any

import pytest

from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import Context
from services.contracts.event import EventType
from services.contracts.problem import Problem
from services.kit.failures import BusyError, OutageError, RefusedError
from services.orchestrator.store.fold import Fold
from tests.orchestrator.conftest import Bench


def propose(greedy: str, *sampled: str, likely: float = 0.5) -> Any:
    """Return an actor whose greedy candidate has a probability, and whose samples are others."""

    def act(request: ActionRequest) -> list[Candidate]:
        if request.n == 1:
            return [Candidate(action=greedy, well_formed=True, logprob=math.log(likely))]
        return [Candidate(action=action, well_formed=True, logprob=-3.0) for action in sampled]

    return act


def value_of(**values: float) -> Any:
    """Return a judge that values a state by its last action."""

    def value(context: Context) -> float:
        return values.get(context.turns[-1].action, 0.5) if context.turns else 0.5

    return value


async def play(bench: Bench, **params: Any) -> Any:
    return await bench.run("tmbr", max_steps=3, num_subtasks=0, num_path=1, params={"margin": 0.1, **params})


def actions_of(fold: Fold, branch: str = "0.0") -> list[str]:
    """The actions of the path that a branch kept."""
    return [node.action for node in fold.branches[branch].nodes if not node.taken_back]


async def test_a_sure_candidate_is_taken_without_another_call(bench: Bench) -> None:
    bench.roles.act_by = propose("north", "look", likely=0.95)
    episode = await play(bench)
    assert episode.result.success
    assert Counter(bench.roles.calls) == {"actor": 3, "judge": 1}


async def test_samples_that_agree_with_the_greedy_candidate_need_no_judge(bench: Bench) -> None:
    bench.roles.act_by = propose("north", "NORTH", "North")
    episode = await play(bench)
    assert episode.result.success
    assert Counter(bench.roles.calls) == {"actor": 6, "judge": 1}, "the judge weighs the end alone"
    assert bench.environment.forked == {}


@pytest.mark.parametrize("scorer", ["selection", "value"])
@pytest.mark.parametrize("look_ahead", [True, False])
async def test_a_judge_that_finds_all_equal_leaves_what_react_does(
    bench: Bench, scorer: str, look_ahead: bool
) -> None:
    bench.roles.act_by = propose("look", "north")
    episode = await play(bench, scorer=scorer, look_ahead=look_ahead, repeats="allow")
    fold = Fold(await bench.events(episode.id))
    first, *_ = actions_of(fold)
    assert first == "look"
    bench.roles.act_by = propose("north", "look")
    episode = await play(bench, scorer=scorer, look_ahead=look_ahead)
    assert episode.result.success
    assert actions_of(Fold(await bench.events(episode.id))) == ["north"] * 3


@pytest.mark.parametrize(
    ("margin", "taken"), [(0.2, "north"), (0.3, "south"), (0.0, "north"), (1.0, "south")]
)
@pytest.mark.parametrize("look_ahead", [True, False])
async def test_a_candidate_replaces_the_greedy_one_by_a_margin_only(
    bench: Bench, margin: float, taken: str, look_ahead: bool
) -> None:
    bench.roles.act_by = lambda request: (
        propose("south", "north")(request) if not request.context.turns else []
    )
    bench.environment.length = 5
    bench.roles.value_by = value_of(south=0.4, north=0.625)
    episode = await play(bench, margin=margin, look_ahead=look_ahead)
    assert actions_of(Fold(await bench.events(episode.id)))[0] == taken


async def test_what_is_refused_loses_at_once_and_without_the_judge(bench: Bench) -> None:
    bench.roles.act_by = propose("jump", "north")
    episode = await play(bench)
    fold = Fold(await bench.events(episode.id))
    assert actions_of(fold) == ["north"] * 3
    assert episode.result.success
    assert "judge" not in bench.roles.calls[:-1]
    compared = await bench.data(episode.id, EventType.CANDIDATES_COMPARED)
    assert [[outcome.dead for outcome in one.outcomes] for one in compared] == [[True, False]] * 3
    assert [one.chosen for one in compared] == [1] * 3
    assert bench.environment.corridors == {}, "every session was closed"
    assert episode.result.steps == 3


async def test_the_result_is_of_the_session_that_was_followed(bench: Bench) -> None:
    """The last session that is stepped is a fork that is given up: its reward counts for nothing."""
    bench.roles.act_by = propose("look", "north")
    bench.environment.length = 1
    bench.roles.value_by = value_of(look=0.9, north=0.1)
    episode: Any = await bench.run(
        "tmbr", max_steps=1, num_subtasks=0, num_path=1, params={"repeats": "allow", "margin": 0.5}
    )
    assert (episode.result.success, episode.result.ended) == (False, "max_steps")
    tree = Fold(await bench.events(episode.id)).tree(episode.id)
    [path] = [branch for branch in tree.branches if branch.nodes]
    assert [(node.action, node.taken_back, node.parent, node.value) for node in path.nodes] == [
        ("look", False, None, 0.9),
        ("north", True, None, 0.1),
    ]


async def test_the_next_path_goes_on_from_the_weakest_step(bench: Bench) -> None:
    """A trap at the second step: only who goes back to it gets out, and the first step is not taken again."""
    seen: list[list[str]] = []

    def act(request: ActionRequest) -> list[Candidate]:
        seen.append([turn.action for turn in request.context.turns])
        turns = request.context.turns
        if len(turns) == 1 or (turns and turns[-1].action == "south"):
            return propose("south", "north", "look")(request)
        return propose("north", likely=0.99)(request)

    bench.roles.act_by = act
    bench.roles.value_by = value_of(south=0.35, look=0.6, north=0.7)
    bench.roles.good_by = lambda context: float(all(turn.action == "north" for turn in context.turns))
    episode: Any = await bench.run(
        "tmbr", max_steps=3, num_subtasks=0, num_path=2, num_branch=3, params={"margin": 0.4}
    )
    assert episode.result.success
    assert episode.result.branch == "0.1"
    [back] = await bench.data(episode.id, EventType.BACKTRACKED)
    assert back.to_step == 1
    fold = Fold(await bench.events(episode.id))
    second = [node for node in fold.branches["0.1"].nodes if not node.taken_back]
    assert [node.action for node in second] == ["north", "north"]
    assert second[0].parent == "0.0/1"
    assert episode.result.steps == 3
    assert seen[-1] == ["north", "north"]


async def test_without_a_weakest_step_the_next_path_begins_at_the_start(bench: Bench) -> None:
    bench.roles.act_by = propose("look", likely=0.99)
    bench.roles.good_by = lambda context: 0.0
    episode: Any = await bench.run("tmbr", max_steps=2, num_subtasks=0, num_path=2)
    [back] = await bench.data(episode.id, EventType.BACKTRACKED)
    assert back.to_step == 0
    assert episode.figures.forks == 0


async def test_a_judge_without_budget_leaves_the_first_that_lives(bench: Bench) -> None:
    bench.roles.act_by = propose("south", "north")
    bench.roles.value_by = value_of(south=0.1, north=0.9)
    episode: Any = await bench.run(
        "tmbr", max_steps=3, num_subtasks=0, num_path=1, budget={"model_calls": 2}, params={"margin": 0.0}
    )
    assert (episode.state, episode.result.ended) == ("completed", "budget")
    assert actions_of(Fold(await bench.events(episode.id))) == ["south"]


async def test_without_a_calibrated_margin_it_is_greedy_and_the_log_says_so(bench: Bench) -> None:
    bench.roles.act_by = propose("north", "look")
    episode = await play_uncalibrated(bench, margin=None)
    assert Counter(bench.roles.calls) == {"actor": 3, "judge": 1}
    [fallback] = await bench.data(episode.id, EventType.FELL_BACK)
    assert fallback.what == "margin"
    assert "twin" in fallback.detail


async def test_the_calibrated_margin_is_that_of_the_adapters_card(bench: Bench) -> None:
    bench.roles.value_by = value_of(south=0.4, north=0.625)
    for margin, taken in ((0.2, "north"), (0.3, "south")):
        bench.roles.act_by = lambda request: (
            propose("south", "north")(request) if not request.context.turns else []
        )
        episode = await play_uncalibrated(bench, margin=margin)
        assert actions_of(Fold(await bench.events(episode.id)))[0] == taken
        assert not await bench.data(episode.id, EventType.FELL_BACK)


@pytest.mark.parametrize(("planned", "plans"), [(True, 1), (None, 1), (False, 0)])
async def test_a_plan_is_made_where_plans_were_learned(
    bench: Bench, planned: bool | None, plans: int
) -> None:
    await play_uncalibrated(bench, margin=1.0, planned=planned, num_subtasks=2)
    assert bench.roles.calls.count("planner") == plans


async def play_uncalibrated(bench: Bench, num_subtasks: int = 0, **spec: Any) -> Any:
    """Play an episode whose record has what a card gave it."""
    bench.roles.calls.clear()
    episode, record = await bench.create(
        "tmbr", max_steps=3, num_subtasks=num_subtasks, num_path=1, spec=spec
    )
    assert {name: getattr(record, name) for name in spec} == spec
    return await bench.finish(episode)


async def test_a_state_that_cannot_be_forked_means_a_path_from_the_start(bench: Bench) -> None:
    bench.roles.act_by = propose("south", "north", "look")
    bench.roles.value_by = value_of(south=0.5, north=0.5, look=0.5)
    bench.roles.good_by = lambda context: float(bool(context.tried))
    bench.set(outage_grace=0.0)
    fork = bench.environment.fork
    forks = 0

    async def refuse_old(session: str, at_step: int, key: str, epoch: int | None) -> Any:
        nonlocal forks
        if epoch is None:
            forks += 1
            raise OutageError("twin", "scripted to be away")
        return await fork(session, at_step, key, epoch)

    bench.environment.fork = refuse_old  # pyright: ignore[reportAttributeAccessIssue]
    episode: Any = await bench.run(
        "tmbr", max_steps=2, num_subtasks=0, num_path=2, params={"margin": 0.1, "repeats": "allow"}
    )
    assert forks > 0
    assert (episode.state, episode.result.branch, episode.result.steps) == ("completed", "0.1", 2)
    second = Fold(await bench.events(episode.id)).branches["0.1"]
    assert second.nodes[0].parent is None


async def test_a_budget_that_ends_in_a_look_ahead_keeps_the_greedy_step_and_its_score(bench: Bench) -> None:
    """The environment is full at the second fork's step until the time is over: the first candidate stays."""
    bench.roles.act_by = propose("look", "north", "south")
    bench.environment.length = 1
    step, count = bench.environment.step, 0

    async def full(session: str, action: str, key: str, epoch: int) -> Any:
        nonlocal count
        count += 1
        if count >= 3:
            raise BusyError("twin", "scripted to be full", 0.01)
        return await step(session, action, key, epoch)

    bench.environment.step = full  # pyright: ignore[reportAttributeAccessIssue]
    episode: Any = await bench.run(
        "tmbr",
        max_steps=3,
        num_subtasks=0,
        num_path=1,
        num_branch=3,
        params={"margin": 0.0},
        budget={"seconds": 1.0},
    )
    assert (episode.result.ended, episode.result.success, episode.result.steps) == ("budget", False, 1)
    assert actions_of(Fold(await bench.events(episode.id))) == ["look"]


async def test_a_fork_that_breaks_costs_its_candidate_alone(bench: Bench) -> None:
    bench.roles.act_by = propose("look", "south", "north")
    bench.roles.value_by = value_of(look=0.1, south=0.2, north=0.9)
    fork, count = bench.environment.fork, 0

    async def refuse_first(session: str, at_step: int, key: str, epoch: int | None) -> Any:
        nonlocal count
        count += 1
        if count == 1:
            raise RefusedError("twin", Problem(title="no", status=400, detail="scripted to refuse"))
        return await fork(session, at_step, key, epoch)

    bench.environment.fork = refuse_first  # pyright: ignore[reportAttributeAccessIssue]
    episode: Any = await bench.run(
        "tmbr", max_steps=3, num_subtasks=0, num_path=1, num_branch=3, params={"margin": 0.0}
    )
    assert episode.result.success
    assert actions_of(Fold(await bench.events(episode.id))) == ["north"] * 3


async def test_a_judge_that_is_away_leaves_the_greedy_candidate(bench: Bench) -> None:
    bench.roles.act_by = propose("north", "south")
    bench.roles.away = {"judge"}
    bench.set(outage_grace=0.0)
    episode = await play(bench, margin=0.0)
    assert (episode.result.success, episode.result.steps) == (True, 3)


async def test_a_look_ahead_may_be_scored_by_the_judges_choice(bench: Bench) -> None:
    bench.roles.act_by = propose("look", "north")
    bench.roles.choose_by = lambda question: [option.action for option in question.options].index("north")
    episode: Any = await bench.run(
        "tmbr", max_steps=3, num_subtasks=0, num_path=1, params={"scorer": "selection"}
    )
    assert episode.result.success
    assert len(await bench.data(episode.id, EventType.VERDICT_SELECTION)) == 3
    assert not await bench.data(episode.id, EventType.VERDICT_VALUE)
    assert not await bench.data(episode.id, EventType.FELL_BACK)


async def test_what_shows_nothing_new_may_be_taken_where_repeats_are_allowed(bench: Bench) -> None:
    bench.roles.act_by = propose("look", "north")
    bench.roles.value_by = value_of(look=0.9, north=0.1)
    episode = await play(bench, margin=0.0, repeats="allow")
    assert actions_of(Fold(await bench.events(episode.id))) == ["look"] * 3


async def test_a_question_about_several_states_fits_into_the_budget(bench: Bench) -> None:
    bench.roles.act_by = propose("look", "south", "north")
    bench.roles.value_by = value_of(look=0.1, south=0.2, north=0.9)
    for limit in range(3, 8):
        episode: Any = await bench.run(
            "tmbr",
            max_steps=3,
            num_subtasks=0,
            num_path=1,
            num_branch=3,
            params={"margin": 0.0},
            budget={"model_calls": limit},
        )
        assert episode.figures.usage.calls <= limit
