"""What a job says of columns, by input: factors of the penalty, and groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ridgeway.spec.spec import JobSpec


@dataclass(frozen=True, eq=False)
class ByInput:
    """What a job says of the penalty of single inputs.

    factors (d,) float64: of each input's penalty, that of its source column; None where all are
    one. groups: of inputs that share one, each input in one; None where each is a group by itself.
    """

    factors: Tensor | None = None
    groups: tuple[tuple[int, ...], ...] | None = None

    @classmethod
    def of(cls, spec: JobSpec, sources: Sequence[str] | None) -> ByInput:
        """Read the spec; sources: the column that each input comes from, where that is known."""
        if not spec.penalty_factors and not spec.feature_groups:
            return cls()
        assert sources is not None, "factors and groups need a model whose inputs are known"
        return cls(_factors(spec, sources), _groups(spec, sources))


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
