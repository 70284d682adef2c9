"""The state of a population between two epochs, on the host: all it takes to go on bit for bit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class PartState:
    """A part of a population: members that train side by side.

    members: positions in the population; epoch: the last one trained; decided: the last rung that
    pruned; steps (F,) taken on each fold; tensors (F, P, ...) by name, none before the first epoch.
    """

    members: tuple[int, ...]
    epoch: int = 0
    decided: int = 0
    steps: tuple[int, ...] = ()
    tensors: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor], repr=False)

    def only(self, members: Collection[int]) -> PartState:
        """Return the part of those members alone."""
        places = [place for place, member in enumerate(self.members) if member in members]
        return replace(
            self,
            members=tuple(self.members[place] for place in places),
            tensors={name: value[:, places] for name, value in self.tensors.items()},
        )

    def split(self, size: int) -> list[PartState]:
        """Return parts of at most so many members."""
        starts = range(0, len(self.members), size)
        return [self.only(self.members[start : start + size]) for start in starts]


@dataclass(frozen=True)
class PopulationState:
    """The population's roll, by name, and the parts that are still to train."""

    roll: Mapping[str, Tensor]
    parts: tuple[PartState, ...]
