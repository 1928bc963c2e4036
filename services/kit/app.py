"""The factory of every service's app.

Whatever a part does, it answers `/healthz`, `/readyz`, `/metrics` and `/openapi.json`, answers errors
as problem details, and bounds the size and the time of a request.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware

from services.kit import auth, openapi, problems
from services.kit.edge import Edge
from services.kit.failures import BusyError, OutageError, RefusedError
from services.kit.logs import configure
from services.kit.metrics import Metrics
from services.kit.problems import Kind, ProblemError
from services.kit.settings import Settings
from services.kit.tracing import Tracing

Check = Callable[[], Awaitable[str | None]]
"""Checks a dependency: returns None where it is fine, else what is wrong with it."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

CHECK_SECONDS = 3.0


def create_app(
    part: str,
    *,
    settings: Settings,
    lifespan: Lifespan | None = None,
    checks: Mapping[str, Check] | None = None,
    facts: Callable[[], dict[str, object]] | None = None,
) -> FastAPI:
    """An app with what every part has.

    Args:
        part: The part's name, as metrics and logs show it.
        settings: Host, keys, limits.
        lifespan: What to start before serving and to stop after.
        checks: Dependencies by name, checked by `/readyz`.
        facts: What else `/readyz` reports, which decides nothing.

    Raises:
        ValueError: The part would listen off loopback without a key.
    """
    if not settings.on_loopback() and not settings.accepted_keys():
        raise ValueError(
            f"{part} would listen on {settings.host} without authentication: "
            "set ESPALIER_API_KEYS, or listen on 127.0.0.1"
        )
    configure(part, settings.log_level)
    metrics = Metrics(part)
    tracing = Tracing(part, settings)

    @asynccontextmanager
    async def traced(app: FastAPI) -> AsyncGenerator[None]:
        async with tracing.run(), lifespan(app) if lifespan else nullcontext():
            yield

    app = FastAPI(
        title=f"Espalier {part}",
        version="1",
        lifespan=traced,
        docs_url="/docs",
        redoc_url=None,
        root_path=settings.root_path,
        redirect_slashes=False,  # behind a proxy a redirect would lead out of its path
    )
    app.state.metrics = metrics
    app.state.settings = settings
    app.state.tracing = tracing
    problems.install(app)
    _handle_upstream_errors(app)
    openapi.install(app)
    app.add_middleware(Edge, settings=settings, metrics=metrics, tracing=tracing)
    if origins := auth.split_names(settings.cors_origins):
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Location", "Retry-After", "x-request-id"],
        )
    _add_health(app, metrics, dict(checks or {}), facts or dict)
    return app


def _handle_upstream_errors(app: FastAPI) -> None:
    async def on_outage(request: Request, error: Exception) -> Response:
        problem = ProblemError(Kind.UNAVAILABLE, f"{error}; try again later.", retry_after=2)
        return problems.answer(problem, request.url.path, request.state.request_id)

    async def on_busy(request: Request, error: Exception) -> Response:
        assert isinstance(error, BusyError)
        busy = ProblemError(Kind.TOO_MANY, f"{error}; try again later.", retry_after=error.retry_after)
        return problems.answer(busy, request.url.path, request.state.request_id)

    async def on_refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        problem = problems.of_refusal(error.part, error.problem)
        return problems.answer(problem, request.url.path, request.state.request_id)

    app.add_exception_handler(OutageError, on_outage)
    app.add_exception_handler(BusyError, on_busy)
    app.add_exception_handler(RefusedError, on_refused)


def _add_health(
    app: FastAPI, metrics: Metrics, checks: dict[str, Check], facts: Callable[[], dict[str, object]]
) -> None:
    async def run_check(check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await check()
        except TimeoutError:
            return f"no answer within {CHECK_SECONDS:g} s"
        except Exception as error:  # whatever a dependency raises, it is not ready
            return f"{type(error).__name__}: {error}"

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """Whether the process is alive."""
        return {"status": "alive", "part": metrics.part}

    @app.get("/readyz", tags=["health"])
    async def readyz(response: Response) -> dict[str, object]:
        """Whether the part can do its work, and the state of each dependency."""
        reasons = await asyncio.gather(*(run_check(check) for check in checks.values()))
        states = {name: reason or "ok" for name, reason in zip(checks, reasons, strict=True)}
        metrics.show_ready({name: state == "ok" for name, state in states.items()})
        ready = all(state == "ok" for state in states.values())
        response.status_code = 200 if ready else 503
        return {"status": "ready" if ready else "not ready", "dependencies": states, **facts()}

    @app.get("/metrics", tags=["health"], include_in_schema=False)
    async def exposition() -> Response:
        body, media_type = metrics.exposition()
        return Response(body, media_type=media_type)
