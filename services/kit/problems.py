"""Errors, raised as exceptions and answered as RFC 9457 problem details."""

from collections.abc import Mapping, Sequence
from enum import Enum

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from services.contracts.problem import PROBLEM_MEDIA_TYPE, FieldError, Problem

DOCUMENTATION = "https://espalier.dev/docs/errors.md"
log = structlog.get_logger()


class Kind(Enum):
    """Every kind of error: its name in `type`, its status, its title."""

    BAD_REQUEST = ("bad-request", 400, "The request is not well-formed")
    UNAUTHORIZED = ("unauthorized", 401, "A valid bearer token is required")
    FORBIDDEN = ("forbidden", 403, "This caller may not do that")
    NOT_FOUND = ("not-found", 404, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "This path does not take this method")
    REQUEST_TIMEOUT = ("request-timeout", 408, "The request took too long to arrive")
    CONFLICT = ("conflict", 409, "The state does not allow it")
    FENCED = ("fenced", 409, "Another worker has taken over")
    GONE = ("gone", 410, "It has expired or was closed")
    TOO_LARGE = ("too-large", 413, "The request is too large")
    UNPROCESSABLE = ("unprocessable", 422, "A field of the request is not acceptable")
    ADAPTER_NOT_SERVED = ("adapter-not-served", 422, "The adapter is not served")
    CONTEXT_TOO_LONG = ("context-too-long", 422, "The prompt does not fit into the model's context")
    DIVERGED = ("diverged", 409, "A replayed session answered differently")
    TOO_MANY = ("too-many", 429, "A limit is reached")
    INTERNAL = ("internal", 500, "Something broke")
    UPSTREAM = ("upstream", 502, "A part that this one depends on answered wrongly")
    UNAVAILABLE = ("unavailable", 503, "A part that this one depends on is not there")
    DRAINING = ("draining", 503, "The part takes no new work")
    TIMEOUT = ("timeout", 504, "It took too long")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    @classmethod
    def of_status(cls, status: int) -> "Kind":
        """The general kind of a status."""
        return next((kind for kind in cls if kind.status == status), cls.INTERNAL)


class ProblemError(Exception):
    """An error that the caller gets as problem details."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        allowed: Sequence[str] = (),
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.allowed = list(allowed)
        self.retry_after = retry_after
        self.headers = dict(headers or {})

    @classmethod
    def field(cls, name: str, message: str, allowed: Sequence[str] = ()) -> "ProblemError":
        """A 422 for one field."""
        return cls(
            Kind.UNPROCESSABLE,
            f"{name}: {message}",
            errors=[FieldError(field=name, message=message)],
            allowed=allowed,
        )

    def problem(self, instance: str = "", request_id: str = "") -> Problem:
        """The message that is answered."""
        return Problem(
            type=f"{DOCUMENTATION}#{self.kind.slug}",
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            instance=instance,
            errors=self.errors,
            request_id=request_id,
            allowed=self.allowed,
        )


def answer(error: ProblemError, instance: str, request_id: str) -> Response:
    """The HTTP response of an error."""
    problem = error.problem(instance, request_id)
    headers = dict(error.headers)
    if error.kind is Kind.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return Response(
        orjson.dumps(problem.model_dump(exclude_defaults=True) | {"status": problem.status}),
        status_code=problem.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=headers,
    )


PASSED_ON = frozenset({400, 404, 409, 410, 413, 422})
"""The refusals of a part that are the caller's to mend."""


def of_refusal(part: str, problem: Problem) -> ProblemError:
    """Return the error of a request that another part refused: what the caller can mend keeps its status."""
    detail = f"{part}: {problem.detail or problem.title}"
    if problem.status not in PASSED_ON:
        return ProblemError(
            Kind.UPSTREAM, f"{part} answered {problem.status}: {problem.detail or problem.title}"
        )
    kind = next((kind for kind in Kind if kind.slug == problem.name), Kind.of_status(problem.status))
    return ProblemError(kind, detail, errors=problem.errors, allowed=problem.allowed)


def _field_errors(error: RequestValidationError) -> list[FieldError]:
    fields: list[FieldError] = []
    for item in error.errors()[:20]:
        where = ".".join(str(part) for part in item["loc"])
        fields.append(FieldError(field=where, message=str(item["msg"])))
    return fields


def install(app: FastAPI) -> None:
    """Make an app answer every error as problem details."""

    def answer_problem(request: Request, error: ProblemError) -> Response:
        return answer(error, request.url.path, getattr(request.state, "request_id", ""))

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return answer_problem(request, error)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fields = _field_errors(error)
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return answer_problem(
                request, ProblemError(Kind.BAD_REQUEST, "The body is not valid JSON.", errors=fields)
            )
        detail = "; ".join(f"{item.field}: {item.message}" for item in fields)
        return answer_problem(request, ProblemError(Kind.UNPROCESSABLE, detail, errors=fields))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = str(error.detail)
        if error.status_code == 404 and detail == "Not Found":
            detail = f"Nothing is served at {request.url.path}; /openapi.json lists what is."
        kind = Kind.of_status(error.status_code)
        return answer_problem(request, ProblemError(kind, detail, headers=error.headers))

    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
