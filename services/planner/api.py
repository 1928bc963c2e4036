"""The planner's HTTP surface."""

from fastapi import FastAPI

from services.contracts.plan import Plan, PlanRequest
from services.kit.settings import RoleSettings
from services.planner.planner import make_plan
from services.roles.app import create_role
from services.roles.prompted import PromptedModel


def create(settings: RoleSettings | None = None) -> FastAPI:
    """Return the planner's app."""
    return create_role("planner", settings or RoleSettings(), _add_routes)


def _add_routes(app: FastAPI, model: PromptedModel) -> None:
    @app.post("/v1/plans", tags=["planner"])
    async def plans(request: PlanRequest) -> Plan:
        """Split a task into k subtasks, in order."""
        return await make_plan(model, request)
