"""The device that a worker trains on, and its make, by which measurements are remembered."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from ridgeway.errors import InvalidInput


def device_name(device: torch.device) -> str:
    """Return which make of device this is."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def device_of(name: str) -> str:
    """Return the device of this name; `auto` is a GPU where torch finds one. InvalidInput else."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise InvalidInput.of("device", name, "must be auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidInput.of("device", name, "there is no such CUDA device here")
    return name
