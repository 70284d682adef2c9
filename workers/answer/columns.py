"""Weights by column: of linear models in the table's units, of nets as norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workers.data.prepare import Prepared
from workers.models.skip import SKIP_WEIGHT
from workers.objectives.losses import kind_of


@dataclass(frozen=True)
class Units:
    """What turns a linear model's weights into those of the table's columns and target.

    x' = (x - means) / scales, both (d,); y = target_mean + target_scale f(x'), or log y where the
    loss has a log link.
    """

    means: np.ndarray
    scales: np.ndarray
    target_mean: float
    target_scale: float

    @classmethod
    def of(cls, prepared: Prepared) -> Units:
        """Return those of the development rows, as a refit has them."""
        rows, columns = prepared.development(), prepared.recipe()
        means, scales = (
            np.array([column[name] for column in columns]) for name in ("mean", "scale")
        )
        kind = kind_of(prepared.spec, prepared.outputs)
        return cls(means, scales, *rows.linear_units(kind))

    def coefficients(self, parameters: Mapping[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Return a linear model's coefficients (outputs, d) and intercepts (outputs,)."""
        weight, bias = (parameters[name].double().cpu().numpy() for name in ("weight", "bias"))
        own = self.target_scale * weight / self.scales
        return own, self.target_mean + self.target_scale * bias - own @ self.means


def outgoing(parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the inputs' outgoing weights (units, inputs): of the first layer, then of a skip's.

    parameters: of a model whose layers are known.
    """
    first = next(tensor for tensor in parameters.values() if tensor.dim() == 2)
    if SKIP_WEIGHT not in parameters:
        return first
    return torch.cat([first, parameters[SKIP_WEIGHT]])


def column_norms(parameters: Mapping[str, Tensor], prepared: Prepared) -> dict[str, float]:
    """Return the norm of each source column's outgoing weights: in the first layer, and a skip's.

    parameters: of a model whose layers are known.
    """
    squared = outgoing(parameters).double().cpu().square().sum(0)
    names, place = np.unique(prepared.source_columns, return_inverse=True)
    squares = torch.zeros(len(names), dtype=torch.float64)
    squares.index_add_(0, torch.from_numpy(place), squared)
    norms = dict(zip(names.tolist(), squares.sqrt().tolist(), strict=True))
    return {name: norms[name] for name in dict.fromkeys(prepared.source_columns)}
