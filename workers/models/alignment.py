"""Rounding up to what vectorised kernels do in whole vectors, so that no member has leftovers."""

from __future__ import annotations

# Rows of a batch. Vectorised kernels round exp and its like differently in the last few numbers of
# an array; so that no member has those, each fills whole vectors.
ROW_ALIGNMENT = 32
# Numbers between the starts of two parameters of a model: 64 bytes of float32. Kernels treat each
# row alike then, and a member's bits don't depend on its place in the population.
COLUMN_ALIGNMENT = 16


def rounded_up(count: int, multiple: int) -> int:
    """Return the least multiple that is not less than the count."""
    return -(-count // multiple) * multiple
