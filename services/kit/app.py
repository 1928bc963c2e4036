"""The factory of every service's app.

Whatever a part does, it answers `/healthz`, `/readyz`, `/metrics` and `/openapi.json`, tells errors
as problem details, and bounds the size and the time of a request.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit import auth, problems
from services.kit.logs import configure
from services.kit.metrics import Metrics
from services.kit.problems import Kind, ProblemError
from services.kit.settings import Settings
from services.kit.upstream import OutageError, RefusedError

Check = Callable[[], Awaitable[str | None]]
"""Asks a dependency; None where it is fine, else what is wrong with it."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

CHECK_SECONDS = 3.0
log = structlog.get_logger()


class Edge:
    """The outermost layer: request ids, auth, limits, deadlines, counting.

    Plain ASGI, so that event streams pass through unbuffered.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self.keys = settings.accepted_keys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket" and self.keys and not self._authorised(scope):
                await send({"type": "websocket.close", "code": 4401})
                return
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _header(scope, b"x-request-id")[:64] or secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        started = False

        deadline = asyncio.timeout(self.settings.request_timeout)

        async def sent(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                headers = message.setdefault("headers", [])
                if any(value.startswith(b"text/event-stream") for _, value in headers):
                    deadline.reschedule(None)
                headers.append((b"x-request-id", request_id.encode()))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                self._admit(scope)
                async with deadline:
                    await self.app(scope, self._limited(receive), sent)
            except (ProblemError, TimeoutError) as error:
                if started:
                    raise
                told = error if isinstance(error, ProblemError) else self._late()
                await problems.answer(told, scope["path"], request_id)(scope, receive, sent)
            finally:
                self._count(scope, status, time.perf_counter() - began)

    def _late(self) -> ProblemError:
        return ProblemError(
            Kind.TIMEOUT, f"No answer within {self.settings.request_timeout:g} s (ESPALIER_REQUEST_TIMEOUT)."
        )

    def _authorised(self, scope: Scope) -> bool:
        return auth.authorised(_header(scope, b"authorization"), self.keys)

    def _admit(self, scope: Scope) -> None:
        if self.keys and scope["path"] not in auth.OPEN_PATHS and not self._authorised(scope):
            raise ProblemError(
                Kind.UNAUTHORIZED, "Send `Authorization: Bearer <key>` with one of ESPALIER_API_KEYS."
            )
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > self.settings.max_body_bytes:
            raise self._oversize()

    def _oversize(self) -> ProblemError:
        limit = self.settings.max_body_bytes
        return ProblemError(Kind.TOO_LARGE, f"Bodies are limited to {limit} bytes (ESPALIER_MAX_BODY_BYTES).")

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.settings.max_body_bytes:
                # FastAPI answers 400 to any other error while it reads a body.
                raise HTTPException(Kind.TOO_LARGE.status, self._oversize().detail)
            return message

        return limited

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        part = self.metrics.part
        self.metrics.requests.labels(part, scope["method"], route, str(status or 499)).inc()
        self.metrics.request_seconds.labels(part, route).observe(seconds)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def create_app(
    part: str,
    *,
    settings: Settings,
    lifespan: Lifespan | None = None,
    checks: Mapping[str, Check] | None = None,
) -> FastAPI:
    """An app with what every part has.

    Args:
        part: The part's name, as metrics and logs show it.
        settings: Host, keys, limits.
        lifespan: What to start before serving and to stop after.
        checks: Dependencies by name, asked by `/readyz`.

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
    app = FastAPI(title=f"Espalier {part}", version="1", lifespan=lifespan, docs_url="/docs", redoc_url=None)
    app.state.metrics = metrics
    app.state.settings = settings
    problems.install(app)
    _tell_upstream_errors(app)
    app.add_middleware(Edge, settings=settings, metrics=metrics)
    _add_health(app, metrics, dict(checks or {}))
    return app


def _tell_upstream_errors(app: FastAPI) -> None:
    async def on_outage(request: Request, error: Exception) -> Response:
        told = ProblemError(Kind.UNAVAILABLE, f"{error}; try again later.", retry_after=2)
        return problems.answer(told, request.url.path, request.state.request_id)

    async def on_refused(request: Request, error: Exception) -> Response:
        return problems.answer(
            ProblemError(Kind.UPSTREAM, str(error)), request.url.path, request.state.request_id
        )

    app.add_exception_handler(OutageError, on_outage)
    app.add_exception_handler(RefusedError, on_refused)


def _add_health(app: FastAPI, metrics: Metrics, checks: dict[str, Check]) -> None:
    async def ask(check: Check) -> str | None:
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
        reasons = await asyncio.gather(*(ask(check) for check in checks.values()))
        states = {name: reason or "ok" for name, reason in zip(checks, reasons, strict=True)}
        for name, state in states.items():
            metrics.ready.labels(metrics.part, name).set(state == "ok")
        ready = all(state == "ok" for state in states.values())
        response.status_code = 200 if ready else 503
        return {"status": "ready" if ready else "not ready", "dependencies": states}

    @app.get("/metrics", tags=["health"], include_in_schema=False)
    async def exposition() -> Response:
        body, media_type = metrics.exposition()
        return Response(body, media_type=media_type)
