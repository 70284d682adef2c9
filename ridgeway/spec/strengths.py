"""The strengths of a path job: how many of them, or which; and which those are in a range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag

from ridgeway.spec.dimensions import DISTINCT
from ridgeway.spec.strict import WHOLE

MOST_STRENGTHS = 1_000
EXACT_STRENGTHS = 100  # of linear models that are solved to the optimum, as glmnet has them
TRAINED_STRENGTHS = 32  # of models that are trained in steps


def _kind_of_strengths(value: Any) -> str:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return "@strengths" if listed else "@count"


Strengths: TypeAlias = Annotated[
    Annotated[int, Field(ge=2, le=MOST_STRENGTHS), WHOLE, Tag("@count")]
    | Annotated[
        list[Annotated[float, Field(gt=0, le=1e6)]],
        Field(min_length=2, max_length=MOST_STRENGTHS),
        DISTINCT,
        Tag("@strengths"),
    ],
    Discriminator(
        _kind_of_strengths,
        custom_error_type="strengths",
        custom_error_message="must be a number of strengths, or a list of them",
    ),
]


def count_of(strengths: Strengths) -> int:
    """Return how many strengths they are."""
    return len(strengths) if isinstance(strengths, list) else strengths


def strengths_within(strengths: Strengths, low: float, high: float) -> list[float]:
    """Return them from the strongest down; of a mere number, evenly in logarithms in the range."""
    if isinstance(strengths, list):
        return sorted(strengths, reverse=True)
    ratio, last = low / high, strengths - 1
    # The ends as they are, not as they are rounded: the study's range ends there.
    return [high, *(high * ratio ** (place / last) for place in range(1, last)), low]
