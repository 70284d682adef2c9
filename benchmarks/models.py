"""Data, jobs and two plug-in models for benchmarks/populations.py."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from workers.data.folds import Fold

OUTPUTS = 10
VALID_ROWS = 512
# What `width` means: the linear model's inputs, hidden units, the first convolution's channels.
WIDTHS: Mapping[str, int] = {"linear": 64, "mlp": 128, "plugin": 64, "cnn": 16}


@dataclass(frozen=True)
class Task:
    """A model to train, as a job says it, and its rows."""

    name: str
    spec: JobSpec
    fold: Fold
    rows: int
    width: int


def task(name: str, rows: int, width: int | None, batch: int) -> Task:
    """Return a task of `linear`, `mlp`, `plugin` or `cnn` on rows of digits."""
    width = width or WIDTHS[name]
    models = {
        "linear": {"kind": "linear"},
        "mlp": {"kind": "mlp", "hidden": [width, width]},
        "plugin": {"kind": "gated", "width": width},
        "cnn": {"kind": "convolutional", "width": width},
    }
    body = {"dataset": "digits", "task": "classification", "model": models[name]}
    how = {"optimizer": "adamw", "batch_size": batch, "validation": {"kind": "holdout"}}
    spec = parse_spec({**body, **how})
    return Task(name, spec, digits(rows, width if name == "linear" else 64), rows, width)


def digits(rows: int, inputs: int = 64) -> Fold:
    """Return bootstrapped rows of digits, standardised; columns repeat beyond its own 64."""
    data, labels = load_digits(return_X_y=True)
    data = StandardScaler().fit_transform(data)[:, np.arange(inputs) % 64]
    x, y = torch.tensor(data, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)
    draw = torch.Generator().manual_seed(0)
    train = torch.randint(len(y), (rows,), generator=draw)
    valid = torch.randint(len(y), (VALID_ROWS,), generator=draw)
    return Fold(x[train], y[train], x[valid], y[valid], 0.0, 1.0)


# --- plug-ins ---------------------------------------------------------------------------------


class GatedBlock(nn.Module):
    """Computes x + down(gelu(up(h)) * sigmoid(gate(h))), h = norm(x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.gate, self.down = (nn.Linear(width, width) for _ in range(3))
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:  # (batch, width)
        hidden = self.norm(x)
        return x + self.down(self.activation(self.up(hidden)) * self.gate(hidden).sigmoid())


def gated(inputs: int, outputs: int, width: int = 64, blocks: int = 2) -> nn.Module:
    """Return a residual net."""
    body = [GatedBlock(width) for _ in range(blocks)]
    head = [nn.LayerNorm(width), nn.Linear(width, outputs)]
    return nn.Sequential(nn.Linear(inputs, width), *body, *head)


def convolutional(inputs: int, outputs: int, width: int = 16) -> nn.Module:
    """Return two 3x3 convolutions over square images that come as rows."""
    side = round(inputs**0.5)
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (side // 2) ** 2, outputs),
    )


@contextmanager
def plugins_installed() -> Iterator[None]:
    """Install a package beside the workers that offers the two, found by its real metadata."""
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / "benchmark_models-1.0.dist-info"
        info.mkdir()
        metadata = "Metadata-Version: 2.1\nName: benchmark-models\nVersion: 1.0\n"
        (info / "METADATA").write_text(metadata)
        offered = "\n".join(f"{name} = models:{name}" for name in ("gated", "convolutional"))
        (info / "entry_points.txt").write_text(f"[ridgeway.models]\n{offered}\n")
        sys.path.append(folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
