"""Whole training steps captured as CUDA graphs, for models whose kernels are over before the next
is launched.

A replay is one launch instead of a hundred. It reads its batch and coefficients from tensors that
stay where they are, into which each step's are copied: four launches, and the host, which waits for
nothing, is ahead of the device by then. The first steps of a chunk are taken one operation at a
time; they are the warm-up that a capture needs, so that nothing has to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from workers.backends import StepBatch
from workers.backends.base import seed_generator
from workers.minibatch.chunks import Chunk
from workers.penalties.penalties import PENALTIES

# A capture takes as long as two steps without one (docs/log.md). Whoever waits as long as what he
# waits for costs never pays more than twice (ski rental): members may leave a chunk, and the
# smaller one needs a capture of its own. Padding it to the old size would make every step pay.
EAGER_STEPS = 3

# Records a call without its effects (nothing runs on a device while it is captured); gives what
# repeats them. RuntimeError where the call can't be captured.
Capture = Callable[[Callable[[], None]], Callable[[], None]]


class Step(Protocol):
    """One training step of a chunk, in place; its losses (F, P).

    coefficients (K, F * P, 1) are the optimiser's; seed: of the random layers.
    """

    def __call__(
        self, chunk: Chunk, batch: StepBatch, coefficients: Tensor, seed: int
    ) -> Tensor: ...


class Graphs:
    """A trainer's captured steps, a graph for each chunk that lives long enough.

    refused: why a step could not be captured; from then on none is.
    """

    def __init__(self, capture: Capture) -> None:
        self.refused: str | None = None
        self._capture = capture
        self._graphs: WeakKeyDictionary[Chunk, Graph] = WeakKeyDictionary()
        self._eager: WeakKeyDictionary[Chunk, int] = WeakKeyDictionary()

    def take(
        self, step: Step, chunk: Chunk, batch: StepBatch, coefficients: Tensor, seed: int
    ) -> Tensor:
        """Do what `step` does, bitwise; the losses are good until the next call."""
        graph = self._graphs.get(chunk)
        if graph is None or not graph.fits(chunk, batch):
            graph = self._captured(step, chunk, batch, coefficients, seed)
        if graph is None:
            return step(chunk, batch, coefficients, seed)
        return graph.replay(chunk, batch, coefficients, seed)

    def _captured(
        self, step: Step, chunk: Chunk, batch: StepBatch, coefficients: Tensor, seed: int
    ) -> Graph | None:
        """Return the chunk's graph, once it is worth one and as far as there can be one."""
        taken = self._eager.get(chunk, 0)
        self._eager[chunk] = taken + 1
        if taken < EAGER_STEPS or self.refused is not None or _asks_for_values(chunk):
            return None
        try:
            graph = Graph(step, chunk, batch, coefficients, seed, self._capture)
        except torch.OutOfMemoryError:  # a RuntimeError too; fewer members will fit
            raise
        except RuntimeError as error:
            self.refused = str(error)
            return None
        self._graphs[chunk] = graph
        self._eager[chunk] = 0
        return graph


class Graph:
    """One chunk's step, captured. It knows the chunk's tensors and not the chunk."""

    def __init__(
        self,
        step: Step,
        chunk: Chunk,
        batch: StepBatch,
        coefficients: Tensor,
        seed: int,
        capture: Capture,
    ) -> None:
        self._chunk = replace(chunk)
        self._chunk.prepare()
        self._batch = StepBatch(
            batch.inputs.clone(),
            batch.targets.clone(),
            batch.weights.clone(),
            None if batch.noise is None else batch.noise.clone(),
        )
        self._coefficients = coefficients.clone()
        self._losses = torch.empty_like(chunk.weights[..., 0])  # (F, P)
        # Seeding inside of a capture is allowed if it changes nothing.
        seed_generator(chunk.weights.device, seed)
        self._replay = capture(partial(self._take, step, seed))

    def fits(self, chunk: Chunk, batch: StepBatch) -> bool:
        """Return whether the chunk's tensors are the graph's, and the batch has its shape."""
        pairs = zip(_tensors(self._chunk), _tensors(chunk), strict=True)
        same = all(own is other for own, other in pairs)
        return same and batch.inputs.shape == self._batch.inputs.shape

    def replay(self, chunk: Chunk, batch: StepBatch, coefficients: Tensor, seed: int) -> Tensor:
        """Take one step of that chunk; return its losses (F, P), good until the next one."""
        for own, new in zip(_rows(self._batch), _rows(batch), strict=True):
            own.copy_(new)
        self._coefficients.copy_(coefficients)
        # A replay draws from where the generator stands, as the captured operations would.
        seed_generator(chunk.weights.device, seed)
        self._replay()
        chunk.steps += 1
        return self._losses

    def _take(self, step: Step, seed: int) -> None:
        own = self._chunk
        buffers = own.buffers
        self._losses.copy_(step(own, self._batch, self._coefficients, seed))
        for name, after in own.buffers.items():
            if after is not buffers[name]:
                buffers[name].copy_(after)
        own.buffers = buffers


def _asks_for_values(chunk: Chunk) -> bool:
    """Return whether a step reads numbers back: which weights a skip layer holds."""
    return any(PENALTIES[own.penalty].hierarchical for own in chunk.configurations)


def _tensors(chunk: Chunk) -> list[Tensor]:
    return [chunk.weights, chunk.gradient, *chunk.state, *chunk.buffers.values()]


def _rows(batch: StepBatch) -> list[Tensor]:
    rows = [batch.inputs, batch.targets, batch.weights]
    return rows if batch.noise is None else [*rows, batch.noise]


# --- on a device ------------------------------------------------------------------------------


class CudaCapture:
    """Captures as CUDA graphs that share their working memory: one replays at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream()
            # Memory that no graph uses any more can't be shared anew, and chunks come and go: this
            # graph stays.
            self._first = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._first, stream=self._stream):
                torch.zeros(1, device=device)

    def __call__(self, call: Callable[[], None]) -> Callable[[], None]:
        graph, pool = torch.cuda.CUDAGraph(), self._first.pool()
        with torch.cuda.device(self._device), _undone_on_failure(self._device):
            with torch.cuda.graph(graph, pool=pool, stream=self._stream):
                call()
            return graph.replay


@contextmanager
def _undone_on_failure(device: torch.device) -> Iterator[None]:
    """Undo what a failed capture leaves: its stream current, a generator that waits for it."""
    index = torch.cuda.current_device() if device.index is None else device.index
    with torch.cuda.stream(torch.cuda.current_stream(device)):
        try:
            yield
        except RuntimeError:
            fresh = torch.Generator(device)
            torch.cuda.default_generators[index].graphsafe_set_state(fresh)
            raise
