"""What a job's `precision` means to torch."""

from __future__ import annotations

import torch

from ridgeway.spec import JobSpec


def dtype_of(spec: JobSpec) -> torch.dtype:
    """What weights, data and losses are kept in."""
    return torch.float64 if spec.precision == "float64" else torch.float32
