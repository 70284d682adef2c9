"""The factors that a job multiplies the penalty of its inputs' weights by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ridgeway.spec.spec import JobSpec


def input_factors(spec: JobSpec, sources: Sequence[str] | None) -> Tensor | None:
    """Return each input's factor, (d,) float64, that of its source column; None: no job's own.

    All columns that a category, or a number with gaps, is encoded to take its factor.
    """
    named = spec.penalty_factors
    if not named:
        return None
    assert sources is not None, "factors need a model whose inputs are known"
    return torch.tensor([named.get(source, 1.0) for source in sources], dtype=torch.float64)


def over_held(sizes: Tensor, factors: Tensor | None) -> Tensor:
    """Return sizes (..., d) over the factors (d,); 0 where nothing is penalised.

    A gradient over its factor is as large as the strength that holds the weight at zero.
    """
    if factors is None:
        return sizes
    return torch.where(factors > 0, sizes / torch.where(factors > 0, factors, 1), 0)
