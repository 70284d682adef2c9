"""Weights by column: of linear models in the table's units, of nets as norms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from workers.data.prepare import Prepared


def scales(prepared: Prepared) -> np.ndarray:
    """Return what the development rows' inputs were divided by, (d,)."""
    return np.array([column["scale"] for column in prepared.recipe()])


def in_own_units(
    parameters: Mapping[str, Tensor], prepared: Prepared
) -> tuple[np.ndarray, np.ndarray]:
    """Return a linear model's coefficients (outputs, d) and intercepts, in the table's units.

    Of x' = (x - mean) / scale and y = target_mean + target_scale f(x'), as the recipe has them.
    """
    rows, columns = prepared.development(), prepared.recipe()
    means = np.array([column["mean"] for column in columns])
    weight, bias = (parameters[name].double().cpu().numpy() for name in ("weight", "bias"))
    own = rows.target_scale * weight / scales(prepared)
    return own, rows.target_mean + rows.target_scale * bias - own @ means


def column_norms(parameters: Mapping[str, Tensor], prepared: Prepared) -> dict[str, float]:
    """Return the norm of each source column's outgoing weights in a net's first layer."""
    first = next(tensor for tensor in parameters.values() if tensor.dim() == 2)  # (units, inputs)
    names, place = np.unique(prepared.source_columns, return_inverse=True)
    squares = torch.zeros(len(names), dtype=torch.float64)
    squares.index_add_(0, torch.from_numpy(place), first.double().cpu().square().sum(0))
    norms = dict(zip(names.tolist(), squares.sqrt().tolist(), strict=True))
    return {name: norms[name] for name in dict.fromkeys(prepared.source_columns)}
