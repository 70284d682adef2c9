"""A model's predictions as plain values, for JSON and CSV."""

from __future__ import annotations

import math

from ridgeway.model.model import Model
from ridgeway.model.tables import Rows
from ridgeway.predictions import Predictions


def predictions_of(model: Model, rows: Rows) -> Predictions:
    """Predict rows: numbers, or classes with their probabilities. InvalidInput as `predict`."""
    if not len(model.classes_):
        return Predictions(predictions=[*_finite(model.predict(rows).tolist())])
    shares = model.predict_proba(rows)
    return Predictions(
        predictions=model.most_probable(shares).tolist(),
        probabilities=[_finite(row) for row in shares.tolist()],
        classes=model.classes_.tolist(),
    )


def _finite(numbers: list[float]) -> list[float | None]:
    return [number if math.isfinite(number) else None for number in numbers]
