"""Which backend a model gets: the fastest one that computes what the module itself does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ridgeway.errors import JobUnrunnable
from workers.backends.base import Backend, Buffers, Perturbation, StepBatch
from workers.backends.compiled import BLOCK_MEMBERS, Compiled
from workers.backends.dense import Dense
from workers.backends.fused import Fused
from workers.backends.in_turn import InTurn
from workers.backends.mapped import Mapped
from workers.kernels import Library
from workers.models.layout import Layout
from workers.models.models import unrunnable_where_it_fails
from workers.objectives.losses import Kind


@dataclass(frozen=True)
class Trial:
    """One step that tells backends apart: two members of one fold, weights (1, 2, columns)."""

    weights: Tensor
    buffers: Buffers
    batch: StepBatch
    perturbation: Perturbation


def choose_backend(
    model: nn.Module,
    layout: Layout,
    kind: Kind,
    trial: Trial,
    *,
    batch_statistics: bool,
    library: Library | None = None,
    wanted: str | None = None,
) -> tuple[Backend, str | None]:
    """The backend, and why it is a slower one than was to be expected; None where it isn't.

    batch_statistics: rows of a batch meet each other; such batches can't be padded, and padding is
    what keeps bits apart.
    library: the compiled kernels, if they may compute products.
    wanted: a backend's name, taken if it can do it. JobUnrunnable where the module itself fails.
    """
    in_turn, expected = _in_turn(model, layout, kind, trial)
    mapped = Mapped(model, layout, kind)
    if batch_statistics:
        return in_turn, "it has batch statistics, which padded batches would change"
    convolves = _convolves_on_a_cpu(model, trial.weights.device)
    if wanted == InTurn.name or (convolves and wanted is None):
        return in_turn, None
    if wanted != Mapped.name:
        for backend in _written_out(model, layout, kind, library, wanted):
            if _distance(_step(backend, trial), expected) is None:
                return backend, None
    difference = _difference(mapped, trial, expected)
    if difference is not None:
        return in_turn, difference
    if wanted != Compiled.name:
        return mapped, None
    compiled = Compiled(model, layout, kind)
    difference = _difference(compiled, trial, expected) or _unlike_by_place(compiled, trial)
    return (compiled, None) if difference is None else (mapped, difference)


def _in_turn(model: nn.Module, layout: Layout, kind: Kind, trial: Trial) -> tuple[InTurn, Tensor]:
    """The module itself, and where its trial step ends; with channels last if it bears that."""
    failing = partial(unrunnable_where_it_fails, type(model).__name__, "failed in training")
    plain = InTurn(model, layout, kind)
    with failing():
        expected = _step(plain, trial)
    if _convolves_on_a_cpu(model, trial.weights.device):
        faster = InTurn(model, layout, kind, channels_last=True)
        with suppress(JobUnrunnable), failing():
            if _distance(_step(faster, trial), expected) is None:
                return faster, expected
    return plain, expected


def _written_out(
    model: nn.Module, layout: Layout, kind: Kind, library: Library | None, wanted: str | None
) -> Iterator[Backend]:
    """Those whose gradients are written out, the fastest first."""
    if library is not None and wanted != Dense.name and Fused.fits(model, library):
        yield Fused(model, layout, kind, library)
    if Dense.fits(model):
        yield Dense(model, layout, kind)


def _convolves_on_a_cpu(model: nn.Module, device: torch.device) -> bool:
    """There vmap makes one grouped convolution of many, which takes longer than they do."""
    convolves = any(isinstance(module, nn.modules.conv._ConvNd) for module in model.modules())
    return device.type == "cpu" and convolves


def _difference(backend: Backend, trial: Trial, expected: Tensor) -> str | None:
    """How a trial step fails or ends elsewhere than expected; None where it ends there."""
    try:
        found = _step(backend, trial)
    except Exception as error:  # a module may fail under vmap in any way
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return _distance(found, expected)


def _distance(found: Tensor, expected: Tensor) -> str | None:
    # Not torch.testing: its assert_close imports two seconds' worth of torch.distributed and sympy.
    if torch.allclose(found, expected, rtol=1e-3, atol=1e-4, equal_nan=True):
        return None
    return f"a trial step ends up to {(found - expected).abs().max():.2g} away"


def _unlike_by_place(backend: Compiled, trial: Trial) -> str | None:
    """How one model's gradient depends on its place among others; None where no bit does."""
    alike = torch.zeros(BLOCK_MEMBERS, dtype=torch.int64, device=trial.weights.device)
    own = {name: value[:, alike] for name, value in trial.buffers.items()}
    weights, perturbation = trial.weights[:, alike], trial.perturbation.keep(alike)
    gradient = torch.zeros_like(weights)
    backend.gradient(weights, own, trial.batch, perturbation, 0, gradient)
    return None if (gradient == gradient[:, :1]).all() else "rounding depends on a member's place"


def _step(backend: Backend, trial: Trial) -> Tensor:
    """Logits without dropout after a training step's gradient with it."""
    weights, batch = trial.weights, trial.batch
    gradient = torch.zeros_like(weights)
    _, buffers = backend.gradient(weights, trial.buffers, batch, trial.perturbation, 0, gradient)
    logits = backend.logits(weights, buffers, batch.inputs)
    return torch.cat([logits.flatten(), gradient.flatten()])
