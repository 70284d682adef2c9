"""Calls nets.c for the engine."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.kernels.library import Library
from workers.kernels.numbers import code_of
from workers.models.alignment import ROW_ALIGNMENT
from workers.objectives.losses import Kind

# In the order in which activations.h numbers them.
ACTIVATIONS = ("relu", "tanh", "silu", "gelu")

Address = ctypes.c_void_p
Integers = ctypes.POINTER(ctypes.c_int64)
Addresses = ctypes.POINTER(Address)


class NetStructure(ctypes.Structure):
    """`Net` in nets.c."""

    _fields_ = (
        ("layers", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("loss", ctypes.c_int64),
        ("parameter", ctypes.c_double),
        ("widths", Integers),
        ("weights", Integers),
        ("biases", Integers),
        ("activations", Integers),
    )


class BatchStructure(ctypes.Structure):
    """`Batch` in nets.c."""

    _fields_ = (
        ("folds", ctypes.c_int64),
        ("members", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("inputs", Address),
        ("noise", Address),
        ("noise_scales", Address),
        ("classes", Address),
        ("targets", Address),
        ("row_weights", Address),
        ("smoothing", Address),
        ("draws", Addresses),
        ("dropouts", Addresses),
    )


@dataclass(frozen=True)
class NetBatch:
    """A step's rows: inputs and noise (F, B, d), targets and row_weights (F, B), B in whole panels.

    noise_scales and smoothing (P,). draws (B, units) and dropouts (F, P): of the dropout after each
    layer but the last, None where there is none.
    """

    inputs: Tensor
    targets: Tensor
    row_weights: Tensor
    noise: Tensor | None = None
    noise_scales: Tensor | None = None
    smoothing: Tensor | None = None
    draws: Sequence[Tensor | None] = ()
    dropouts: Sequence[Tensor | None] = ()


@dataclass(frozen=True)
class NetShape:
    """Linear layers and activations in turn, as they lie in a model's row of `columns` numbers.

    widths: inputs, hidden units, outputs; weights, biases: where each layer's start; activations:
    after each layer but the last, names of ACTIVATIONS.
    """

    columns: int
    widths: Sequence[int]
    weights: Sequence[int]
    biases: Sequence[int]
    activations: Sequence[str]


class Net:
    """Losses, gradients and logits of many nets of one shape."""

    def __init__(self, library: Library, kind: Kind, shape: NetShape) -> None:
        self.kind, self.columns, self.outputs = kind, shape.columns, shape.widths[-1]
        self._library = library
        self._structure = NetStructure(
            len(shape.weights),
            shape.columns,
            *code_of(kind),
            *map(_integers, (shape.widths, shape.weights, shape.biases)),
            _integers([ACTIVATIONS.index(name) for name in shape.activations]),
        )
        self._sizes = {noise: self._room(noise) for noise in (False, True)}
        self._work = torch.zeros(self._sizes[False], dtype=library.dtype)

    def gradient(self, weights: Tensor, batch: NetBatch, out: Tensor) -> Tensor:
        """Return losses (F, P) of models (F, P, columns); gradients go to `out` but for gaps."""
        assert out.is_contiguous()
        assert weights.dtype == out.dtype == self._library.dtype
        losses = weights.new_empty(weights.shape[:2])
        given = self._batch(weights, batch)
        self._call("net_gradient", given, weights.contiguous(), out, losses)
        return losses

    def logits(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """Return logits (F, P, outputs, B) of inputs (F, B, d)."""
        logits = weights.new_empty(*weights.shape[:2], self.outputs, inputs.shape[1])
        none = inputs.new_empty(0)
        given = self._batch(weights, NetBatch(inputs, none, none))
        self._call("net_logits", given, weights.contiguous(), logits)
        return logits

    def _call(self, name: str, given: _Given, *tensors: Tensor) -> None:
        size = self._sizes[given.structure.noise is not None]
        if self._work.numel() < size:
            self._work = self._work.new_zeros(size)  # left-over numbers may be slow
        self._library.call(name, self._structure, given.structure, *tensors, self._work)

    def _room(self, noise: bool) -> int:
        """Ask how many numbers the functions in C need to work in."""
        size, with_noise = ctypes.c_int64(), ctypes.c_int64(noise)
        self._library.call("net_room", self._structure, with_noise, size)
        return size.value

    def _batch(self, weights: Tensor, batch: NetBatch) -> _Given:
        folds, rows, _ = batch.inputs.shape
        assert rows % ROW_ALIGNMENT == 0
        many = self.kind == "multiclass"
        given = _Given(self._library.dtype)
        given.structure = BatchStructure(
            folds,
            weights.shape[1],
            rows,
            given.address(batch.inputs),
            given.address(batch.noise),
            given.address(batch.noise_scales),
            given.address(batch.targets, torch.int64) if many else None,
            None if many else given.address(batch.targets),
            given.address(batch.row_weights),
            given.address(batch.smoothing),
            given.addresses(batch.draws),
            given.addresses(batch.dropouts),
        )
        return given


class _Given:
    """A batch as C reads it, and the tensors that it points to."""

    structure: BatchStructure

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._kept: list[Tensor] = []

    def address(self, tensor: Tensor | None, dtype: torch.dtype | None = None) -> int | None:
        """Return where a tensor's first number lies; without gaps, and as numbers of this type."""
        if tensor is None:
            return None
        whole = tensor.to(dtype or self._dtype).contiguous()
        self._kept.append(whole)
        return whole.data_ptr()

    def addresses(self, tensors: Sequence[Tensor | None]) -> ctypes.Array[Address] | None:
        """Return the address of each tensor; None where there is none at all."""
        if not any(tensor is not None for tensor in tensors):
            return None
        return (Address * len(tensors))(*map(self.address, tensors))


def _integers(numbers: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * len(numbers))(*numbers)
