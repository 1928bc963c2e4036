"""The temperature that a linear method's actor samples with."""

import pytest
from pydantic import ValidationError

from services.contracts.action import ActionRequest, Candidate
from services.contracts.episode import State
from services.orchestrator.search import METHODS
from services.orchestrator.search.linear import LinearParams
from tests.orchestrator.conftest import Bench


@pytest.mark.parametrize("method", ["io", "cot", "react"])
@pytest.mark.parametrize("given", [None, 0.0, 0.7])
async def test_the_actor_gets_the_temperature(bench: Bench, method: str, given: float | None) -> None:
    seen: list[float | None] = []

    def act(request: ActionRequest) -> list[Candidate]:
        seen.append(request.temperature)
        return [Candidate(action="north", thought="so", well_formed=True)]

    bench.roles.act_by = act
    params = {} if given is None else {"temperature": given}
    assert (await bench.run(method, params=params)).state is State.COMPLETED
    assert seen == [given or None] * 3


async def test_samples_have_seeds_of_their_own(bench: Bench) -> None:
    seeds: list[list[int | None]] = []

    def act(request: ActionRequest) -> list[Candidate]:
        seeds[-1].append(request.seed)
        return [Candidate(action="north", thought="so", well_formed=True)]

    bench.roles.act_by = act
    for seed in (0, 100_003):
        seeds.append([])
        await bench.run("react", seed=seed, params={"temperature": 0.7})
    assert not set(seeds[0]) & set(seeds[1])


@pytest.mark.parametrize("wrong", [-0.1, 2.1, "0.5", True, float("nan")])
def test_a_temperature_out_of_bounds_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        LinearParams.model_validate({"temperature": wrong})
    with pytest.raises(ValidationError):
        METHODS["tmbr"].params.model_validate({"temperature": 0.5})
