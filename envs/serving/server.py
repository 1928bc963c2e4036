"""The HTTP server of an environment: the session protocol over any `Environment`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response

from envs.serving.catalogue import Catalogue
from envs.serving.draining import drain_on_sigterm
from envs.serving.environment import Environment
from envs.serving.metrics import SessionMetrics
from envs.serving.openenv import add_openenv
from envs.serving.sessions import DRAINING, SessionTable
from envs.serving.settings import EnvironmentSettings
from services.contracts.session import (
    ForkRequest,
    Metadata,
    ServerLoad,
    SessionCreate,
    SessionPage,
    SessionState,
    StepRequest,
)
from services.contracts.task import Task, TaskPage
from services.kit.app import create_app
from services.kit.problems import Kind, ProblemError

Epoch = Annotated[int | None, Query(ge=0)]


def serve(
    environment: Environment, settings: EnvironmentSettings, clock: Callable[[], float] = time.time
) -> FastAPI:
    """The app that serves an environment.

    Args:
        environment: What is served; opened before the first request and closed after the last.
        settings: Limits and lifetimes.
        clock: Unix seconds, from which sessions' lifetimes are counted.
    """
    table: SessionTable | None = None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        assert table is not None
        await environment.open()
        reaper = asyncio.create_task(table.run_reaper())
        try:
            with drain_on_sigterm(table, settings.drain_seconds):
                yield
        finally:
            reaper.cancel()
            await table.shut()
            await environment.close()

    name = environment.metadata.name

    async def takes_sessions() -> str | None:
        return DRAINING if table is not None and table.draining else None

    checks = {"engine": environment.ready, "sessions": takes_sessions}
    app = create_app(name, settings=settings, lifespan=lifespan, checks=checks)
    metrics = SessionMetrics(
        app.state.metrics.registry, name, lambda: len(table or ()), settings.max_sessions
    )
    table = SessionTable(environment, settings, metrics, clock)
    app.state.sessions = table
    _add_sessions(app, table)
    _add_load(app, table)
    _add_catalogue(app, table, environment)
    add_openenv(app, table, environment, settings.max_body_bytes)
    return app


def _add_sessions(app: FastAPI, table: SessionTable) -> None:
    @app.post("/v1/sessions", status_code=201, tags=["sessions"])
    async def create(request: SessionCreate, response: Response) -> SessionState:
        """Start a session on a task; the same `session_key` gets the first answer again."""
        state = await table.create(request)
        response.headers["Location"] = f"/v1/sessions/{state.session_id}"
        return state

    @app.get("/v1/sessions", tags=["sessions"])
    async def list_sessions(
        cursor: Annotated[str, Query(pattern=r"^[0-9]{1,18}$")] = "0",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> SessionPage:
        """The live sessions, the oldest first; `next` is the cursor of the next page."""
        return table.page(int(cursor), limit)

    @app.get("/v1/sessions/{session_id}", tags=["sessions"])
    async def get(session_id: str) -> SessionState:
        """A session as it is now."""
        return table.get(session_id)

    @app.delete("/v1/sessions/{session_id}", status_code=204, tags=["sessions"])
    async def close(session_id: str, epoch: Epoch = None) -> None:
        """Close a session; safe to repeat."""
        await table.close(session_id, epoch)

    @app.post("/v1/sessions/{session_id}/steps", tags=["sessions"])
    async def step(session_id: str, request: StepRequest) -> SessionState:
        """Take one action; the same `step_key` gets the first answer again. 409 when it is done."""
        return await table.step(session_id, request)

    @app.post("/v1/sessions/{session_id}/forks", status_code=201, tags=["sessions"])
    async def fork(session_id: str, request: ForkRequest, response: Response) -> SessionState:
        """A new session in the state that this one has, or had at `at_step`."""
        state = await table.fork(session_id, request)
        response.headers["Location"] = f"/v1/sessions/{state.session_id}"
        return state


def _add_load(app: FastAPI, table: SessionTable) -> None:
    @app.get("/v1/load", tags=["environment"])
    async def load() -> ServerLoad:
        """How full the server is, and whether it takes new sessions."""
        return table.load()

    @app.post("/v1/drain", tags=["environment"])
    async def drain(http: Request) -> ServerLoad:
        """Take no new sessions from now on; those that are live go on. Safe to repeat."""
        if not http.state.admin:
            raise ProblemError(
                Kind.FORBIDDEN, "Draining a server takes one of the keys of ESPALIER_ADMIN_KEYS."
            )
        table.draining = True
        return table.load()


def _add_catalogue(app: FastAPI, table: SessionTable, environment: Environment) -> None:
    catalogue = Catalogue(environment)

    @app.get("/v1/tasks", tags=["tasks"])
    async def tasks(
        split: str | None = None,
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> TaskPage:
        """The tasks of a split, or of all; `next` is the cursor of the next page."""
        return await catalogue.page(split, cursor, limit)

    @app.get("/v1/tasks/{task_id:path}", tags=["tasks"])
    async def task(task_id: str) -> Task:
        """One task."""
        return await table.task(task_id)

    @app.get("/metadata", tags=["environment"])
    async def metadata() -> Metadata:
        """What the environment is and can do."""
        return environment.metadata

    @app.get("/schema", tags=["environment"])
    async def schema() -> dict[str, Any]:
        """The messages as JSON schemas, and the action language."""
        return {
            "action": StepRequest.model_json_schema(),
            "observation": SessionState.model_json_schema(),
            "state": SessionState.model_json_schema(),
            "session": SessionCreate.model_json_schema(),
            "fork": ForkRequest.model_json_schema(),
            "action_language": environment.metadata.actions,
        }
