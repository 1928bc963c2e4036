"""The actor's HTTP surface."""

from fastapi import FastAPI

from services.actor.actor import propose
from services.contracts.action import ActionRequest, Actions
from services.kit.settings import RoleSettings
from services.roles.app import create_role
from services.roles.prompted import PromptedModel


def create(settings: RoleSettings | None = None) -> FastAPI:
    """Return the actor's app."""
    return create_role("actor", settings or RoleSettings(), _add_routes)


def _add_routes(app: FastAPI, model: PromptedModel) -> None:
    @app.post("/v1/actions", tags=["actor"])
    async def actions(request: ActionRequest) -> Actions:
        """Propose candidates for the next action."""
        return await propose(model, request)
