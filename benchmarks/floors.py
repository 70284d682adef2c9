"""Tell the floor of a training step: its matrix products' flops over the machine's GEMM rate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Clock = Callable[[], float]


def clock_of(device: torch.device) -> tuple[Clock, str]:
    """Return CPU seconds of this process; on a GPU wall seconds with the device's work done."""
    if device.type == "cpu":
        return time.process_time, "CPU s"

    def synchronized() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return synchronized, "s"


def rate(run: Callable[[], int], seconds: float, clock: Clock) -> float:
    """Return how often `run` runs in a second, repeating it for at least so many seconds."""
    started, done = clock(), 0
    while True:
        done += run()
        spent = clock() - started
        if spent >= seconds:
            return done / spent


def gemm_rate(device: torch.device, seconds: float, clock: Clock) -> float:
    """Return the flops per second of 64 products of 128 x 128 matrices in one call."""
    left, right = (torch.randn(64, 128, 128, device=device) for _ in range(2))
    out = torch.empty_like(left)

    def run() -> int:
        for _ in range(10):
            torch.bmm(left, right, out=out)
        return 10 * 2 * 64 * 128**3

    run()
    return rate(run, seconds, clock)


def step_flops(model: nn.Module, inputs: int, batch: int) -> int:
    """Return the flops of the products in one training step.

    A product of (m, k) and (k, n) takes 2mkn. Each layer takes one forward, one for dW, and one
    for dX unless nothing before it is trained. Linear i -> o: m = batch, k = i, n = o. Conv2d
    i -> o with a kernel q x q: m = batch * height * width of its output, k = i q² / groups, n = o.
    """
    total = 0

    def count(layer: nn.Module, arguments: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        products = 3 if arguments[0].requires_grad else 2
        places = output.numel() // layer.weight.shape[0]
        total += products * 2 * places * math.prod(layer.weight.shape)

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    model(torch.zeros(batch, inputs))
    for handle in handles:
        handle.remove()
    return total


def torch_flops(model: nn.Module, inputs: Tensor, targets: Tensor) -> int:
    """Return the flops that torch itself counts in a step on a batch."""
    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(model(inputs), targets).backward()
    return counter.get_total_flops()
