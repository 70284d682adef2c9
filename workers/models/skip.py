"""A net with a skip layer: a linear model of the inputs, and layers that add to it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

SKIP = "skip"
SKIP_WEIGHT = f"{SKIP}.weight"


class SkipNet(nn.Module):
    """g(x) + θ x: layers in sequence beside a linear layer, whose bias is that of the last of them.

    Parameters of the layers go by the names that they have in an nn.Sequential.
    """

    skip: nn.Linear

    def __init__(self, layers: Sequence[nn.Module], inputs: int, outputs: int) -> None:
        super().__init__()
        for place, layer in enumerate(layers):
            self.add_module(str(place), layer)
        self.skip = nn.Linear(inputs, outputs, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = inputs
        for name, layer in self._modules.items():
            if name != SKIP and layer is not None:
                hidden = layer(hidden)
        return hidden + self.skip(inputs)
