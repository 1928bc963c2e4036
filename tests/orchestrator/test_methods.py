"""What each method does, on scripted ports and a real Valkey."""

from collections import Counter

import pytest

from services.contracts.action import ActionRequest, Candidate, Form
from services.contracts.episode import Budget, State
from services.contracts.event import EventType
from tests.orchestrator.conftest import Bench


def moves(*actions: str) -> list[Candidate]:
    return [Candidate(action=action, thought="so", well_formed=True) for action in actions]


@pytest.mark.parametrize("method", ["io", "cot", "react"])
async def test_a_linear_method_walks_to_the_end(bench: Bench, method: str) -> None:
    forms: list[Form] = []

    def act(request: ActionRequest) -> list[Candidate]:
        forms.append(request.form)
        assert [turn.thought for turn in request.context.turns] == (
            ["so"] * len(request.context.turns) if method == "react" else [""] * len(request.context.turns)
        )
        return moves("north")

    bench.roles.act_by = act
    episode = await bench.run(method)
    assert episode.state is State.COMPLETED
    assert episode.result is not None
    assert episode.figures is not None
    assert (episode.result.success, episode.result.steps, episode.result.ended) == (True, 3, "done")
    assert set(forms) == {Form(method)}
    assert bench.roles.calls == ["actor"] * 3
    assert bench.environment.corridors == {}
    assert (episode.figures.steps, episode.figures.usage.calls) == (3, 3)


async def test_max_steps_ends_a_path_without_success(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("look")
    episode = await bench.run("react", max_steps=4)
    assert episode.result is not None
    assert episode.figures is not None
    assert (episode.result.success, episode.result.score, episode.result.ended) == (False, 0.0, "max_steps")
    assert episode.figures.repeated == 3


async def test_three_malformed_answers_in_a_row_end_a_path_and_take_no_step(bench: Bench) -> None:
    grammars: list[bool] = []

    def act(request: ActionRequest) -> list[Candidate]:
        grammars.append(request.grammar)
        return [Candidate(action="?", well_formed=False)]

    bench.roles.act_by = act
    episode = await bench.run("react")
    assert episode.result is not None
    assert episode.figures is not None
    assert (episode.result.ended, bench.environment.steps) == ("malformed", 0)
    assert grammars == [False, True, True]
    assert (episode.figures.candidates, episode.figures.malformed) == (3, 3)


async def test_tmbr_plans_branches_judges_and_commits(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("south", "north")
    bench.roles.choose_by = lambda question: [option.action for option in question.options].index("north")
    bench.roles.done_by = lambda question: float(len(question.context.turns) >= 1)
    episode = await bench.run("tmbr", params={"profile": "paper"})
    assert episode.result is not None
    assert (episode.result.branch, episode.result.good_enough, episode.result.success) == ("0.0", True, True)
    kinds = [event.type for event in await bench.events(episode.id)]
    assert kinds.count(EventType.PLAN_MADE) == 1
    assert kinds.count(EventType.VERDICT_SELECTION) == 3
    assert kinds.count(EventType.SUBTASK_DONE) == 2, "the third step ends the path before the judge is asked"
    assert kinds[-1] is EventType.EPISODE_COMPLETED


async def test_tmbr_backtracks_tells_what_was_tried_and_keeps_the_plan(bench: Bench) -> None:
    tried: list[list[list[str]]] = []

    def act(request: ActionRequest) -> list[Candidate]:
        tried.append([path.actions for path in request.context.tried])
        return moves("north" if request.context.tried else "look")

    bench.roles.act_by = act
    bench.roles.good_by = lambda context: float(any(turn.action == "north" for turn in context.turns))
    episode = await bench.run("tmbr", max_steps=3, params={"profile": "paper", "repeats": "allow"})
    assert episode.result is not None
    assert (episode.result.branch, episode.result.success) == ("0.1", True)
    assert tried == [[]] * 3 + [[["look"] * 3]] * 3
    assert bench.roles.calls.count("planner") == 1
    assert episode.figures is not None
    assert (episode.figures.backtracks, episode.figures.paths) == (1, 2)


async def test_tmbr_commits_the_judges_best_where_no_path_is_good_enough(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("south" if request.context.tried else "look")
    bench.roles.good_by = lambda context: 0.1
    bench.roles.best_by = lambda question: 1
    episode = await bench.run("tmbr", max_steps=2)
    assert episode.result is not None
    assert (episode.result.branch, episode.result.good_enough) == ("0.1", False)


async def test_a_search_that_may_not_see_success_does_not(bench: Bench) -> None:
    """Honest reward: a won path that the judge dislikes is not committed for having been won."""
    bench.roles.act_by = lambda request: moves("look" if request.context.tried else "north")
    bench.roles.good_by = lambda context: 0.9 if context.tried else 0.1
    honest = await bench.run("tmbr", max_steps=3)
    found = await bench.run("tmbr", max_steps=3, feedback="done")
    assert honest.result is not None
    assert found.result is not None
    assert (honest.result.branch, honest.result.success) == ("0.1", False)
    assert (found.result.branch, found.result.success) == ("0.0", True)


async def test_a_subtask_that_is_never_done_is_passed_over(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("look")
    bench.roles.good_by = lambda context: 1.0
    episode = await bench.run("tmbr", max_steps=6, num_subtasks=3)
    expired = await bench.data(episode.id, EventType.SUBTASK_EXPIRED)
    assert [event.steps for event in expired] == [4]


async def test_the_last_subtask_done_ends_the_path(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("look")
    bench.roles.done_by = lambda question: 1.0
    episode = await bench.run("tmbr")
    assert episode.result is not None
    assert (episode.result.ended, episode.result.steps) == ("subtasks", 3)


async def test_a_task_that_is_not_split_has_branches_and_paths_alone(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("look", "north")
    bench.roles.good_by = lambda context: 0.9 if context.tried else 0.1
    episode = await bench.run(
        "tmbr", max_steps=3, num_subtasks=0, params={"profile": "paper", "repeats": "allow"}
    )
    assert episode.result is not None
    assert (episode.result.branch, episode.result.good_enough) == ("0.1", True)
    assert Counter(bench.roles.calls) == {"actor": 6, "judge": 8}
    kinds = Counter(event.type for event in await bench.events(episode.id))
    assert (kinds[EventType.VERDICT_SELECTION], kinds[EventType.VERDICT_PATH]) == (6, 2)
    assert not kinds.keys() & {EventType.PLAN_MADE, EventType.VERDICT_SUBTASK, EventType.SUBTASK_EXPIRED}


@pytest.mark.parametrize(
    ("budget", "calls"), [(Budget(model_calls=2), 2), (Budget(tokens=110), 1), (Budget(tokens=111), 2)]
)
async def test_a_spent_budget_ends_the_episode_with_what_there_is(
    bench: Bench, budget: Budget, calls: int
) -> None:
    episode = await bench.run("react", budget=budget)
    assert episode.result is not None
    assert (episode.state, episode.result.ended) == (State.COMPLETED, "budget")
    assert len(bench.roles.calls) == calls


async def test_a_child_branch_spends_of_its_parents_budget(bench: Bench) -> None:
    bench.roles.act_by = lambda request: moves("look")
    bench.roles.good_by = lambda context: 0.0
    episode = await bench.run("tmbr", max_steps=2, num_path=4, budget=Budget(model_calls=9))
    assert episode.result is not None
    assert len(bench.roles.calls) == 9
    assert episode.figures is not None
    assert episode.figures.paths == 2
