"""The layout of a model's parameters as one row of numbers: penalised weights first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from workers.models.alignment import COLUMN_ALIGNMENT, rounded_up
from workers.models.by_input import ByInput, by_size
from workers.models.parameters import Parameter


@dataclass(frozen=True)
class Group:
    """Groups of weights within the flat row: columns start to start + prod(view), seen as `view`.

    Fixing the axes `kept` of the view leaves one group; `axes` are the others, counted from behind.
    factors: of the groups' penalties, as the view with ones for `axes`; None where all are one.
    columns, shaped as the view: where they lie, if that is not in one piece.
    """

    start: int
    view: tuple[int, ...]
    axes: tuple[int, ...]
    size: int
    factors: Tensor | None = field(default=None, compare=False)
    columns: Tensor | None = field(default=None, compare=False)

    def of(self, rows: Tensor) -> Tensor:
        """Return the weights in rows (..., columns) as (..., *view): `put` writes them back."""
        if self.columns is not None:
            return rows[..., self.columns]
        return rows[..., self.start : self.start + math.prod(self.view)].unflatten(-1, self.view)

    def put(self, rows: Tensor, weights: Tensor) -> None:
        """Write back what `of` gave and was changed in place; what shares memory is there."""
        if self.columns is not None:
            rows[..., self.columns] = weights


@dataclass(frozen=True)
class Slot:
    """One parameter's place."""

    name: str
    start: int
    shape: tuple[int, ...]
    penalised: bool

    @property
    def stop(self) -> int:
        """Return the column after its last."""
        return self.start + math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """All parameters of one model as one row of `columns` numbers; gaps between slots stay zero.

    The first `penalised_columns` hold the penalised weights, `weights` in number. factors
    (penalised_columns,): of their penalties; None where all are one.
    """

    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]
    columns: int
    penalised_columns: int
    weights: int
    factors: Tensor | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        parameters: Sequence[Parameter],
        inputs: ByInput | None = None,
        like: Tensor | None = None,
    ) -> Layout:
        """Lay out a model's parameters, the penalised ones first.

        inputs: what holds for the weights that leave single inputs, in the first matrix. like: a
        number whose device and type factors get; by default they are float64 on the host.
        """
        ordered = sorted(parameters, key=lambda parameter: not parameter.penalised)
        slots: list[Slot] = []
        groups: list[Group] = []
        start = penalised_columns = 0
        for parameter in ordered:
            slots.append(Slot(parameter.name, start, parameter.shape, parameter.penalised))
            if parameter.penalised:
                groups.append(_group(parameter, start))
            start += rounded_up(math.prod(parameter.shape), COLUMN_ALIGNMENT)
            penalised_columns = start if parameter.penalised else penalised_columns
        weights = sum(math.prod(p.shape) for p in parameters if p.penalised)
        layout = cls(tuple(slots), tuple(groups), start, penalised_columns, weights)
        return layout if inputs is None else layout._by_input(inputs, like)

    @property
    def first(self) -> Slot:
        """The first matrix, (units, inputs), which of a `linear` model or an `mlp` inputs feed."""
        return next(slot for slot in self.slots if len(slot.shape) == 2)

    def _by_input(self, inputs: ByInput, like: Tensor | None) -> Layout:
        like = torch.zeros((), dtype=torch.float64) if like is None else like
        layout = self
        if inputs.factors is not None:
            layout = layout._with_factors(inputs.factors.to(like))
        if inputs.groups is not None:
            layout = layout._with_groups([own.to(like.device) for own in by_size(inputs.groups)])
        return layout

    def _with_factors(self, factors: Tensor) -> Layout:
        first = self.first
        own = factors.new_ones(self.penalised_columns)
        own[first.start : first.stop].view(first.shape).copy_(factors)
        groups = [
            replace(group, factors=factors[None, None]) if group.start == first.start else group
            for group in self.groups
        ]
        return replace(self, groups=tuple(groups), factors=own)

    def _with_groups(self, groups: Sequence[Tensor]) -> Layout:
        """Return it with groups of inputs, (groups, size) for each size; every input is in one."""
        first = self.first
        units, inputs = first.shape
        starts = first.start + inputs * torch.arange(units, device=groups[0].device)
        own: list[Group] = []
        for members in groups:
            columns = (members[:, None] + starts[:, None]).flatten(1)  # (groups, units * size)
            factors = None if self.factors is None else self.factors[columns[:, :1]]
            shape = (len(members), columns.shape[1])
            own.append(Group(first.start, shape, (-1,), columns.shape[1], factors, columns))
        others = [group for group in self.groups if group.start != first.start]
        return replace(self, groups=(*own, *others))

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """Return parameters by name, each (..., *shape), in rows (..., columns), sharing memory."""
        return {
            slot.name: rows[..., slot.start : slot.stop].unflatten(-1, slot.shape)
            if slot.shape
            else rows[..., slot.start]
            for slot in self.slots
        }

    def used_inputs(self, rows: Tensor) -> Tensor:
        """Return which inputs have a nonzero outgoing weight: (..., inputs) of (..., columns)."""
        return (self.views(rows)[self.first.name] != 0).any(-2)

    def nonzero(self, rows: Tensor) -> Tensor:
        """Count each row's penalised weights that are not exactly zero; rows (..., columns)."""
        return torch.count_nonzero(rows[..., : self.penalised_columns], dim=-1)


def _group(parameter: Parameter, start: int) -> Group:
    dimensions = len(parameter.view)
    axes = tuple(axis - dimensions for axis in range(dimensions) if axis not in parameter.kept)
    size = math.prod(parameter.view[axis] for axis in axes)
    return Group(start, parameter.view, axes, size)
