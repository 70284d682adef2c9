"""How the targets of a regression are standardised for its loss.

y = centre + scale * standardised. Among constants the loss of the standardised targets is least for
the logit 0: the centre is the mean for the squared error, Huber's M-estimate for his loss; the
quantile loss has its quantile for that. A
logit for Poisson's is a logarithm, so their mean is taken out as a factor, which that turns into an
intercept: their mean is the scale, and nothing is centred.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import root_scalar
from sklearn.preprocessing import StandardScaler

from ridgeway.errors import JobUnrunnable
from workers.data.splits import Splits
from workers.objectives.losses import Huber, Kind, Quantile

ROUNDING = 1e-12  # of sums of shares, and of errors that are none

Floats = npt.NDArray[np.float64]


def check_targets(targets: Floats, splits: Splits, kind: Kind) -> None:
    """Raise JobUnrunnable where the loss has no optimum on the rows that a fold trains on."""
    if kind != "poisson":
        return
    if targets.min() < 0:
        raise JobUnrunnable("loss: poisson needs a target of at least 0")
    if not all(has_optimum(targets[train], kind) for train, _ in splits.folds):
        raise JobUnrunnable("loss: poisson needs a target above 0 in the rows of every fold")


def has_optimum(targets: Floats, kind: Kind) -> bool:
    """Tell whether some constant has the least loss of these training targets (n,)."""
    return kind != "poisson" or bool(targets.any())


def centre_and_scale(
    targets: Floats, kind: Kind, weights: Floats | None = None
) -> tuple[float, float]:
    """Return centre and scale of the targets (n,), the scale 1 where they don't tell one.

    weights (n,): of the rows, all equal by default.
    """
    if kind == "poisson":
        mean = float(np.average(targets, weights=weights))
        return 0.0, mean if mean > 0 else 1.0
    scaler = StandardScaler().fit(targets[:, None], sample_weight=weights)
    mean, scale = float(np.asarray(scaler.mean_)[0]), float(np.asarray(scaler.scale_)[0])
    if isinstance(kind, Huber):
        standardised = (targets - mean) / scale
        return mean + scale * huber_location(standardised, kind.delta, weights), scale
    if isinstance(kind, Quantile):
        return quantile_location(targets, kind.level, weights), scale
    return mean, scale


def quantile_location(values: Floats, level: float, shares: Floats | None = None) -> float:
    """Return the constant with the least pinball loss of values (n,): their quantile.

    Where all of an interval are, its middle. shares (n,): as in `huber_location`.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    own = np.ones(len(values)) if shares is None else shares[order]
    ordered, own = ordered[own > 0], own[own > 0]
    below = np.cumsum(own) / own.sum()
    # Rounding of sums must not tell which end of the interval it is.
    ends = np.searchsorted(below, [level - ROUNDING, level + ROUNDING])
    low, high = ordered[np.minimum(ends, len(ordered) - 1)]
    return float(low + (high - low) / 2)


def pinball_slopes(errors: Floats, level: float, shares: Floats) -> Floats:
    """Return the derivatives (n,) of the weighted pinball loss in each row's prediction.

    errors (n,): targets less predictions, by their quantile. Rows without one lie on the kink and
    have any slope between its ends: they share what lets all add up to 0, by their weights.
    """
    size = ROUNDING * np.abs(errors).max(initial=0)
    slopes = np.where(errors > size, -level * shares, (1 - level) * shares)
    tied = np.abs(errors) <= size
    left = -slopes[~tied].sum()
    if tied.any():
        slopes[tied] = shares[tied] * np.clip(left / shares[tied].sum(), -level, 1 - level)
    return slopes


def huber_location(values: Floats, delta: float, shares: Floats | None = None) -> float:
    """Return the constant with the least Huber loss of values (n,) (Huber 1964).

    shares (n,): of the loss, up to a factor; all equal by default.
    """

    def slope(constant: float) -> float:
        return float(np.average(np.clip(constant - values, -delta, delta), weights=shares))

    low, high = float(values.min()), float(values.max())
    return low if low == high else root_scalar(slope, bracket=(low, high), xtol=1e-15).root
