"""The errors that every part may answer, declared in its OpenAPI document."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.contracts.problem import PROBLEM_MEDIA_TYPE, Problem
from services.kit.problems import Kind

REFERENCE = "#/components/schemas/Problem"
EVERYWHERE = (400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 502, 503, 504)
WITH_BODY = (408,)


def install(app: FastAPI) -> None:
    """Make an app declare its errors as problem details (RFC 9457)."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, routes=app.routes, servers=app.servers or None
            )
            app.openapi_schema = _declare(document)
        return app.openapi_schema

    app.openapi = describe


def _declare(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for operations in document.get("paths", {}).values():
        for method, operation in operations.items():
            statuses = EVERYWHERE if method == "get" else (*EVERYWHERE, *WITH_BODY)
            for status in statuses:
                operation["responses"][str(status)] = _response(status)
            operation["responses"]["default"] = _response(500)
    return document


def _response(status: int) -> dict[str, Any]:
    description = Kind.of_status(status).title
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": REFERENCE}}}}
