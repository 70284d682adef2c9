"""Every error as RFC 9457 `application/problem+json`, whoever raised it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from ridgeway.database.outages import first_line, will_pass
from ridgeway.errors import Conflict, FieldError, Forbidden, InvalidInput, NotFound, StoreAway
from ridgeway.spec.wording import field_errors
from service.problem_types import TYPES, UNKNOWN, uri_of
from service.shown import cut, shown

LONGEST_DETAIL = 2000
MOST_ERRORS = 50  # bad fields that one answer lists
RETRY_AFTER_SECONDS = 2
DATABASE_AWAY = "The database does not answer or is busy; try again."
MEDIA_TYPE = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

log = logging.getLogger(__name__)


class FieldProblem(BaseModel):
    """A bad field: its dotted path, the value met (cut if long), and what is accepted."""

    field: str
    value: JsonValue
    message: str


class ProblemDetails(BaseModel):
    """Details of what went wrong (RFC 9457)."""

    model_config = ConfigDict(title="Problem", json_schema_extra={"additionalProperties": False})

    type: str = Field(
        description="names the kind of problem, and is the address of a page on it",
        json_schema_extra={"enum": [*(each.uri for each in TYPES.values()), UNKNOWN]},
    )
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    errors: list[FieldProblem] | None = Field(None, description="the bad fields, where there are")


class ServiceUnavailable(Exception):
    """A part of the service does not answer now; the message says which."""


def problem(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, JsonValue] | None = None,
) -> Response:
    """Return the response that tells a client what went wrong."""
    body: dict[str, Any] = {
        "type": uri_of(status),
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": cut(detail, LONGEST_DETAIL),
        **(extensions or {}),
    }
    if errors:
        body["errors"] = [
            {
                "field": cut(error.field),
                "value": shown(error.value),
                "message": cut(error.message, LONGEST_DETAIL),
            }
            for error in errors[:MOST_ERRORS]
        ]
    # A client may have sent half of a surrogate pair, which UTF-8 can't hold.
    content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return Response(content, status, headers, MEDIA_TYPE)


def handle_errors(app: FastAPI) -> None:
    """Answer every exception as a problem."""
    for kind, handler in {
        HTTPException: _http_error,
        RequestValidationError: _invalid_request,
        InvalidInput: _invalid_input,
        NotFound: _not_found,
        Conflict: _conflict,
        Forbidden: _forbidden,
        ServiceUnavailable: _unavailable,
        StoreAway: _store_away,
        ClientDisconnect: _gone,
        OperationalError: _database_error,
        InterfaceError: _database_error,
        PoolTimeout: _database_error,
        DBAPIError: _database_error,
        Exception: _unexpected,
    }.items():
        app.add_exception_handler(kind, handler)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"There is nothing at {cut(request.scope['path'])}."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = _allowed_methods(request)
        headers["Allow"] = ", ".join(allowed)
        detail = f"{request.method} is not allowed here; allowed: {', '.join(allowed)}."
    return problem(error.status_code, detail, headers=headers)


def _allowed_methods(request: Request) -> list[str]:
    """Return all methods of the path; Starlette names those of its first route alone."""
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        place = found[0]["loc"][-1]
        return problem(400, f"The body is not JSON: {found[0]['ctx']['error']} at {place}.")
    errors = field_errors([{**item, "loc": item["loc"][1:]} for item in found])
    detail = "; ".join(f"{cut(item.field) or 'body'}: {item.message}" for item in errors[:5])
    more = f" (and {len(errors) - 5} more)" if len(errors) > 5 else ""
    return problem(422, detail + more, errors)


async def _invalid_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidInput)
    return problem(422, str(error), error.errors)


async def _not_found(request: Request, error: Exception) -> Response:
    return problem(404, str(error))


async def _conflict(request: Request, error: Exception) -> Response:
    return problem(409, str(error))


async def _forbidden(request: Request, error: Exception) -> Response:
    return problem(403, str(error))


async def _unavailable(request: Request, error: Exception) -> Response:
    return _away(str(error))


def _away(detail: str) -> Response:
    return problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _store_away(request: Request, error: Exception) -> Response:
    log.warning("%s", error)
    return await _unavailable(request, error)


async def _gone(request: Request, error: Exception) -> Response:
    """Answer nobody: the client has left before the end of its body. No traceback for that."""
    return problem(400, "The body ended before its end.")


async def _database_error(request: Request, error: Exception) -> Response:
    return database_problem(error)


def database_problem(error: Exception) -> Response:
    """Answer 503 while the database is away or busy; all else that it says is a fault of ours."""
    if not will_pass(error):
        log.error("Unexpected database error", exc_info=error)
        return _fault()
    log.warning("The database does not answer: %s", first_line(error))
    return _away(DATABASE_AWAY)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer 500; the traceback goes to the log, as it may say more than a client should read."""
    return _fault()


def _fault() -> Response:
    return problem(500, "The service met an unexpected error; its log says more.")


# --- OpenAPI ----------------------------------------------------------------------------------

_REFERENCE = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_SCHEMA_OF_REFERENCES = "#/components/schemas/{model}"


LOCATION = {"Location": {"description": "its address", "schema": {"type": "string"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route documents; every route may meet 503."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": _REFERENCE}
        for status in sorted({*statuses, 503})
    }


def describe_problems(app: FastAPI) -> None:
    """Put the shape of a problem into the OpenAPI document, to which `problems` refers."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        shape = ProblemDetails.model_json_schema(ref_template=_SCHEMA_OF_REFERENCES)
        schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(shape.pop("$defs"), Problem=shape)
        for path in document["paths"].values():
            for operation in path.values():
                for parameter in operation.get("parameters", ()):
                    parameter["schema"] = _sent(parameter["schema"])
        return document

    app.openapi = openapi  # FastAPI's documented way to extend the document


def _sent(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without null: a query or header is left out, never null."""
    schema = dict(schema)
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
    return {**schema, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})}
