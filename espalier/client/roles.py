"""Clients of planner, judge and actor."""

import os

from espalier.client import calls
from espalier.client.http import AsyncClient, SyncClient
from services.contracts.action import ActionRequest, Actions
from services.contracts.adapter import AdapterLoad, Adapters
from services.contracts.plan import Plan, PlanRequest
from services.contracts.reflection import Reflection, ReflectionRequest
from services.contracts.verdict import (
    Choice,
    PathQuestion,
    PathVerdict,
    SelectionQuestion,
    SubtaskQuestion,
    ValueQuestion,
    Values,
    Verdict,
)
from services.kit.keys import find_first_key


class Role(SyncClient):
    """One planner, judge or actor service: its adapters.

    Changing them takes a key of ESPALIER_ADMIN_KEYS, where the service has keys: the first of them is sent by
    default.
    """

    def _headers(self, api_key: str | None) -> dict[str, str]:
        admin = find_first_key(os.environ.get("ESPALIER_ADMIN_KEYS", ""))
        return super()._headers(admin or None if api_key is None else api_key)

    def adapters(self) -> Adapters:
        """What its engine serves."""
        return self._send(calls.adapters())

    def load(self, body: AdapterLoad) -> Adapters:
        """Load an adapter into its engine, or name another engine; again, it changes nothing."""
        return self._send(calls.load_adapter(body))

    def unload(self, name: str) -> Adapters:
        """Let go of an adapter, or of an engine that drains."""
        return self._send(calls.unload_adapter(name))


class Actor(Role):
    """One actor service."""

    def act(self, body: ActionRequest) -> Actions:
        """Return candidates for the next action."""
        return self._send(calls.act(body))


class AsyncActor(AsyncClient):
    """`Actor`, for asyncio; the call that is made often."""

    async def act(self, body: ActionRequest) -> Actions:
        """Return candidates for the next action."""
        return await self._send(calls.act(body))


class AsyncJudge(AsyncClient):
    """One judge service."""

    async def subtask(self, body: SubtaskQuestion) -> Verdict:
        """P(yes) that a subtask is done."""
        return await self._send(calls.judge_subtask(body))

    async def selection(self, body: SelectionQuestion) -> Choice:
        """The best of the candidates."""
        return await self._send(calls.judge_selection(body))

    async def path(self, body: PathQuestion) -> PathVerdict:
        """Whether a path is good enough, or which of several is best."""
        return await self._send(calls.judge_path(body))

    async def value(self, body: ValueQuestion) -> Values:
        """How likely success is from each of several states."""
        return await self._send(calls.judge_value(body))

    async def reflect(self, body: ReflectionRequest) -> Reflection:
        """What a path that was not good enough teaches."""
        return await self._send(calls.reflect(body))


class AsyncPlanner(AsyncClient):
    """One planner service."""

    async def plan(self, body: PlanRequest) -> Plan:
        """A task's subtasks."""
        return await self._send(calls.plan(body))
