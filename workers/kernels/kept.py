"""The curvature at a start that several members share, summed up once."""

from __future__ import annotations

import torch

from workers.kernels.structures import KeptStructure


class KeptCurvature:
    """Room for the curvature at one start, filled by the first member that is solved from there.

    It holds the features of that member's working set; one who has others sums up all anew.
    """

    def __init__(self, most: int, outputs: int, dtype: torch.dtype) -> None:
        """most: features in a working set."""
        self._pairs = max(1, outputs * (outputs - 1) // 2)
        self._features = torch.empty(most, dtype=torch.int64)
        self._blocks = torch.empty(self._pairs * most * (most + 1) // 2, dtype=dtype)
        self.structure = KeptStructure(0, self._features.data_ptr(), self._blocks.data_ptr())

    @property
    def bytes(self) -> int:
        """How much of the room is in use."""
        count = self.structure.count
        return self._pairs * count * (count + 1) // 2 * self._blocks.element_size()
