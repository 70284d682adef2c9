"""What a job's model predicts for rows, as JSON."""

from __future__ import annotations

from pydantic import Field

from ridgeway.answers import View


class Predictions(View):
    """A model's predictions, in the order of the rows."""

    predictions: list[int | str | float | None] = Field(
        description="classes, or numbers in the target's units: null where that is not finite"
    )
    probabilities: list[list[float | None]] | None = Field(
        default=None, description="of each class, in the order of `classes`; null for a regression"
    )
    classes: list[int | str] | None = Field(
        default=None, description="whole numbers where the target is one; null for a regression"
    )
