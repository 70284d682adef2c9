"""A linear model's strength in the terms of other libraries, to compare or to go on there.

They hold for weight decay 0, inputs and target standardised, and an unpenalised intercept. With
sample weights, `rows` is their sum: scikit-learn takes them as they are, torch their mean loss.
"""

from __future__ import annotations

import math

from ridgeway.spec.names import PenaltyName
from workers.penalties.mixture import Mixture
from workers.penalties.penalties import PENALTIES


def convertible(penalty: PenaltyName) -> bool:
    """Tell whether other libraries' linear models have this penalty."""
    return isinstance(PENALTIES[penalty], Mixture)


def sklearn_least_squares(
    penalty: PenaltyName, strength: float, l1_ratio: float, rows: float, target_scale: float = 1.0
) -> dict[str, float]:
    """Return the arguments of scikit-learn's Lasso, Ridge or ElasticNet, as the penalty asks.

    target_scale: the target's standard deviation (ddof 0) where the library gets it raw.
    """
    own = _mixture(penalty, "scikit-learn has no linear model with penalty")
    share = own.l1_share(l1_ratio)
    return own.least_squares(target_scale * strength * share / 2, strength * (1 - share), rows)


def sklearn_logistic(
    penalty: PenaltyName, strength: float, l1_ratio: float, rows: float
) -> dict[str, float]:
    """Return the arguments of LogisticRegression for two classes: C and l1_ratio."""
    own = _mixture(penalty, "scikit-learn has no logistic regression with penalty")
    share = own.l1_share(l1_ratio)
    inverse = rows * strength * (2 - share)
    return {"C": 1 / inverse if inverse > 0 else math.inf, "l1_ratio": share / (2 - share)}


def sklearn_poisson(
    penalty: PenaltyName, strength: float, l1_ratio: float, mean: float
) -> dict[str, float] | None:
    """Return the argument of PoissonRegressor, None where the penalty is more than ridge.

    mean: of the target, which the library gets raw.
    """
    own = _mixture(penalty, "scikit-learn has no Poisson regression with penalty")
    return None if own.l1_share(l1_ratio) > 0 else {"alpha": 2 * mean * strength}


def sklearn_quantile(
    penalty: PenaltyName, strength: float, l1_ratio: float, level: float
) -> dict[str, float] | None:
    """Return the arguments of QuantileRegressor, None where the penalty is more than lasso.

    It is the same for a target that is standardised and for a raw one, as loss and weights are in
    its units alike.
    """
    own = _mixture(penalty, "scikit-learn has no quantile regression with penalty")
    share = own.l1_share(l1_ratio)
    return {"quantile": level, "alpha": strength} if share == 1 else None


def glmnet(
    penalty: PenaltyName, strength: float, l1_ratio: float, *, gaussian: bool
) -> dict[str, float]:
    """Return glmnet's lambda and alpha; a gaussian target standardised, as glmnet does inside.

    Of counts the strength is to be multiplied by their mean, which we divide them by.
    """
    share = _mixture(penalty, "glmnet has no penalty").l1_share(l1_ratio)
    if gaussian:  # RSS/(2n): half of our mean squared error
        l1_part, l2_part = strength * share / 2, strength * (1 - share)
    else:
        l1_part, l2_part = strength * share, 2 * strength * (1 - share)
    total = l1_part + l2_part
    return {"lambda": total, "alpha": l1_part / total if total > 0 else 0.0}


def torch_optim(penalty: PenaltyName, strength: float, l1_ratio: float) -> dict[str, float] | None:
    """Return torch.optim's coupled weight decay that is the penalty; None of those with an L1 term.

    Of the weights' group alone, beside the mean loss of the rows: torch adds wd w to the gradient,
    and ours of λ Σ w² is 2 λ w. Squared errors of a raw target scale with the squares of weights,
    so that it holds for them too; of counts the strength is to be multiplied by their mean.
    """
    share = _mixture(penalty, "torch.optim has no penalty").l1_share(l1_ratio)
    return None if share > 0 else {"weight_decay": 2 * strength}


def _mixture(penalty: PenaltyName, refusal: str) -> Mixture:
    """Return the penalty if it lies between lasso and ridge; ValueError with the refusal if not."""
    own = PENALTIES[penalty]
    if not isinstance(own, Mixture):
        raise ValueError(f"{refusal} {penalty!r}")
    return own
