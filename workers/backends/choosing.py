"""Choose a model's backend: the fastest one that computes what the module itself does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from ridgeway.errors import JobUnrunnable
from ridgeway.jobs.plan import Engine
from workers.backends.base import Backend, Models, StepBatch
from workers.backends.compiled import BLOCK_MEMBERS, Compiled
from workers.backends.dense import Dense
from workers.backends.fused import Fused
from workers.backends.in_turn import InTurn
from workers.backends.mapped import Mapped
from workers.kernels import Library
from workers.models.building import unrunnable_where_it_fails
from workers.models.layout import Layout
from workers.objectives.losses import Kind


@dataclass(frozen=True)
class CheckStep:
    """A training step that tells backends apart: two members of one fold."""

    models: Models
    batch: StepBatch


@dataclass(frozen=True)
class Candidates:
    """The backends that one model may get.

    batch_statistics: rows of a batch meet each other; such batches can't be padded, and padding is
    what keeps bits apart. library: the compiled kernels, if they may compute products.
    """

    model: nn.Module
    layout: Layout
    kind: Kind
    batch_statistics: bool = False
    library: Library | None = None

    def in_turn(self, *, channels_last: bool = False) -> InTurn:
        """Make the backend that calls the module itself."""
        return InTurn(self.model, self.layout, self.kind, channels_last=channels_last)

    def mapped(self) -> Mapped:
        """Make the backend under vmap."""
        return Mapped(self.model, self.layout, self.kind)

    def compiled(self) -> Compiled:
        """Make the backend that compiles its step; that happens at the first one."""
        return Compiled(self.model, self.layout, self.kind)

    def written_out(self, wanted: str | None) -> Iterator[Backend]:
        """Make those whose gradients are written out, the fastest first, `wanted` at the latest."""
        if wanted in (Mapped.name, Compiled.name) or not Dense.fits(self.model):
            return
        library = self.library
        if library is not None and wanted != Dense.name and Fused.fits(self.model, library):
            yield Fused(self.model, self.layout, self.kind, library)
        yield Dense(self.model, self.layout, self.kind)

    def convolves_on_a_cpu(self, device: torch.device) -> bool:
        """Return whether vmap would be slow: on a CPU it makes one grouped convolution of many."""
        modules = self.model.modules()
        convolves = any(isinstance(module, nn.modules.conv._ConvNd) for module in modules)
        return device.type == "cpu" and convolves


def choose_backend(
    candidates: Candidates, check: CheckStep, wanted: str | None = None
) -> tuple[Backend, str | None]:
    """Return the backend, and why it is a slower one than was to be expected, if it is.

    wanted: a backend's name, taken if it can do it. JobUnrunnable where the module itself fails.
    """
    in_turn, expected = _in_turn(candidates, check)
    if candidates.batch_statistics:
        return in_turn, "it has batch statistics, which padded batches would change"
    convolves = candidates.convolves_on_a_cpu(check.models.weights.device)
    if wanted == InTurn.name or (convolves and wanted is None):
        return in_turn, None
    for backend in candidates.written_out(wanted):
        if _distance(_step(backend, check), expected) is None:
            return backend, None
    mapped = candidates.mapped()
    difference = _difference(mapped, check, expected)
    if difference is not None:
        return in_turn, difference
    if wanted != Compiled.name:
        return mapped, None
    compiled = candidates.compiled()
    difference = _difference(compiled, check, expected) or _unlike_by_place(compiled, check)
    return (compiled, None) if difference is None else (mapped, difference)


def _in_turn(candidates: Candidates, check: CheckStep) -> tuple[InTurn, Tensor]:
    """Return the module in turn, with channels last if it bears that, and where the step ends."""
    name = type(candidates.model).__name__
    failing = partial(unrunnable_where_it_fails, name, "failed in training")
    plain = candidates.in_turn()
    with failing():
        expected = _step(plain, check)
    if candidates.convolves_on_a_cpu(check.models.weights.device):
        faster = candidates.in_turn(channels_last=True)
        with suppress(JobUnrunnable), failing():
            if _distance(_step(faster, check), expected) is None:
                return faster, expected
    return plain, expected


def _difference(backend: Backend, check: CheckStep, expected: Tensor) -> str | None:
    """Tell how a check step fails or ends elsewhere than expected; None where it ends there."""
    try:
        found = _step(backend, check)
    except Exception as error:  # a module may fail under vmap in any way
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return _distance(found, expected)


def _distance(found: Tensor, expected: Tensor) -> str | None:
    # Not torch.testing: its assert_close imports two seconds' worth of torch.distributed and sympy.
    if torch.allclose(found, expected, rtol=1e-3, atol=1e-4, equal_nan=True):
        return None
    return f"a check step ends up to {(found - expected).abs().max():.2g} away"


def _unlike_by_place(backend: Compiled, check: CheckStep) -> str | None:
    """Tell how one model's gradient depends on its place among others; None where no bit does."""
    alike = torch.zeros(BLOCK_MEMBERS, dtype=torch.int64, device=check.models.weights.device)
    models = check.models.keep(alike)
    gradient = torch.zeros_like(models.weights)
    backend.gradient(models, check.batch, gradient)
    return None if (gradient == gradient[:, :1]).all() else "rounding depends on a member's place"


def _step(backend: Backend, check: CheckStep) -> Tensor:
    """Return logits without dropout after a training step's gradient with it."""
    gradient = torch.zeros_like(check.models.weights)
    _, buffers = backend.gradient(check.models, check.batch, gradient)
    logits = backend.logits(replace(check.models, buffers=buffers), check.batch.inputs)
    return torch.cat([logits.flatten(), gradient.flatten()])


def engine_of_refits(engine: Engine) -> Engine:
    """Return a job's engine without a compiled step, which so few members are not worth."""
    if engine.backend != Compiled.name:
        return engine
    return engine.model_copy(update={"backend": Mapped.name})
