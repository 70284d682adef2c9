"""A model and a data set of one's own: any callables of these two shapes will do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn


class Gated(nn.Module):
    """A net with one hidden layer whose units are gated by the inputs.

    Maps (batch, inputs) to (batch, outputs). A job's `model` holds the options beside `kind`: here
    `width`, the number of hidden units.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 8) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, width)
        self.gate = nn.Linear(inputs, width)
        self.out = nn.Linear(width, outputs)

    def forward(self, batch: Tensor) -> Tensor:
        """Return the logits, or the predictions of a regression."""
        return self.out(torch.tanh(self.hidden(batch)) * torch.sigmoid(self.gate(batch)))


def two_moons() -> pd.DataFrame:
    """Return two half circles that reach into each other; the last column is the target."""
    chance = np.random.default_rng(0)
    moon = np.repeat([0, 1], 150)
    angle = chance.uniform(0, np.pi, 300) + np.pi * moon
    x = np.cos(angle) + moon + chance.normal(scale=0.15, size=300)
    y = np.sin(angle) + 0.5 * moon + chance.normal(scale=0.15, size=300)
    return pd.DataFrame({"x": x, "y": y, "moon": moon})
