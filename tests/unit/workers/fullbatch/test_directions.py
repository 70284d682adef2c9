"""The directions that rows span, next to those of a singular value decomposition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.fullbatch.directions import spanned

WIDE = torch.randn(20, 200, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def rows(case: str) -> Tensor:
    """Return rows (20, 200) of a case."""
    own = WIDE.clone()
    if case == "twice":  # as those that are weighted apart
        own[1] = own[0]
    if case == "nearly twice":  # by too little for products to tell
        own[1] = own[0] + 1e-7 * own[1]
    return own - own.mean(0) if case != "as they are" else own


@pytest.mark.parametrize(
    ("case", "rank"), [("centred", 19), ("as they are", 20), ("twice", 18), ("nearly twice", 19)]
)
def test_all_directions_are_told_and_nothing_of_the_rows_is_lost(case: str, rank: int) -> None:
    own = rows(case)
    along, directions = spanned(own, centred=case != "as they are")
    assert along.shape == (20, rank)
    assert torch.linalg.matrix_rank(own) == rank
    torch.testing.assert_close(along @ directions, own, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        directions @ directions.T, torch.eye(rank, dtype=own.dtype), rtol=0, atol=1e-9
    )
