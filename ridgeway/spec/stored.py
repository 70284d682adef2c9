"""JSON of ours as rows keep it: another release may have written it, and this one must tell."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ridgeway.errors import Unreadable
from ridgeway.spec.wording import field_errors, summary

LONGEST_REASON = 300  # characters

_Model = TypeVar("_Model", bound=BaseModel)


def read_stored(kind: type[_Model], what: str, stored: Any) -> _Model:
    """Read what a row keeps; Unreadable says what of which thing (`what`) is strange."""
    try:
        return kind.model_validate(stored)
    except ValidationError as error:
        why = summary(field_errors(error.errors()))
    cut = why if len(why) <= LONGEST_REASON else f"{why[:LONGEST_REASON]}..."
    raise Unreadable(f"This release can't read the {what}: {cut}.")
