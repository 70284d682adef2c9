"""How far an answer's path and its halves go: the search's own size is the measure of both."""

from __future__ import annotations

from ridgeway.spec.names import OPTIMIZER_ROWS
from workers.data.prepare import Prepared

EXACT = 100  # strengths of linear models that are solved to the optimum, as glmnet has them
LEAST_EXACT = 20
TRAINED = 32  # of models that are trained in steps
FEWEST = 8
PRODUCTS = 6e10  # of the curvatures of classes, one for each model of a path; of halves a third
PAIRS = 50  # of complementary halves (Shah & Samworth 2013)
FEWEST_PAIRS = 5
NUMBERS = 1e8  # of inputs, one for each pair


def path_strengths(prepared: Prepared) -> int:
    """Return how many strengths a path has.

    Least squares cost next to nothing. Of classes no more than their curvatures allow; of models
    that are trained in steps a sixth of the search's trials.
    """
    spec = prepared.spec
    if OPTIMIZER_ROWS[spec.optimizer].has_rates:
        return min(TRAINED, max(FEWEST, spec.trials // 6))
    models = len(prepared.folds) + 1
    return _within(PRODUCTS / models / max(1.0, _products(prepared)), LEAST_EXACT, EXACT)


def pairs_of_halves(prepared: Prepared) -> int:
    """Return how many pairs of halves; of models trained in steps a quarter of the trials.

    No more of large tables than can be standardised beside the search.
    """
    spec = prepared.spec
    affordable = NUMBERS / (len(prepared.splits.development) * prepared.inputs)
    if OPTIMIZER_ROWS[spec.optimizer].has_rates:
        affordable = min(affordable, spec.trials // 4)
    else:
        affordable = min(affordable, PRODUCTS / 3 / max(1.0, _products(prepared)))
    return _within(affordable, FEWEST_PAIRS, PAIRS)


def _products(prepared: Prepared) -> float:
    """Return the multiplications of one curvature of a linear model of classes."""
    if not prepared.classes:
        return 0.0
    rows, outputs = len(prepared.splits.development), prepared.outputs
    return rows * prepared.inputs * min(rows, prepared.inputs) * outputs * (outputs + 1) / 2


def _within(count: float, least: int, most: int) -> int:
    return int(min(most, max(least, count)))
