"""Numbers on their way to a device and back, while it goes on with its work.

A plain copy waits until the device has done all that it was told, and then the device waits for
the host to tell it more.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the host's tensor on the device, without waiting for it to be there."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Arriving:
    """Copies of tensors for the host, begun when this is made; of a CPU's the tensors themselves.

    Who asks for them waits only for what the device had been told before.
    """

    def __init__(self, *tensors: Tensor) -> None:
        self._tensors = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        self._there: torch.cuda.Event | None = None
        if any(tensor.is_cuda for tensor in tensors):
            self._there = torch.cuda.Event()
            self._there.record()

    def tensors(self) -> list[Tensor]:
        """Return the tensors on the host."""
        if self._there is not None:
            self._there.synchronize()
        return self._tensors
