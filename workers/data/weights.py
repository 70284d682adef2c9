"""Sample weights: what they have to be, and the rows that are left of each part of a split.

A row of weight 0 takes its place in the splits, so that they seal the same rows with weights and
without, and is then left out of every part: it changes no statistic, model or score.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.names import OBJECTIVE_ROWS
from ridgeway.spec.spec import JobSpec
from workers.data.encoding import Floats
from workers.data.splits import Positions, Splits

ROUNDING = 1e-6  # equal weights count as so many rows as there are


def checked_weights(values: npt.NDArray[np.generic]) -> Floats:
    """Return a column as weights (rows,); JobUnrunnable where one is missing or below 0.

    The door has looked, but for profiles of earlier releases, which do not tell a minimum.
    """
    weights = values.astype(np.float64)
    if not (weights >= 0).all():
        raise JobUnrunnable("weights: holds a weight that is missing or below 0; accepted: >= 0")
    return weights


def effective_rows(weights: Floats) -> int:
    """Return how many rows of one weight tell a mean as well as rows of these weights (n,).

    (Σ w)² / Σ w², rounded down. Source: Kish, Survey Sampling (1965), section 11.7.
    """
    return math.floor(weights.sum() ** 2 / (weights**2).sum() + ROUNDING)


def weighing(
    spec: JobSpec,
    splits: Splits,
    weights: Floats,
    targets: npt.NDArray[np.generic],
    classes: tuple[str, ...],
) -> Splits:
    """Leave rows of weight 0 out of every part.

    targets (rows,) are class indices where there are classes. JobUnrunnable where no row of a part
    is left, or of a class that has to be there.
    """

    def left(rows: Positions) -> Positions:
        return rows[weights[rows] > 0]

    folds = tuple((left(train), left(valid)) for train, valid in splits.folds)
    found = Splits(left(splits.development), left(splits.test), folds)
    parts = {f"training rows of fold {place}": train for place, (train, _) in enumerate(folds, 1)}
    judging = {f"validation rows of fold {place}": own for place, (_, own) in enumerate(folds, 1)}
    judging["sealed test set"] = found.test
    every_class = OBJECTIVE_ROWS[spec.objective].every_class
    for name, rows in {**parts, **judging}.items():
        if not len(rows):
            raise JobUnrunnable(_refused(spec, f"no row of the {name} weighs anything"))
        needed = range(len(classes)) if every_class or name in parts else ()
        if len(absent := np.setdiff1d(needed, targets[rows])):
            whose = f"no row of class '{classes[int(absent[0])]}' in the {name} weighs anything"
            raise JobUnrunnable(_refused(spec, whose))
    return found


def _refused(spec: JobSpec, what: str) -> str:
    return (
        f"By the weights '{spec.weights}' {what}. Use fewer folds, another seed, or other weights."
    )
