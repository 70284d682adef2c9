"""Backends compute the gradients of many models at once: one interface, a file each."""

from workers.backends.base import Backend, Buffers, Models, Perturbation, StepBatch, per_model
from workers.backends.dense import Dense
from workers.backends.fused import Fused
from workers.backends.in_turn import InTurn
from workers.backends.mapped import Mapped

__all__ = [
    "Backend",
    "Buffers",
    "Dense",
    "Fused",
    "InTurn",
    "Mapped",
    "Models",
    "Perturbation",
    "StepBatch",
    "per_model",
]
