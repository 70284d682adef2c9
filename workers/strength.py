"""`lambda: "auto"`: the range of strengths worth searching."""

from __future__ import annotations

import torch
from torch import Tensor

from ridgeway.spec import Dimension, JobSpec, LinearModel, Range
from workers.datasets import Fold
from workers.layout import Layout
from workers.losses import kind_of
from workers.models import build_model, describe_parameters
from workers.penalties import L1, ElasticNet, GroupLasso

NETS = (1e-6, 1e-1)
BELOW = 1e-4  # the low end, as a share of the smallest critical strength


def auto_range(spec: JobSpec, rows: Fold, outputs: int) -> tuple[float, float]:
    """Lowest and highest λ to search, from the development rows.

    For `linear` from 1e-4 of the smallest to the largest λ_max of the searched penalties, λ_max
    being the smallest λ whose solution is all zeros (l2 has none and takes that of l1); for
    nets, which have none in closed form, 1e-6 to 1e-1.
    """
    if not isinstance(spec.model, LinearModel):
        return NETS
    critical = _critical_strengths(spec, gradient_at_zero(spec, rows, outputs), outputs)
    usable = [strength for strength in critical if strength > 0]
    if not usable:  # nothing to explain: constant columns, or a search without a penalty
        return NETS
    return BELOW * min(usable), max(usable)


def gradient_at_zero(spec: JobSpec, rows: Fold, outputs: int) -> Tensor:
    """Of the mean loss in the weights (outputs, d), all zero, with the intercept fitted."""
    inputs = rows.train_inputs.double()
    inputs = inputs - inputs.mean(0)
    kind = kind_of(spec.task, outputs)
    if kind == "multiclass":
        truth = torch.nn.functional.one_hot(rows.train_targets, outputs).double()
    else:
        truth = rows.train_targets.double().unsqueeze(1)
    residuals = truth - truth.mean(0)
    scale = 2.0 if kind == "regression" else 1.0
    return -scale * residuals.T @ inputs / len(inputs)


def _critical_strengths(spec: JobSpec, gradient: Tensor, outputs: int) -> list[float]:
    model = build_model(spec.model, gradient.shape[1], outputs)
    layout = Layout.of(describe_parameters(model, "weights", spec.group_by))
    flat = torch.zeros(layout.columns, dtype=gradient.dtype)
    layout.views(flat)["weight"].copy_(gradient)
    flat = flat[: layout.penalised_columns]
    l1 = L1().critical_strength(flat, 1.0)
    ratio = middle(spec.search.l1_ratio)
    strengths = {
        "l1": l1,
        "l2": l1,
        "elastic_net": ElasticNet().critical_strength(flat, ratio) if ratio > 0 else l1,
        "group_lasso": GroupLasso(layout.groups).critical_strength(flat, 1.0),
    }
    return [strengths[name] for name in spec.search.penalty if name in strengths]


def middle(dimension: Dimension) -> float:
    """The middle of a range, of the sorted choices, or the one value."""
    if isinstance(dimension, Range):
        if dimension.log:
            return (dimension.low * dimension.high) ** 0.5
        return (dimension.low + dimension.high) / 2
    if isinstance(dimension, list):
        return sorted(dimension)[len(dimension) // 2]
    return dimension
