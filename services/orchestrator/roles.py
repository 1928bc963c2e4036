"""The worker's port to planner, judge and actor."""

from typing import Protocol, TypeVar

from pydantic import BaseModel

from services.contracts.action import ActionRequest, Actions
from services.contracts.adapter import Adapters
from services.contracts.plan import Plan, PlanRequest
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    Verdict,
)
from services.kit.auth import bearer
from services.kit.upstream import Upstream
from services.orchestrator.settings import OrchestratorSettings

Reply = TypeVar("Reply", bound=BaseModel)


class Roles(Protocol):
    """What the worker asks of the role services."""

    async def plan(self, request: PlanRequest) -> Plan:
        """Ask the planner."""
        ...

    async def act(self, request: ActionRequest) -> Actions:
        """Ask the actor."""
        ...

    async def judge_subtask(self, question: SubtaskQuestion) -> Verdict:
        """Ask the judge whether a subtask is done."""
        ...

    async def select(self, question: SelectionQuestion) -> Choice:
        """Ask the judge which candidate is best."""
        ...

    async def judge_path(self, question: PathQuestion) -> PathVerdict:
        """Ask the judge whether a path is good enough, or which is best."""
        ...


class HttpRoles:
    """The three role services over HTTP."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        def upstream(part: str, url: str) -> Upstream:
            return Upstream(
                part,
                url,
                headers=bearer(settings.own_key()),
                timeout=settings.call_timeout,
                concurrency=128,
                proxied=settings.use_proxy,
            )

        self._planner = upstream("planner", settings.planner_url)
        self._judge = upstream("judge", settings.judge_url)
        self._actor = upstream("actor", settings.actor_url)

    @property
    def upstreams(self) -> list[Upstream]:
        """The three, for readiness and for closing."""
        return [self._planner, self._judge, self._actor]

    async def plan(self, request: PlanRequest) -> Plan:
        """Ask the planner."""
        return await _ask(self._planner, "/v1/plans", request, Plan)

    async def act(self, request: ActionRequest) -> Actions:
        """Ask the actor."""
        return await _ask(self._actor, "/v1/actions", request, Actions)

    async def judge_subtask(self, question: SubtaskQuestion) -> Verdict:
        """Ask the judge whether a subtask is done."""
        return await _ask(self._judge, "/v1/verdicts/subtask", question, Verdict)

    async def select(self, question: SelectionQuestion) -> Choice:
        """Ask the judge which candidate is best."""
        return await _ask(self._judge, "/v1/verdicts/selection", question, Choice)

    async def judge_path(self, question: PathQuestion) -> PathVerdict:
        """Ask the judge whether a path is good enough, or which is best."""
        return await _ask(self._judge, "/v1/verdicts/path", question, PathVerdict)

    async def adapters(self) -> Adapters:
        """The adapters that the actor serves."""
        response = await self._actor.request("GET", "/v1/adapters")
        return self._actor.read(response, Adapters)


async def _ask(upstream: Upstream, path: str, request: BaseModel, reply: type[Reply]) -> Reply:
    body = request.model_dump(mode="json", exclude_defaults=True)
    response = await upstream.request("POST", path, body)
    return upstream.read(response, reply)
