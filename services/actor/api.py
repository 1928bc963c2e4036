"""The actor's HTTP surface."""

from fastapi import FastAPI

from services.actor.actor import propose
from services.contracts.action import ActionRequest, Actions
from services.contracts.adapter import Adapter, AdapterLoad, Adapters
from services.kit.problems import Kind, ProblemError
from services.kit.settings import RoleSettings
from services.prompting.asker import Asker, create_role


def create(settings: RoleSettings | None = None) -> FastAPI:
    """The actor's app."""
    return create_role("actor", settings or RoleSettings(), _add_routes)


def _add_routes(app: FastAPI, asker: Asker) -> None:
    @app.post("/v1/actions", tags=["actor"])
    async def actions(request: ActionRequest) -> Actions:
        """Propose candidates for the next action."""
        return await propose(asker, request)

    @app.get("/v1/adapters", tags=["actor"])
    async def adapters() -> Adapters:
        """The adapters that are served, merged ones included."""
        return await _adapters(asker)

    @app.post("/v1/adapters", tags=["actor"], status_code=201)
    async def load(request: AdapterLoad) -> Adapters:
        """Load an adapter into the engine at run time."""
        served = await asker.model.refresh()
        if request.name in served.adapters:
            return await _adapters(asker)
        try:
            await asker.model.load_adapter(request.name, request.path)
        except ProblemError as error:
            if error.kind is not Kind.UPSTREAM:
                raise
            detail = f"The engine did not load {request.name}: {error.detail}"
            raise ProblemError(Kind.UNPROCESSABLE, detail) from error
        return await _adapters(asker)

    @app.delete("/v1/adapters/{name}", tags=["actor"])
    async def unload(name: str) -> Adapters:
        """Take an adapter out of the engine; episodes that are pinned to it can't go on."""
        if name == asker.settings.merged_adapter:
            raise ProblemError(Kind.CONFLICT, f"{name} is merged into the engine's weights.")
        served = await asker.model.refresh()
        if name not in served.adapters:
            raise ProblemError(
                Kind.NOT_FOUND, f"The engine serves no adapter {name}.", allowed=served.adapters
            )
        await asker.model.unload_adapter(name)
        return await _adapters(asker)


async def _adapters(asker: Asker) -> Adapters:
    served = await asker.model.refresh()
    merged = asker.settings.merged_adapter
    listed = [Adapter(name=merged, merged=True)] if merged else []
    listed += [Adapter(name=name) for name in served.adapters]
    return Adapters(base=served.base, adapters=listed, runtime=not merged, profile=asker.profile.id)
