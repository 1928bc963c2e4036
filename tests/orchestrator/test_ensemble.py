"""self_consistency and best_of_n: which of several paths is committed."""

import pytest

from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import Context
from services.contracts.episode import Budget, State
from services.contracts.event import EventType
from services.contracts.problem import Problem
from services.contracts.verdict import PathQuestion
from services.kit.failures import RefusedError
from services.orchestrator.search.proposals import VARIANT_STRIDE
from services.orchestrator.settings import Branches
from tests.orchestrator.conftest import Bench
from tests.orchestrator.test_replay import check_killed_anywhere


def play(bench: Bench, *plans: str) -> None:
    """Let each path take its own actions, one letter a step: n, s or l."""
    names = {"n": "north", "s": "south", "l": "look"}

    def act(request: ActionRequest) -> list[Candidate]:
        variant = (request.seed or 0) // VARIANT_STRIDE
        plan = plans[variant]
        letter = plan[min(len(request.context.turns), len(plan) - 1)]
        return [Candidate(action=names[letter], thought="so", well_formed=True)]

    bench.roles.act_by = act


async def vote(bench: Bench, n: int, **options: object) -> str:
    spec = {"done_means_success": False, **options}
    episode = await bench.run(
        "self_consistency", num_path=n, max_steps=3, params={"repeats": "allow"}, spec=spec
    )
    assert episode.state is State.COMPLETED
    assert episode.result is not None
    return episode.result.branch


async def test_the_most_frequent_end_is_committed(bench: Bench) -> None:
    bench.environment.length = 2
    bench.environment.outcomes = True
    play(bench, "nln", "nn", "lnn", "lll")
    assert await vote(bench, 4) == "0.0", "two end in cell 2 after three steps, one after two"


async def test_a_path_that_did_not_end_by_itself_has_no_vote(bench: Bench) -> None:
    play(bench, "lll", "lll", "nnn")
    assert await vote(bench, 3) == "0.2"


async def test_where_done_is_success_that_is_hidden_a_path_is_not_preferred_for_it(bench: Bench) -> None:
    play(bench, "lll", "lll", "nnn")
    assert await vote(bench, 3, done_means_success=True) == "0.0"


async def test_a_path_that_the_judge_cannot_value_hides_no_other(bench: Bench) -> None:
    def value(context: Context) -> float:
        if context.turns[-1].action == "north":
            raise RefusedError("judge", Problem(title="no", status=400, detail="scripted to refuse"))
        return 0.9 if context.turns[-1].action == "south" else 0.2

    bench.roles.value_by = value
    play(bench, "nnln", "lll", "sss")
    episode = await bench.run("best_of_n", num_path=3, max_steps=4, params={"repeats": "allow"})
    assert episode.result is not None
    assert episode.result.branch == "0.2"


async def test_where_no_path_ended_the_first_of_the_most_frequent_is_committed(bench: Bench) -> None:
    play(bench, "lll", "sss")
    assert await vote(bench, 2) == "0.0"


async def test_the_judge_breaks_a_tie(bench: Bench) -> None:
    asked: list[int] = []

    def best(question: PathQuestion) -> int:
        asked.append(len(question.paths))
        return 1

    bench.environment.outcomes = True
    bench.environment.length = 2
    bench.roles.best_by = best
    play(bench, "nn", "nln")
    assert await vote(bench, 2) == "0.1"
    assert asked == [2]


async def test_without_a_judge_the_first_of_a_tie_is_committed(bench: Bench) -> None:
    bench.environment.outcomes = True
    bench.environment.length = 2
    bench.roles.away = {"judge"}
    bench.set(outage_grace=0.0)
    play(bench, "nn", "nln")
    assert await vote(bench, 2) == "0.0"


async def test_the_path_of_the_highest_value_is_committed(bench: Bench) -> None:
    bench.roles.value_by = lambda context: 0.9 if context.turns[-1].action == "south" else 0.2
    play(bench, "nnn", "sss", "lll")
    episode = await bench.run("best_of_n", num_path=3, max_steps=3, params={"repeats": "allow"})
    assert episode.result is not None
    assert (episode.result.branch, episode.result.success) == ("0.1", False)


async def test_one_path_alone_needs_no_judge(bench: Bench) -> None:
    play(bench, "nnn")
    await bench.run("best_of_n", num_path=1, max_steps=3)
    assert set(bench.roles.calls) == {"actor"}


async def test_the_first_path_is_greedy_and_the_others_are_sampled(bench: Bench) -> None:
    heats: dict[int, set[float | None]] = {}

    def act(request: ActionRequest) -> list[Candidate]:
        heats.setdefault((request.seed or 0) // VARIANT_STRIDE, set()).add(request.temperature)
        return [Candidate(action="north", well_formed=True)]

    bench.roles.act_by = act
    await bench.run("self_consistency", num_path=3)
    assert heats == {0: {None}, 1: {0.7}, 2: {0.7}}
    heats.clear()
    await bench.run("self_consistency", num_path=2, params={"greedy": False, "temperature": 0.9})
    assert heats == {0: {0.9}, 1: {0.9}}


@pytest.mark.parametrize("method", ["self_consistency", "best_of_n"])
@pytest.mark.parametrize("calls", range(1, 11))
async def test_any_budget_ends_with_a_result_and_is_never_exceeded(
    bench: Bench, method: str, calls: int
) -> None:
    play(bench, "nnn", "lnn", "snn")
    episode = await bench.run(method, num_path=3, max_steps=4, budget=Budget(model_calls=calls))
    assert episode.state is State.COMPLETED
    assert len(bench.roles.calls) <= calls


@pytest.mark.parametrize("method", ["self_consistency", "best_of_n"])
@pytest.mark.parametrize("placing", [Branches.LOCAL, Branches.SPREAD])
async def test_killed_anywhere_it_is_the_same(bench: Bench, method: str, placing: Branches) -> None:
    bench.set(branches=placing)
    play(bench, "nsn", "nn", "ln")
    whole = await bench.run(method, num_path=3, max_steps=3)
    await check_killed_anywhere(bench, method, whole, num_path=3, max_steps=3)
    assert await bench.events(whole.id, EventType.PATH_COMMITTED)
