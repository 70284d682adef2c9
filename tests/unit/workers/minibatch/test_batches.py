"""Orders of rows, drawn whole or in blocks."""

from __future__ import annotations

import pytest
import torch

from workers.minibatch import batches
from workers.minibatch.batches import Minibatches, shuffled

CPU = torch.device("cpu")


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("block", [1, 4, 7])
def test_every_row_comes_once(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(batches, "WINDOW", 3)
    order = shuffled(101, block, seeded())
    assert sorted(order.tolist()) == list(range(101))
    assert order.tolist() != sorted(order.tolist())


def test_rows_of_a_window_are_those_of_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "WINDOW", 3)
    windows = (shuffled(96, 4, seeded()) // 4).split(12)
    assert len(windows) == 8
    assert all(len(window.unique()) == 3 for window in windows)


def test_skipped_epochs_are_drawn_in_blocks_too() -> None:
    one, other = (Minibatches([50, 40], 16, 0, CPU, block=4) for _ in range(2))
    one.epoch()
    other.skip(1)
    for mine, theirs in zip(one.epoch(), other.epoch(), strict=True):
        assert torch.equal(mine.rows, theirs.rows)
