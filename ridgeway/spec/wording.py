"""Errors of a spec in a person's words: the field's path, the value met, what is accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ridgeway.errors import FieldError, InvalidInput
from ridgeway.spec.paths import JobBody, PathFields, job_spec_of
from ridgeway.spec.spec import JobSpec
from ridgeway.words import count

_BODY: TypeAdapter[JobSpec | PathFields] = TypeAdapter(JobBody)


def parse_spec(data: Any) -> JobSpec:
    """Read a spec from decoded JSON; InvalidInput names every bad field."""
    try:
        return job_spec_of(_BODY.validate_python(data))
    except ValidationError as error:
        errors = field_errors(error.errors())
        raise InvalidInput(summary(errors), errors) from None


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Return pydantic's error dicts as fields, values and messages, without tags of unions."""
    return [_field_error(error) for error in errors]


def _field_error(error: Mapping[str, Any]) -> FieldError:
    context: Mapping[str, Any] = error.get("ctx") or {}
    path = [str(item) for item in error["loc"] if not str(item).startswith("@")]
    value = error.get("input")
    if error["type"] == "out_of_bounds":
        path += [context["place"]] if context["place"] else []
        value = context["value"]
    if error["type"] == "missing":
        value = None
    return FieldError(".".join(path), value, _sentence(error))


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown field"
    if error["type"] == "missing":
        return "is required"
    if error["type"] == "too_short":
        least, has = (error["ctx"][name] for name in ("min_length", "actual_length"))
        return f"needs at least {count(least, 'item')}, and has {has or 'none'}"
    message: str = error["msg"].replace("Input should", "should").replace("Value error, ", "")
    return message[0].lower() + message[1:]


def summary(errors: Sequence[FieldError]) -> str:
    """Return the first bad field with its message, and how many more there are."""
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.field or 'body'}: {first.message}{more}"
