"""The checks of everything in a client's JSON: known fields, finite numbers, storable text."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
)
from pydantic_core import PydanticCustomError

MAX_DEPTH = 30  # of a plug-in's options; pydantic writes no JSON deeper than some 250


def storable(text: str) -> str:
    """Return the text if both databases can store it: no NUL, no half of a surrogate pair."""
    if "\x00" in text:
        raise PydanticCustomError("nul", "must not contain the NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("surrogate", "must be valid Unicode; met a lone surrogate")
    return text


def plain_json(value: JsonValue, depth: int = 0) -> JsonValue:
    """Return a plug-in's options if both databases can store them; numbers must be finite."""
    if depth > MAX_DEPTH:
        raise PydanticCustomError(
            "depth", "must not be nested deeper than {most} levels", {"most": MAX_DEPTH}
        )
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise PydanticCustomError("finite", "must be a finite number")
    if isinstance(value, list):
        return [plain_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {storable(key): plain_json(item, depth + 1) for key, item in value.items()}
    return value


Text: TypeAlias = Annotated[str, Field(max_length=200), AfterValidator(storable)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]


class Strict(BaseModel):
    """An object in a client's JSON; refuses unknown fields, infinities and numbers in quotes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        serialize_by_alias=True,
    )
