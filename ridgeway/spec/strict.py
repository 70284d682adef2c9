"""The checks of everything in a client's JSON: known fields, finite numbers, storable text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

MAX_DEPTH = 30  # of a plug-in's options; pydantic writes no JSON deeper than some 250
MOST_VALUES = 10_000  # in a plug-in's options
MOST_UNKNOWN = 50  # unknown fields that are told one by one; wording 100,000 takes seconds


def storable(text: str) -> str:
    """Return the text if both databases can store it: no NUL, no half of a surrogate pair."""
    if "\x00" in text:
        raise PydanticCustomError("nul", "must not contain the NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("surrogate", "must be valid Unicode; met a lone surrogate")
    return text


def check_plain(options: dict[str, JsonValue]) -> None:
    """Refuse a plug-in's options that not both databases can store, or that are too many."""
    waiting: list[tuple[JsonValue, int]] = [(options, 0)]  # values, and how deep they lie
    met = 0
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise PydanticCustomError(
                "depth", "must not be nested deeper than {most} levels", {"most": MAX_DEPTH}
            )
        if isinstance(value, str):
            storable(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise PydanticCustomError("finite", "must be a finite number")
        elif isinstance(value, list | dict):
            met += len(value)
            if met > MOST_VALUES:
                raise PydanticCustomError(
                    "many_values", "must not hold more than {most} values", {"most": MOST_VALUES}
                )
            inner = value.values() if isinstance(value, dict) else value
            waiting.extend((item, depth + 1) for item in inner)
            if isinstance(value, dict):
                for key in value:
                    storable(key)


def whole(value: Any) -> Any:
    """Read 1.0 as the integer that it is in JSON Schema; leave all else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True, eq=False)  # a mapping has no hash, which unions of types need
class Check:
    """A check of a field, and what the OpenAPI document says of it.

    check: returns the value or raises PydanticCustomError. declared: in terms of JSON Schema.
    """

    check: Callable[[Any], Any]
    declared: Mapping[str, JsonValue]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), **self.declared}


_STORABLE = Check(storable, {"pattern": r"^[^\x00]*$"})

Text: TypeAlias = Annotated[str, Field(max_length=200), _STORABLE]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200), _STORABLE]

# Behind a mapping by names, of which pydantic would put the pattern where it allows others too.
NAMED = Check(
    lambda value: value,
    {"propertyNames": {"minLength": 1, "maxLength": 200, "pattern": r"^[^\x00]*$"}},
)

# Behind an item's bounds, which pydantic would leave out of the document if they came after it.
WHOLE = BeforeValidator(whole)
Integer: TypeAlias = Annotated[int, WHOLE]


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

    @model_validator(mode="before")
    @classmethod
    def _few_unknown(cls, value: Any) -> Any:
        """Refuse an object of very many unknown fields in one sentence."""
        if cls.model_config.get("extra") != "forbid" or not isinstance(value, dict):
            return value
        count = len(cast("dict[Any, Any]", value))
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if count > len(known) + MOST_UNKNOWN:
            raise PydanticCustomError(
                "many_unknown",
                "has {count} fields, most of them unknown; accepted: {known}",
                {"count": count, "known": ", ".join(known)},
            )
        return cast("dict[Any, Any]", value)


# Of several kinds of part, those that an object without a `kind` is not.
NAMES_ITS_KIND = ConfigDict(json_schema_extra={"required": ["kind"]})
