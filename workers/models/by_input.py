"""What a job says of columns, by input: factors of the penalty, and groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ridgeway.spec.bounds import limits
from ridgeway.spec.spec import JobSpec


@dataclass(frozen=True, eq=False)
class ByInput:
    """What a job says of the penalty of single inputs.

    factors (d,) float64: of each input's penalty, that of its source column; None where all are
    one. groups: of inputs that share one, each input in one; None where each is a group by itself.
    bounds (2, d) float64: the lowest and highest coefficient of each in the table's units, infinite
    where it has none; None where none has. hierarchy: how many times as large as the norm of an
    input's skip weights each of its weights in the first layer may be.
    """

    factors: Tensor | None = None
    groups: tuple[tuple[int, ...], ...] | None = None
    bounds: Tensor | None = None
    hierarchy: float = 10.0

    @classmethod
    def of(cls, spec: JobSpec, sources: Sequence[str] | None) -> ByInput:
        """Read the spec; sources: the column that each input comes from, where that is known."""
        if not spec.penalty_factors and not spec.feature_groups and not spec.bounds:
            return cls(hierarchy=spec.hierarchy)
        assert sources is not None, "factors and groups need a model whose inputs are known"
        factors, groups = _factors(spec, sources), _groups(spec, sources)
        return cls(factors, groups, _bounds(spec, sources), spec.hierarchy)

    def scaled_bounds(self, scales: Tensor | None, target_scale: float) -> Tensor | None:
        """Return the bounds of weights of inputs over these scales (d,), for such a target.

        w scale_y / scale_x is the coefficient in the table's units, scale_y 1 for a log link.
        """
        if self.bounds is None:
            return None
        return self.bounds * (1.0 if scales is None else scales) / target_scale

    def pulls(self, gradient: Tensor) -> Tensor:
        """Return a gradient at zero (..., d) without what would lead out of the bounds."""
        if self.bounds is None:
            return gradient
        low, high = self.bounds
        outwards = ((low == 0) & (gradient > 0)) | ((high == 0) & (gradient < 0))
        return torch.where(outwards, 0, gradient)


PLAIN = ByInput()


def _factors(spec: JobSpec, sources: Sequence[str]) -> Tensor | None:
    named = spec.penalty_factors
    if not named:
        return None
    return torch.tensor([named.get(source, 1.0) for source in sources], dtype=torch.float64)


def _groups(spec: JobSpec, sources: Sequence[str]) -> tuple[tuple[int, ...], ...] | None:
    """Return the job's groups; where it names some, a column that is in none is one."""
    if not spec.feature_groups:
        return None
    group_of = {name: (group,) for group, names in spec.feature_groups.items() for name in names}
    groups: dict[str | tuple[str], list[int]] = {}
    for place, source in enumerate(sources):
        groups.setdefault(group_of.get(source, source), []).append(place)
    found = tuple(tuple(group) for group in groups.values())
    return None if all(len(group) == 1 for group in found) else found


def _bounds(spec: JobSpec, sources: Sequence[str]) -> Tensor | None:
    """Return the ends of the job's bounds; what says that a number is missing has none."""
    if not spec.bounds:
        return None
    found = torch.tensor([[-math.inf], [math.inf]], dtype=torch.float64).repeat(1, len(sources))
    for name, bound in spec.bounds.items():
        found[:, sources.index(name)] = torch.tensor(limits(bound), dtype=torch.float64)
    return found


def by_size(groups: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return the groups of each size as indices (groups, size), so that each size is one tensor."""
    sizes = sorted({len(group) for group in groups})
    return [torch.tensor([group for group in groups if len(group) == size]) for size in sizes]


def over_held(sizes: Tensor, factors: Tensor | None) -> Tensor:
    """Return sizes (..., d) over the factors (d,); 0 where nothing is penalised.

    A gradient over its factor is as large as the strength that holds the weight at zero.
    """
    if factors is None:
        return sizes
    return torch.where(factors > 0, sizes / torch.where(factors > 0, factors, 1), 0)
