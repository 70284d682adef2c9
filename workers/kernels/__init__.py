"""Training steps in C, where there is a compiler: optimisers, and nets of linear layers."""

from workers.kernels.library import Library, load, private_folder
from workers.kernels.nets import Net, NetBatch, NetShape
from workers.kernels.optimizer import CompiledOptimizer

__all__ = [
    "CompiledOptimizer",
    "Library",
    "Net",
    "NetBatch",
    "NetShape",
    "load",
    "private_folder",
]
