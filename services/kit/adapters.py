"""The HTTP surface of a role's adapters: which are served, and how they come and go while episodes run."""

from fastapi import FastAPI, Request

from services.contracts.adapter import Adapter, AdapterLoad, Adapters
from services.kit.failures import OutageError
from services.kit.model import ModelClient
from services.kit.problems import Kind, ProblemError


def add_adapter_routes(app: FastAPI, model: ModelClient, profile: str, role: str) -> None:
    """Add `/v1/adapters` to a role's app.

    Args:
        app: The role's app.
        model: Its client of the engine.
        profile: The prompt profile that it renders with.
        role: Its name, under which the API's documentation lists the routes.
    """

    @app.get("/v1/adapters", tags=[role])
    async def adapters() -> Adapters:
        """The adapters that are served, merged ones included."""
        return await _listed(model, profile)

    @app.post("/v1/adapters", tags=[role], status_code=201)
    async def load(request: AdapterLoad, http: Request) -> Adapters:
        """Load an adapter into the engine, or go on with an engine that has it merged into its weights."""
        _check_scope(http)
        if request.engine is not None:
            _check_engine(model, request.engine)
            with model.metrics.count_change("switch"):
                await _change(model, request.name, request.engine)
        elif request.path is not None and not await model.replicas.all_serve(request.name):
            with model.metrics.count_change("load"):
                await _load(model, request.name, request.path)
        return await _listed(model, profile)

    @app.delete("/v1/adapters/{name}", tags=[role])
    async def unload(name: str, http: Request) -> Adapters:
        """Let go of an adapter; episodes that are pinned to it can't go on."""
        _check_scope(http)
        if name == model.engine.merged:
            raise ProblemError(Kind.CONFLICT, f"{name} is merged into the engine's weights.")
        if name in model.draining:
            with model.metrics.count_change("drop"):
                await model.drop_engine(name)
        else:
            if not await model.replicas.any_serves(name):
                served = await model.engine.refresh()
                raise ProblemError(
                    Kind.NOT_FOUND, f"The engine serves no adapter {name}.", allowed=served.adapters
                )
            with model.metrics.count_change("unload"):
                await model.unload_adapter(name)
        return await _listed(model, profile)


def _check_scope(http: Request) -> None:
    if not http.state.admin:
        raise ProblemError(Kind.FORBIDDEN, "Changing adapters takes one of the keys of ESPALIER_ADMIN_KEYS.")


def _check_engine(model: ModelClient, url: str) -> None:
    """Refuse an engine that no setting names: the role would send it its key and later prompts."""
    if url.rstrip("/") not in model.settings.known_engines(model.role):
        raise ProblemError.field("body.engine", "it is not one of the engines of ESPALIER_ENGINES")


async def _load(model: ModelClient, name: str, path: str) -> None:
    try:
        await model.load_adapter(name, path)
    except ProblemError as error:
        if error.kind is not Kind.UPSTREAM:
            raise
        detail = f"The engine did not load {name}: {error.detail}"
        raise ProblemError(Kind.UNPROCESSABLE, detail) from error


async def _change(model: ModelClient, name: str, url: str) -> None:
    try:
        await model.change_engine(name, url)
    except OutageError as error:
        raise ProblemError.field("body.engine", f"it does not answer: {error.reason}") from error


async def _listed(model: ModelClient, profile: str) -> Adapters:
    served = await model.engine.refresh()
    model.show_adapters(served)
    merged = model.engine.merged
    listed = [Adapter(name=merged, merged=True)] if merged else []
    listed += [Adapter(name=name) for name in served.adapters]
    listed += [Adapter(name=name, merged=True, draining=True) for name in model.draining]
    return Adapters(base=served.base, adapters=listed, runtime=not merged, profile=profile)
