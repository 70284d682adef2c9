"""Answers of a service that refuses or fails, as our errors."""

from __future__ import annotations

from typing import Any, cast

import httpx

from ridgeway.errors import (
    Conflict,
    FieldError,
    Forbidden,
    InvalidInput,
    NotFound,
    RidgewayError,
    Unreachable,
)

TOO_MANY = 429
MOST_WAITED = 60.0  # seconds


def problem_of(response: httpx.Response, url: str) -> RidgewayError:
    """Return RFC 9457's problem in the response as one of our errors; `url` is the service's."""
    body = _json_object(response)
    detail = str(body.get("detail") or f"{response.status_code} {response.reason_phrase}")
    if response.status_code in (400, 413, 415, 422):
        return InvalidInput(detail, _field_errors(body.get("errors")))
    if response.status_code == 401:
        return Forbidden(f"{detail} The client sends what RIDGEWAY_API_KEY holds.")
    if response.status_code == 403:
        return Forbidden(detail)
    if response.status_code == 404:
        return NotFound(detail)
    if response.status_code == 409:
        return Conflict(detail)
    if response.status_code >= 500:
        return Unreachable(f"The service at {url} can't answer: {detail}")
    return RidgewayError(detail)


def seconds_to_wait(response: httpx.Response, otherwise: float) -> float:
    """Return after how long a refused request may come again, as the service says, or `otherwise`.

    Never more than a minute, whatever the answer says.
    """
    told = response.headers.get("retry-after", "")
    if response.status_code != TOO_MANY or not (told.isascii() and told.isdigit()):
        return otherwise
    return min(float(told[:4]), MOST_WAITED)


def transport_reason(error: httpx.TransportError) -> str:
    """Return in words why no answer came."""
    return str(error) or type(error).__name__


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        body: Any = response.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _field_errors(errors: Any) -> list[FieldError]:
    items = cast("list[Any]", errors) if isinstance(errors, list) else []
    found = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
    return [
        FieldError(str(item.get("field", "")), item.get("value"), str(item.get("message", "")))
        for item in found
    ]
