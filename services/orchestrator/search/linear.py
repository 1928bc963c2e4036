"""io, cot and react: one path, one candidate a step, no judge."""

from pydantic import Field

from services.contracts.action import Form
from services.contracts.base import Float
from services.contracts.event import EventType
from services.orchestrator.ports import Committed, Spec, World
from services.orchestrator.search.method import Method, Run
from services.orchestrator.search.path import EARLIER, PathArguments, PathParams, Policy, walk


class LinearParams(PathParams):
    """Parameters of io, cot and react."""

    temperature: Float | None = Field(default=None, ge=0, le=2)
    """Of the actor; None or 0: greedy."""


def _run(form: Form) -> Run:
    async def run(world: World, spec: Spec) -> Committed:
        params = LinearParams.model_validate(spec.request.params)
        policy = Policy(
            form=form, grammar=params.grammar, repeats=params.repeats, temperature=params.temperature or None
        )
        path = await walk(world, spec, policy, PathArguments())
        await world.note(EventType.PATH_COMMITTED, branch=world.branch)
        return Committed(branch=world.branch, ended=path.ended, steps=path.steps)

    return run


def linear(form: Form) -> Method:
    """The linear method of a form."""
    return Method(name=form.value, version="2", run=_run(form), params=LinearParams, earlier=EARLIER)
