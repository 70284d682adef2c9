"""What a job's `precision` means to torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ridgeway.spec import JobSpec


def dtype_of(spec: JobSpec) -> torch.dtype:
    """What weights, data and losses are kept in."""
    return torch.float64 if spec.precision == "float64" else torch.float32


@contextmanager
def rounded_products(spec: JobSpec, device: torch.device) -> Iterator[None]:
    """`tf32` and `bf16` round the factors of matrix products, and nothing else does."""
    if spec.precision == "bf16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
    elif spec.precision == "tf32" and device.type == "cuda":
        matmul = torch.backends.cuda.matmul
        before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
        try:
            yield
        finally:
            matmul.fp32_precision = before
    else:
        yield
