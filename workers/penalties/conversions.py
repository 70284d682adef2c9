"""A linear model's strength in the terms of scikit-learn and glmnet, to compare or to go on there.

They hold for weight decay 0, inputs and target standardised, and an unpenalised intercept.
Ours is mean loss + λ (r Σ|w| + (1 - r) Σ w²): l1 is r = 1, l2 is r = 0.
"""

from __future__ import annotations

import math

from ridgeway.spec.names import PenaltyName

L1_RATIO_OF: dict[PenaltyName, float] = {"l1": 1.0, "l2": 0.0}


def _ratio(penalty: PenaltyName, l1_ratio: float) -> float:
    return L1_RATIO_OF.get(penalty, l1_ratio)


def sklearn_least_squares(
    penalty: PenaltyName, strength: float, l1_ratio: float, rows: int, target_scale: float = 1.0
) -> dict[str, float]:
    """Arguments of Lasso (`l1`), Ridge (`l2`) or ElasticNet (`elastic_net`).

    target_scale: the target's standard deviation (ddof 0) where the library gets it raw.
    """
    ratio = _ratio(penalty, l1_ratio)
    l1_part, l2_part = target_scale * strength * ratio / 2, strength * (1 - ratio)
    match penalty:
        case "l1":
            return {"alpha": l1_part}
        case "l2":
            return {"alpha": rows * l2_part}
        case "elastic_net":
            alpha = l1_part + l2_part
            return {"alpha": alpha, "l1_ratio": l1_part / alpha if alpha > 0 else 0.0}
        case _:
            raise ValueError(f"scikit-learn has no linear model with penalty {penalty!r}")


def sklearn_logistic(
    penalty: PenaltyName, strength: float, l1_ratio: float, rows: int
) -> dict[str, float]:
    """Arguments of LogisticRegression for two classes: C and l1_ratio."""
    if penalty not in ("l1", "l2", "elastic_net"):
        raise ValueError(f"scikit-learn has no logistic regression with penalty {penalty!r}")
    ratio = _ratio(penalty, l1_ratio)
    inverse = rows * strength * (2 - ratio)
    return {"C": 1 / inverse if inverse > 0 else math.inf, "l1_ratio": ratio / (2 - ratio)}


def glmnet(
    penalty: PenaltyName, strength: float, l1_ratio: float, *, gaussian: bool
) -> dict[str, float]:
    """glmnet's lambda and alpha; a gaussian target standardised, as glmnet does inside."""
    if penalty not in ("l1", "l2", "elastic_net"):
        raise ValueError(f"glmnet has no penalty {penalty!r}")
    ratio = _ratio(penalty, l1_ratio)
    if gaussian:  # RSS/(2n): half of our mean squared error
        l1_part, l2_part = strength * ratio / 2, strength * (1 - ratio)
    else:
        l1_part, l2_part = strength * ratio, 2 * strength * (1 - ratio)
    total = l1_part + l2_part
    return {"lambda": total, "alpha": l1_part / total if total > 0 else 0.0}
