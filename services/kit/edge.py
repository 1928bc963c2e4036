"""The outermost layer of every app: request ids, auth, limits, deadlines, errors, counting.

Plain ASGI, so that event streams pass through unbuffered. This is the one place where an exception that no
handler took becomes an answer, a metric and a log line.
"""

import asyncio
import secrets
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit import auth, problems
from services.kit.bodies import check_json
from services.kit.keys import LOCAL
from services.kit.metrics import Metrics
from services.kit.origin import carry, read_origin
from services.kit.problems import Kind, ProblemError
from services.kit.settings import Settings
from services.kit.tracing import OFF, Tracing, describe_answered

BODIES = frozenset({"POST", "PUT", "PATCH"})
"""Methods of requests with bodies. They begin a trace, too; readiness checks and polls do not."""
CLIENT_CLOSED = 499
"""The status that is counted for a request whose client went away before the answer."""
log = structlog.get_logger()


class _HeadAnsweredError(Exception):
    """A HEAD request has its answer; the rest of a stream is not needed."""


class _ClientGoneError(Exception):
    """The client left before its request was here."""


class Edge:
    """Serves every request of a part through the same checks."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, tracing: Tracing) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self.tracing = tracing
        self.keys = settings.tenants()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket" and (refusal := self._refuse_socket(scope)):
            await send({"type": "websocket.close", "code": refusal})
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = _header(scope, b"x-request-id")[:64] or secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        deadline = asyncio.timeout(self.settings.request_timeout)
        answer = _Answer(send, request_id, head=scope["method"] == "HEAD", deadline=deadline)
        method = scope["method"]
        if answer.head:
            scope = {**scope, "method": "GET"}  # a copy: the server goes by its own to leave the body out

        def header(name: str) -> str:
            return _header(scope, name.encode())

        tenant = self._find_tenant(scope)
        refusal = self._refuse(scope, tenant)
        # Health and metrics answer callers without a key, who open no span either.
        traced = refusal is None and (tenant is not None or not self.keys)
        origin = read_origin(header)
        bound = {"request_id": request_id, **({"episode": origin.session} if origin.session else {})}
        with (
            structlog.contextvars.bound_contextvars(**bound),
            carry(origin),
            self.tracing.serve(method, header, begins=method in BODIES) if traced else OFF as served,
        ):
            try:
                async with deadline:
                    if refusal:
                        raise refusal
                    self._check_length(scope)
                    scope["state"]["admin"] = self._may_administer(scope)
                    scope["state"]["tenant"] = tenant or LOCAL
                    await self.app(scope, await self._body(scope, receive), answer.send)
            except _ClientGoneError:
                pass  # the client is gone
            except Exception as error:
                if answer.started and answer.head:
                    return  # the answer was cut off on purpose, after its head
                if answer.started:
                    log.error("Answer broke off", path=scope["path"], exc_info=error)
                    raise
                problem = self._describe(error, scope["path"], late=deadline.expired())
                await problems.answer(problem, scope["path"], request_id)(scope, receive, answer.send)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                status = answer.status or CLIENT_CLOSED
                self.metrics.count_request(method, route, status, time.perf_counter() - began)
                describe_answered(served, method, route, status)

    def _describe(self, error: Exception, path: str, *, late: bool) -> ProblemError:
        """The problem that an exception is answered with; a bug is logged."""
        if isinstance(error, ProblemError):
            return error
        if isinstance(error, TimeoutError) and late:
            limit = f"{self.settings.request_timeout:g} s (ESPALIER_REQUEST_TIMEOUT)"
            return ProblemError(Kind.TIMEOUT, f"No answer within {limit}.")
        log.error("Unhandled error", path=path, exc_info=error)
        return ProblemError(
            Kind.INTERNAL, f"An unexpected {type(error).__name__}; the log has it under the request id."
        )

    def _refuse(self, scope: Scope, tenant: str | None) -> ProblemError | None:
        """Return why the caller is not served; None: it is."""
        if self.keys and scope["path"] not in auth.OPEN_PATHS and tenant is None:
            return ProblemError(
                Kind.UNAUTHORIZED, "Send `Authorization: Bearer <key>` with one of ESPALIER_API_KEYS."
            )
        if not self.keys and not auth.is_local(scope):
            return ProblemError(
                Kind.FORBIDDEN, "This part has no keys and answers on loopback only: set ESPALIER_API_KEYS."
            )
        if refusal := auth.refuse_origin(scope, self.settings):
            return ProblemError(Kind.FORBIDDEN, refusal)
        return None

    def _check_length(self, scope: Scope) -> None:
        """Refuse a body that is announced as too large."""
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > self.settings.max_body_bytes:
            raise self._oversize()

    def _refuse_socket(self, scope: Scope) -> int | None:
        """The code that a WebSocket is closed with before it opens; None: it may open."""
        if self.keys and self._find_tenant(scope) is None:
            return 4401
        if not self.keys and not auth.is_local(scope):
            return 4403
        return 4403 if auth.refuse_origin(scope, self.settings) else None

    def _find_tenant(self, scope: Scope) -> str | None:
        """Return whose key the caller has; None: nobody's."""
        return auth.find_tenant(_header(scope, b"authorization"), self.keys)

    def _may_administer(self, scope: Scope) -> bool:
        """Whether the caller may change adapters: with an administrator's key, or where there are no keys."""
        admins = self.settings.accepted_admin_keys()
        return not self.keys or auth.authorised(_header(scope, b"authorization"), admins)

    def _oversize(self) -> ProblemError:
        limit = self.settings.max_body_bytes
        return ProblemError(Kind.TOO_LARGE, f"Bodies are limited to {limit} bytes (ESPALIER_MAX_BODY_BYTES).")

    async def _body(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body within its limits, check it, and return what gives it to the app."""
        if scope["method"] not in BODIES:
            return receive
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.settings.body_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientGoneError
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self.settings.max_body_bytes:
                        raise self._oversize()
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            limit = f"{self.settings.body_timeout:g} s (ESPALIER_BODY_TIMEOUT)"
            raise ProblemError(Kind.REQUEST_TIMEOUT, f"The body was not here within {limit}.") from None
        body = b"".join(parts)
        if body and "json" in _header(scope, b"content-type").lower():
            check_json(body)
        given = False

        async def replayed() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replayed


class _Answer:
    """The way of an answer to the client: adds the request id, and leaves the body of HEAD out."""

    def __init__(self, send: Send, request_id: str, *, head: bool, deadline: asyncio.Timeout) -> None:
        self._send = send
        self._id = request_id.encode("latin-1", "replace")
        self._deadline = deadline
        self.head = head
        self.started = False
        self.status = 0

    async def send(self, message: Message) -> None:
        """Send one message of the app's."""
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            headers = message.setdefault("headers", [])
            if any(value.startswith(b"text/event-stream") for _, value in headers):
                self._deadline.reschedule(None)
            headers.append((b"x-request-id", self._id))
            await self._send(message)
            if self.head:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
                raise _HeadAnsweredError
            return
        await self._send(message)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
