"""The parameters of a job's trials: which there are, and which exist beside which penalty.

Parameters go by the study's names, `lambda` for the strength. Their Optuna distributions are in
ridgeway/study/distributions.py.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from ridgeway.spec.dimensions import Dimension, Range
from ridgeway.spec.names import PENALTY_ROWS, penalty_row
from ridgeway.spec.spec import Search

Searched: TypeAlias = Dimension | Literal["auto"]

# Parameters that some penalty has of its own; all others exist in every trial.
OF_PENALTIES = tuple(
    dict.fromkeys(name for row in PENALTY_ROWS.values() for name in row.parameters)
)


def dimensions(search: Search) -> dict[str, Searched]:
    """Return what is searched beside the penalty, in the order in which samplers draw it.

    Parameters without a dimension are left out: dropout, label_smoothing and input_noise unless the
    search names them, and the rates that the optimizer exact does not have.
    """
    fields = Search.model_fields.items()
    found = {field.alias or name: getattr(search, name) for name, field in fields}
    del found["penalty"]
    return {name: dimension for name, dimension in found.items() if dimension is not None}


def exists_beside(penalty: str, parameter: str) -> bool:
    """Tell whether trials with this penalty have the parameter."""
    own = penalty_row(penalty).parameters
    return parameter in own or parameter not in OF_PENALTIES


def quantile(dimension: Dimension, share: float) -> float:
    """Return the value below which this share of a dimension lies, from 0 to 1.

    A range is taken as it is searched, in its logarithm or not; of choices one is returned.
    """
    if isinstance(dimension, Range):
        low, high = dimension.low, dimension.high
        if dimension.log:
            return low * (high / low) ** share
        return low + (high - low) * share
    if isinstance(dimension, list):
        return sorted(dimension)[min(int(share * len(dimension)), len(dimension) - 1)]
    return dimension
