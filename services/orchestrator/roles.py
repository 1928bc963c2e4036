"""The worker's port to planner, judge and actor."""

from typing import Protocol

from services.contracts.adapter import Adapters
from services.kit.auth import bearer
from services.kit.upstream import Upstream
from services.orchestrator.ports import AnswerT, Question, RequestT
from services.orchestrator.settings import OrchestratorSettings


class Roles(Protocol):
    """What a worker needs of the role services."""

    async def query(self, question: Question[RequestT, AnswerT], request: RequestT) -> AnswerT:
        """Return a role's answer."""
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

        self._actor = upstream("actor", settings.actor_url)
        self._roles = {
            "planner": upstream("planner", settings.planner_url),
            "judge": upstream("judge", settings.judge_url),
            "actor": self._actor,
        }

    @property
    def upstreams(self) -> list[Upstream]:
        """The three, for readiness and for closing."""
        return list(self._roles.values())

    async def query(self, question: Question[RequestT, AnswerT], request: RequestT) -> AnswerT:
        """Return a role's answer."""
        upstream = self._roles[question.role]
        body = request.model_dump(mode="json", exclude_defaults=True)
        response = await upstream.request("POST", question.path, body)
        return upstream.read(response, question.answer)

    async def adapters(self) -> Adapters:
        """The adapters that the actor serves."""
        response = await self._actor.request("GET", "/v1/adapters")
        return self._actor.read(response, Adapters)
