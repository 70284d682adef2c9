"""The numbers that nets.c and linear.c have for losses."""

from __future__ import annotations

from collections.abc import Sequence

from workers.objectives.losses import Huber, Kind, Quantile

NAMED: Sequence[Kind] = ("regression", "binary", "multiclass", "poisson")


def code_of(kind: Kind) -> tuple[int, float]:
    """Return a loss's number and its parameter, 0 where it has none."""
    if isinstance(kind, Huber):
        return len(NAMED), kind.delta
    if isinstance(kind, Quantile):  # which nets.c alone knows
        return len(NAMED) + 1, kind.level
    return NAMED.index(kind), 0.0
