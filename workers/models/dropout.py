"""Dropout whose rate is a number of each member."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) that can have another rate in each model.

    The rate is a buffer, and models called together share the draws that it is compared with.
    """

    rate: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(rate))

    def forward(self, hidden: Tensor) -> Tensor:
        if not self.training:
            return hidden
        draws = torch.rand(hidden.shape, dtype=hidden.dtype, device=hidden.device)
        return hidden * (draws >= self.rate).to(hidden.dtype) / (1 - self.rate)


def with_own_dropout(model: nn.Module) -> nn.Module:
    """Turn every nn.Dropout of the model into a `Dropout`, one for each place; in place."""
    for name, child in model._modules.items():  # named_children() leaves out what occurs twice
        if type(child) is nn.Dropout:
            model._modules[name] = Dropout(child.p)
        elif child is not None:
            with_own_dropout(child)
    return model
