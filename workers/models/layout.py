"""The layout of a model's parameters as one row of numbers: penalised weights first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from workers.models.alignment import COLUMN_ALIGNMENT, rounded_up
from workers.models.by_input import PLAIN, ByInput, by_size
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


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Groups of so many inputs each (`size`): what leaves them by the skip layer, and by the first.

    skip (groups, size * outputs) and first (groups, size * units): columns. limit: how many times
    as large as the norm of a group's skip weights each of its first layer's may be. factors
    (groups, 1): of the groups' penalties; None where all are one.
    """

    skip: Tensor
    first: Tensor
    limit: float
    size: int
    factors: Tensor | None = None


@dataclass(frozen=True)
class Slot:
    """One parameter's place. skips: it is a skip layer's."""

    name: str
    start: int
    shape: tuple[int, ...]
    penalised: bool
    skips: bool = False

    @property
    def stop(self) -> int:
        """Return the column after its last."""
        return self.start + math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """All parameters of one model as one row of `columns` numbers; gaps between slots stay zero.

    The first `penalised_columns` hold the penalised weights, `weights` in number. factors
    (penalised_columns,): of their penalties; None where all are one. hierarchies: the inputs of a
    net with a skip layer, those of each size of groups; () where there is none.
    """

    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]
    columns: int
    penalised_columns: int
    weights: int
    factors: Tensor | None = field(default=None, compare=False)
    hierarchies: tuple[Hierarchy, ...] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        parameters: Sequence[Parameter],
        inputs: ByInput = PLAIN,
        like: Tensor | None = None,
    ) -> Layout:
        """Lay out a model's parameters, the penalised ones first.

        inputs: what holds for the weights that leave single inputs. like: a number whose device and
        type factors get; by default they are float64 on the host.
        """
        ordered = sorted(parameters, key=lambda parameter: not parameter.penalised)
        slots: list[Slot] = []
        groups: list[Group] = []
        start = penalised_columns = 0
        for parameter in ordered:
            own = (parameter.name, start, parameter.shape, parameter.penalised, parameter.skips)
            slots.append(Slot(*own))
            if parameter.penalised:
                groups.append(_group(parameter, start))
            start += rounded_up(math.prod(parameter.shape), COLUMN_ALIGNMENT)
            penalised_columns = start if parameter.penalised else penalised_columns
        weights = sum(math.prod(p.shape) for p in parameters if p.penalised)
        layout = cls(tuple(slots), tuple(groups), start, penalised_columns, weights)
        return layout._by_input(inputs, like)

    @property
    def first(self) -> Slot:
        """The first matrix, (units, inputs), which of a `linear` model or an `mlp` inputs feed."""
        return next(slot for slot in self.slots if len(slot.shape) == 2)

    @property
    def _skip(self) -> Slot | None:
        """A skip layer's matrix, (outputs, inputs)."""
        return next((slot for slot in self.slots if slot.skips), None)

    @property
    def _fed(self) -> list[Slot]:
        """The matrices that inputs feed: the first, and that of a skip layer."""
        return [self.first] if self._skip is None else [self.first, self._skip]

    def _by_input(self, inputs: ByInput, like: Tensor | None) -> Layout:
        like = torch.zeros((), dtype=torch.float64) if like is None else like
        layout = self
        if inputs.factors is not None:
            layout = layout._with_factors(inputs.factors.to(like))
        if inputs.groups is None and self._skip is None:
            return layout
        groups = inputs.groups or [(place,) for place in range(self.first.shape[1])]
        sized = [own.to(like.device) for own in by_size(groups)]
        if inputs.groups is not None or self._holds_columns:
            layout = layout._with_groups(sized)
        return layout if self._skip is None else layout._with_hierarchies(sized, inputs.hierarchy)

    def _with_factors(self, factors: Tensor) -> Layout:
        starts = [slot.start for slot in self._fed]
        own = factors.new_ones(self.penalised_columns)
        for slot in self._fed:
            own[slot.start : slot.stop].view(slot.shape).copy_(factors)
        groups = [
            replace(group, factors=factors[None, None]) if group.start in starts else group
            for group in self.groups
        ]
        return replace(self, groups=tuple(groups), factors=own)

    def _with_groups(self, groups: Sequence[Tensor]) -> Layout:
        """Return it with groups of inputs, (groups, size) for each size; every input is in one."""
        starts = [slot.start for slot in self._fed]
        own: list[Group] = []
        for members in groups:
            columns = torch.cat([_leaving(slot, members) for slot in self._fed], 1)
            factors = None if self.factors is None else self.factors[columns[:, :1]]
            shape = (len(members), columns.shape[1])
            own.append(Group(starts[0], shape, (-1,), columns.shape[1], factors, columns))
        others = [group for group in self.groups if group.start not in starts]
        return replace(self, groups=(*own, *others))

    def _with_hierarchies(self, groups: Sequence[Tensor], limit: float) -> Layout:
        """Return it with the hierarchies of these groups of inputs, as in `_with_groups`."""
        own: list[Hierarchy] = []
        for members in groups:
            first, skip = (_leaving(slot, members) for slot in self._fed)
            factors = None if self.factors is None else self.factors[first[:, :1]]
            own.append(Hierarchy(skip, first, limit, members.shape[1], factors))
        return replace(self, hierarchies=tuple(own))

    @property
    def fed(self) -> tuple[str, ...]:
        """The names of the matrices (..., inputs) that inputs feed."""
        return tuple(slot.name for slot in self._fed)

    @property
    def _holds_columns(self) -> bool:
        """Whether the groups of the first matrix are its columns, each the weights of an input."""
        start = self.first.start
        return any(group.start == start and group.axes == (-2,) for group in self.groups)

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
        views = self.views(rows)
        return torch.stack([(views[slot.name] != 0).any(-2) for slot in self._fed]).any(0)

    def nonzero(self, rows: Tensor) -> Tensor:
        """Count each row's penalised weights that are not exactly zero; rows (..., columns)."""
        return torch.count_nonzero(rows[..., : self.penalised_columns], dim=-1)


def _leaving(slot: Slot, inputs: Tensor) -> Tensor:
    """Return the columns of what leaves groups of inputs (groups, size): (groups, units * size)."""
    units, width = slot.shape
    starts = slot.start + width * torch.arange(units, device=inputs.device)
    return (inputs[:, None] + starts[:, None]).flatten(1)


def _group(parameter: Parameter, start: int) -> Group:
    dimensions = len(parameter.view)
    axes = tuple(axis - dimensions for axis in range(dimensions) if axis not in parameter.kept)
    size = math.prod(parameter.view[axis] for axis in axes)
    return Group(start, parameter.view, axes, size)
