"""The app of a role service: its routes, its adapters, its readiness."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.kit.adapters import add_adapter_routes
from services.kit.app import create_app
from services.kit.settings import RoleSettings
from services.roles.prompted import PromptedModel


def create_role(
    role: str, settings: RoleSettings, add_routes: Callable[[FastAPI, PromptedModel], None]
) -> FastAPI:
    """Return the app of a role service.

    Args:
        role: The role's name.
        settings: Its engine, its prompt profile, its limits.
        add_routes: Adds the role's own routes.
    """

    async def check_engine() -> str | None:
        return await app.state.model.client.check(needs_labels=role == "judge")

    def describe_engine() -> dict[str, object]:
        return {"engine": app.state.model.client.engine.abilities.describe()}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.model.client.close()

    app = create_app(
        role, settings=settings, lifespan=lifespan, checks={"model": check_engine}, facts=describe_engine
    )
    app.state.model = PromptedModel(role, settings, app.state.metrics)
    add_routes(app, app.state.model)
    add_adapter_routes(app, app.state.model.client, app.state.model.profile.id, role)
    return app
