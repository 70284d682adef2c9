"""Dimensions of a search space: a range, a list of choices, or one number, within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ridgeway.spec.strict import Check, Strict


class Range(Strict):
    """Every number from `low` to `high`; uniform in the logarithm where `log` is true."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"log": {"const": True}}, "required": ["log"]},
            "then": {"properties": {"low": {"exclusiveMinimum": 0}}},
        }
    )

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise PydanticCustomError(
                "empty_range",
                "is an empty range: low must be less than high (for one value, give one number)",
            )
        if self.log and self.low <= 0:
            raise PydanticCustomError(
                "log_range", "a logarithmic range needs low > 0; met low = {low}", {"low": self.low}
            )
        return self


def distinct(choices: list[Any]) -> list[Any]:
    """Return the choices; refuse a choice that is named twice."""
    if len(set(choices)) != len(choices):
        raise PydanticCustomError("repeated", "every choice may be named once")
    return choices


DISTINCT = Check(distinct, {"uniqueItems": True})

Choices: TypeAlias = Annotated[list[float], Field(min_length=1, max_length=100), DISTINCT]


def _kind_of_dimension(value: Any) -> str:
    """Return the tag of the way a dimension is written; the tag never reaches a client."""
    if isinstance(value, Mapping | Range):
        return "@range"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "@choices"
    return "@auto" if isinstance(value, str) else "@number"


Dimension: TypeAlias = Annotated[
    Annotated[Range, Tag("@range")]
    | Annotated[Choices, Tag("@choices")]
    | Annotated[float, Tag("@number")],
    Discriminator(
        _kind_of_dimension,
        custom_error_type="dimension",
        custom_error_message="must be a range {low, high, log}, a list of numbers or one number",
    ),
]

Strength: TypeAlias = Annotated[
    Annotated[Range, Tag("@range")]
    | Annotated[Choices, Tag("@choices")]
    | Annotated[float, Tag("@number")]
    | Annotated[Literal["auto"], Tag("@auto")],
    Discriminator(_kind_of_dimension),
]


def _bounds(dimension: Dimension | Literal["auto"] | None) -> list[tuple[str, float]]:
    """Return the numbers at a dimension's ends, each with its place in the spec."""
    if isinstance(dimension, Range):
        return [("low", dimension.low), ("high", dimension.high)]
    if isinstance(dimension, list):
        return [(str(index), value) for index, value in enumerate(dimension)]
    return [("", dimension)] if isinstance(dimension, int | float) else []


def _out_of_bounds(place: str, value: float, accepted: str) -> PydanticCustomError:
    """Build the error; it names the place below the field, where pydantic's location ends."""
    return PydanticCustomError(
        "out_of_bounds",
        "must be {accepted}; met {value}",
        {"accepted": accepted, "place": place, "value": value},
    )


def within(low: float, high: float, *, low_open: bool = False, high_open: bool = False) -> Check:
    """Build a check that every value of a dimension lies between low and high."""
    accepted = f"{'more than' if low_open else 'at least'} {low:g}"
    if high != float("inf"):
        accepted += f" and {'less than' if high_open else 'at most'} {high:g}"

    def check(dimension: Any) -> Any:
        for place, value in _bounds(dimension):
            too_low = value <= low if low_open else value < low
            too_high = value >= high if high_open else value > high
            if too_low or too_high:
                raise _out_of_bounds(place, value, accepted)
        return dimension

    number: dict[str, JsonValue] = {
        "exclusiveMinimum" if low_open else "minimum": low,
        "exclusiveMaximum" if high_open else "maximum": high,
    }
    # Each says something of one way only to write a dimension: a number, a list, a range.
    ends: JsonValue = {"low": number, "high": number}
    return Check(check, {**number, "items": number, "properties": ends})
