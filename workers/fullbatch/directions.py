"""The directions that rows span: all that a linear model without zeros can learn from."""

from __future__ import annotations

import torch
from torch import Tensor

CLEAR = 1e-6  # of the largest eigenvalue: what is above it is told from rounding, and by ten digits


def spanned(inputs: Tensor, *, centred: bool) -> tuple[Tensor, Tensor]:
    """Return the rows along the directions that they span (n, r), and these (r, d), orthonormal.

    inputs (n, d), float64. centred: a weighted mean of the rows is taken off them, so that they
    span fewer directions than they are.
    """
    if len(inputs) < inputs.shape[1] and (found := _by_products(inputs, centred)) is not None:
        return found
    left, sizes, directions = torch.linalg.svd(inputs, full_matrices=False)
    told = sizes > sizes[:1] * max(inputs.shape) * torch.finfo(inputs.dtype).eps
    return (left * sizes)[:, told], directions[told]


def _by_products(inputs: Tensor, centred: bool) -> tuple[Tensor, Tensor] | None:
    """Return the same from the rows' products with each other, which takes a fifth of the time.

    None where an eigenvalue, which is a size squared, is too small to be told from rounding; but
    of centred rows one is zero.
    """
    products = inputs @ inputs.T
    if not products.isfinite().all():
        return None
    squares, left = torch.linalg.eigh(products)
    told = squares > CLEAR * squares[-1:]
    if len(inputs) - int(told.sum()) > int(centred):
        return None
    sizes, left = squares[told].sqrt(), left[:, told]
    return left * sizes, (left.T @ inputs) / sizes[:, None]
